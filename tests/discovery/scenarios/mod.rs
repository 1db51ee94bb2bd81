//! The scenarios of the specification (destination.md section 20), by number, on a
//! real API server and through gRPC. `destination/tests` runs all of them on the
//! index; here is what of them depends on how an API server reads, defaults and
//! tells the objects: something of each section.
//!
//! They share one cluster and one process with the specification's baseline (there
//! are two more, for what depends on flags), and run side by side.

mod addresses;
mod changes;
mod expected;
mod filtering;
mod metadata;
mod objects;
mod requests;
mod services;
mod world;

use self::world::{Shared, World};
use anyhow::{Result, ensure};
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, Proxy, crds};
use futures::{FutureExt as _, StreamExt as _, future::LocalBoxFuture, stream};

const WEB: &str = "web.$ns.svc.cluster.local:80";
/// Enough that waiting for silence costs nothing, and few enough that two cores
/// answer at once.
const SIDE_BY_SIDE: usize = 16;
/// The specification's baseline where it is not the chart's.
const BASELINE: [&str; 3] = [
    "--roles=destination",
    "--outbound-transport-mode=transparent",
    "--enable-ipv6",
];
/// Nodes and their zones.
const NODES: [(&str, Option<&str>); 3] = [
    ("n1", Some("west-1a")),
    ("n2", Some("west-1b")),
    ("n3", None),
];

/// A scenario, or some that are one story, named by number.
struct Scenario {
    name: &'static str,
    run: fn(World) -> LocalBoxFuture<'static, Result<()>>,
}

macro_rules! scenarios {
    ($($name:ident,)*) => {
        pub(super) fn all() -> Vec<super::Scenario> {
            vec![$(super::Scenario {
                name: stringify!($name),
                run: |world| Box::pin($name(world)),
            }),*]
        }
    };
}
use scenarios;

async fn proxy(ferrule: &Ferrule) -> Result<Proxy> {
    ferrule.ready().await?;
    Proxy::connect(ferrule.destination()).await
}

#[tokio::test]
async fn the_specifications_scenarios_hold_on_a_real_cluster() -> Result<()> {
    let cluster = Cluster::start(Options {
        dual_stack: true,
        ..Options::default()
    })
    .await?;
    let client = cluster.client()?;
    crds::install(&client).await?;
    for (node, zone) in NODES {
        cluster.node(node, zone).await?;
    }
    let kubeconfig = cluster.kubeconfig();
    let baseline = Ferrule::start_with(kubeconfig, &BASELINE).await?;
    let chart = Ferrule::start(kubeconfig).await?;
    let [role, transport, ipv6] = BASELINE;
    let no_upgrade = [role, transport, ipv6, "--enable-h2-upgrade=false"];
    let no_upgrade = Ferrule::start_with(kubeconfig, &no_upgrade).await?;
    let shared = Shared {
        client,
        baseline: proxy(&baseline).await?,
        chart: proxy(&chart).await?,
        no_upgrade: proxy(&no_upgrade).await?,
    };

    let all = [
        requests::all(),
        changes::all(),
        filtering::all(),
        metadata::all(),
        services::all(),
        addresses::all(),
    ];
    let runs = all
        .into_iter()
        .flatten()
        .zip(0..)
        .map(|(scenario, network)| {
            let shared = shared.clone();
            async move {
                let world = World::create(shared, network).await?;
                (scenario.run)(world).await
            }
            .map(move |result| (scenario.name, result))
        });
    let ended: Vec<_> = stream::iter(runs)
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let failed: Vec<_> = ended
        .iter()
        .filter_map(|(name, result)| Some(format!("{name}: {:#}", result.as_ref().err()?)))
        .collect();
    ensure!(
        failed.is_empty(),
        "{} of {} failed\n\n{}",
        failed.len(),
        ended.len(),
        failed.join("\n\n")
    );
    Ok(())
}
