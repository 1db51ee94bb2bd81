//! A client that does not read for a while, with a real socket.

use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Cluster, TestNamespace};
use ferrule_tests::{Ferrule, Proxy, Scrape};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tonic::transport::Endpoint;

/// More endpoints than a client takes that does not read.
const SLICES: u8 = 12;
const IN_EACH: u16 = 1_000;
const ALL: usize = SLICES as usize * IN_EACH as usize;
/// How many versions come while it does not,
const VERSIONS: u8 = 20;
/// of which this one may be on its way when the client stops to take any.
const FIRST: u8 = 1;

/// Nothing waits for it meanwhile, and its stream goes on: in place of all that was
/// between it is told the newest.
#[tokio::test]
async fn s73_a_client_that_does_not_read_is_behind_until_it_has_been_told_the_newest() -> Result<()>
{
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("slow").await?;
    let slices = large_service(cluster, &namespace).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    let authority = format!("web.{namespace}.svc.cluster.local:80");
    let channel = Endpoint::from_shared(format!("http://{}", ferrule.destination()))?
        // As a proxy has it.
        .initial_stream_window_size(65_535)
        .connect()
        .await?;
    let mut slow = Proxy::over(channel).get(&authority).await?;
    let mut fast = Proxy::connect(ferrule.destination())
        .await?
        .get(&authority)
        .await?;
    fast.until_count(ALL).await?;
    let get = [("service", "destination"), ("method", "Get")];
    let are_behind = async |count| {
        let what = format!("{count} behind");
        let is_so = |now: &Scrape| now.sum("stream_behind", &get) == Some(count);
        ferrule.scraped(&what, is_so).await
    };
    are_behind(0.0).await?;

    for number in 1..=VERSIONS {
        tell(&slices, json!([{"addresses": [passing(number).ip()]}])).await?;
        fast.until("the newest", |told| told.contains_key(&passing(number)))
            .await?;
    }
    let before = are_behind(1.0).await?;
    let told = "stream_update_latency_seconds_count";
    ensure!(
        before.sum(told, &get) >= Some(VERSIONS.into()),
        "the other is told each"
    );

    let mut passed = Vec::new();
    slow.until("the newest", |told| {
        let between = FIRST + 1..VERSIONS;
        passed.extend(between.filter(|number| told.contains_key(&passing(*number))));
        told.contains_key(&passing(VERSIONS))
    })
    .await?;
    ensure!(
        passed.is_empty(),
        "it was told of {passed:?}, which had gone"
    );
    for client in [&mut slow, &mut fast] {
        client.until_count(ALL - usize::from(IN_EACH) + 1).await?;
    }
    ensure!(slow.told() == fast.told(), "as one that was never slow");

    let after = are_behind(0.0).await?;
    let skipped = |scrape: &Scrape| {
        let skipped = scrape.sum("stream_versions_skipped_total", &get);
        skipped.context("it is there")
    };
    let skipped = skipped(&after)? - skipped(&before)?;
    ensure!(
        skipped >= (VERSIONS - FIRST - 1).into(),
        "{skipped} were skipped"
    );
    let active = after.sum("stream_active", &get);
    let begun = after.sum("grpc_server_started_total", &[("grpc_method", "Get")]);
    ensure!(
        (active, begun) == (Some(2.0), Some(2.0)),
        "neither was opened anew"
    );

    // And it is told what comes next, as if nothing had been.
    tell(&slices, json!([])).await?;
    slow.until_count(ALL - usize::from(IN_EACH)).await
}

/// The address that there is in the place of a whole slice for a while.
fn passing(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 99, 0, number], 80))
}

/// A Service without pods, of many addresses.
async fn large_service(cluster: &Cluster, namespace: &TestNamespace) -> Result<Api<EndpointSlice>> {
    let (client, create) = (cluster.client()?, PostParams::default());
    let service = json!({"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}});
    let services: Api<Service> = Api::namespaced(client.clone(), namespace.name());
    let service = serde_json::from_value(service)?;
    services.create(&create, &service).await?;
    let slices: Api<EndpointSlice> = Api::namespaced(client, namespace.name());
    for number in 0..SLICES {
        let addresses = (0..IN_EACH).map(|nth| {
            let [high, low] = nth.to_be_bytes();
            json!({"addresses": [format!("10.{number}.{high}.{low}")]})
        });
        let slice = json!({
            "metadata": {
                "name": format!("web-{number}"),
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
            "endpoints": addresses.collect::<Value>(),
        });
        let slice = serde_json::from_value(slice)?;
        slices.create(&create, &slice).await?;
    }
    Ok(slices)
}

/// Has the first slice list these.
async fn tell(slices: &Api<EndpointSlice>, endpoints: Value) -> Result<()> {
    let patch = Patch::Merge(json!({"endpoints": endpoints}));
    slices
        .patch("web-0", &PatchParams::default(), &patch)
        .await?;
    Ok(())
}
