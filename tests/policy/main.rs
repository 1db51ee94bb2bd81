//! The scenarios of policy (policy.md section 11), by number, on a real API server
//! and through gRPC. `policy/tests` runs all of them on the index; here is what of
//! them depends on how an API server reads, defaults, tells and forgets the objects:
//! something of each section, what happens to a kind that can no longer be read, and
//! what holds while nobody writes statuses.

mod degraded;
mod expected;
mod inbound;
mod objects;
mod outbound;
mod statuses;
mod world;

use self::world::{Shared, World};
use anyhow::Result;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, PolicyProxy, crds, scenario};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PostParams};
use serde_json::json;

const CHART: [&str; 2] = ["--roles=destination,policy", "--policy-addr=127.0.0.1:0"];
/// One that writes no statuses.
const READER: &str = "--write-statuses=false";
/// What the scenarios that need other flags need.
const STRICT: [&str; 4] = [
    "--default-policy=cluster-unauthenticated",
    "--probe-networks=",
    "--cluster-networks=10.0.0.0/8,192.168.0.0/16",
    READER,
];
/// What the one needs that requires identities.
const CLOSED: [&str; 2] = ["--default-policy=cluster-authenticated", READER];

/// All kinds, and the namespace in which replicas agree on who writes statuses.
async fn install(client: &Client) -> Result<()> {
    crds::install(client).await?;
    crds::install_gateway_api(client).await?;
    let namespace = json!({"metadata": {"name": "linkerd"}});
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &serde_json::from_value(namespace)?)
        .await?;
    Ok(())
}

/// A ferrule with these flags beside the chart's, once it is ready.
async fn start(cluster: &Cluster, flags: &[&str]) -> Result<Ferrule> {
    let flags: Vec<_> = CHART.iter().chain(flags).copied().collect();
    let ferrule = Ferrule::start_with(cluster.kubeconfig(), &flags).await?;
    ferrule.ready().await?;
    Ok(ferrule)
}

async fn proxy(ferrule: &Ferrule) -> Result<PolicyProxy> {
    PolicyProxy::connect(ferrule.address_of("policy").await?).await
}

#[tokio::test]
async fn the_scenarios_of_policy_hold_on_a_real_cluster() -> Result<()> {
    let cluster = Cluster::start(Options {
        dual_stack: true,
        ..Options::default()
    })
    .await?;
    let client = cluster.client()?;
    install(&client).await?;
    let chart = start(&cluster, &[]).await?;
    let strict = start(&cluster, &STRICT).await?;
    let closed = start(&cluster, &CLOSED).await?;
    let shared = Shared {
        chart: proxy(&chart).await?,
        admin: PolicyProxy::connect(chart.admin_addr()).await?,
        strict: proxy(&strict).await?,
        closed: proxy(&closed).await?,
    };
    let world = |stage| World::new(stage, shared.clone());
    let all: Vec<_> = inbound::all().into_iter().chain(outbound::all()).collect();
    let count = u8::try_from(all.len())?;
    scenario::play(&client, 0, all, world).await?;
    // What they do concerns the clients of all namespaces.
    scenario::play(&client, count, outbound::for_all(), world).await
}
