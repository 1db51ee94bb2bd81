//! The scenarios of the specification (destination.md section 20), by number, on a
//! real API server and through gRPC. `destination/tests` runs them on the index, but
//! for those of how an object reads (11, 12, 22, 23, 60, 64, 98: some of them only in the
//! tests of `cluster/src/source/wire` and `cluster/src/object/ports.rs`), for 74 and 75
//! (`../streams.rs`), and for those of linked clusters (76, 78 to 80, 82, 84, 85), which
//! there are none of. Here is what of them depends on how an API server reads, defaults
//! and tells the objects: something of each section.
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
use anyhow::Result;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, Proxy, crds, scenario, scenarios};

const WEB: &str = "web.$ns.svc.cluster.local:80";
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
    let all = all.into_iter().flatten().collect();
    scenario::play(&client, 0, all, |stage| {
        let shared = shared.clone();
        World { stage, shared }
    })
    .await
}
