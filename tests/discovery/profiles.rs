//! ServiceProfiles on open streams: from an API server that does not know the kind
//! at first to objects that would break a careless reader.

use crate::service_profile::{ServiceProfiles, route, web};
use ferrule_proto::destination::DestinationProfile;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, StreamFailure, TestProxy, Watched, crds::install_kind};
use serde_json::json;
use std::time::{Duration, Instant};

const DESTINATION: &str =
    "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local";
/// How soon after it is installed a CRD must be followed: the watch tries again
/// after five seconds at most, where others do once a minute.
const INSTALLED: Duration = Duration::from_secs(30);

async fn client_in(ferrule: &Ferrule, namespace: &str) -> anyhow::Result<TestProxy> {
    TestProxy::builder("client")
        .destination(ferrule.destination(), DESTINATION)
        .context(format!(r#"{{"ns":"{namespace}"}}"#))
        .start()
        .await
}

type Profile = Watched<DestinationProfile, StreamFailure>;

/// Waits until the profile has just this route, or none.
async fn until(profile: &Profile, route: Option<&str>) -> anyhow::Result<()> {
    let what = format!("the route {route:?}");
    profile
        .until(&what, |profile| {
            let told = profile.routes.first();
            told.map(|told| &*told.metrics_labels["route"]) == route
        })
        .await
        .map(drop)
}

#[tokio::test]
async fn a_crd_that_is_installed_later_is_followed_and_its_objects_told() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    let namespace = cluster.namespace("profiles").await?;
    let clients = cluster.namespace("clients").await?;
    let name = web(&client, namespace.name()).await?;
    let ferrule = Ferrule::start(cluster.kubeconfig()).await?;
    ferrule.ready().await?;
    ferrule.logged("serviceprofiles.linkerd.io").await?;
    ferrule.logged("there are no webhooks").await?;
    let near = client_in(&ferrule, namespace.name()).await?;
    let far = client_in(&ferrule, clients.name()).await?;
    let (near, far) = (
        near.profile(&format!("{name}:80")),
        far.profile(&format!("{name}:80")),
    );
    until(&near, None).await?;
    until(&far, None).await?;

    // Longer than the watch's longest pause has been reached.
    tokio::time::sleep(Duration::from_secs(10)).await;
    install_kind(&client, "ServiceProfile").await?;
    let installed = Instant::now();
    let profiles = ServiceProfiles::of(&client, namespace.name());
    profiles.create(&name, &route("first", "1s"), false).await?;
    until(&near, Some("first")).await?;
    let took = installed.elapsed();
    assert!(took < INSTALLED, "{took:?}");
    until(&far, Some("first")).await?;

    let theirs = ServiceProfiles::of(&client, clients.name());
    theirs.create(&name, &route("theirs", "1s"), false).await?;
    until(&far, Some("theirs")).await?;
    profiles.edit(&name, &route("second", "1s")).await?;
    until(&near, Some("second")).await?;

    // What cannot be told changes nothing; what nobody could parse hurts nobody.
    let broken = json!({"routes": [{"name": "broken", "condition": {"all": [{}]}}]});
    profiles.edit(&name, &broken).await?;
    ferrule
        .logged("A request match must have a field set")
        .await?;
    let mut deep = json!({"method": "GET"});
    for _ in 0..500 {
        deep = json!({"all": [deep]});
    }
    let deep = json!({"routes": [{"name": "deep", "condition": deep}]});
    let hostile = ServiceProfiles::of(&client, "default");
    hostile
        .create("deep.default.svc.cluster.local", &deep, false)
        .await?;
    ferrule.logged("nested at most 64 levels deep").await?;
    theirs.edit(&name, &route("edited", "1s")).await?;
    until(&far, Some("edited")).await?;
    until(&near, Some("second")).await?;
    let late = client_in(&ferrule, namespace.name()).await?;
    until(&late.profile(&format!("{name}:80")), Some("second")).await?;

    // Another process lists them all at once, and has not seen the good version.
    let fresh = Ferrule::start(cluster.kubeconfig()).await?;
    fresh.ready().await?;
    let late = client_in(&fresh, clients.name()).await?;
    until(&late.profile(&format!("{name}:80")), Some("edited")).await?;
    let late = client_in(&fresh, namespace.name()).await?;
    until(&late.profile(&format!("{name}:80")), None).await?;

    profiles.edit(&name, &route("mended", "1s")).await?;
    until(&near, Some("mended")).await?;
    theirs.delete(&name).await?;
    until(&far, Some("mended")).await?;
    profiles.delete(&name).await?;
    until(&near, None).await?;
    until(&far, None).await?;
    Ok(())
}
