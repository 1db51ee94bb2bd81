//! Scenarios 59, 60 and 115: routes take effect by their statuses, which here somebody
//! else writes, or nobody. They are one story, since they need a cluster in which no
//! Ferrule writes at first.

use crate::{
    READER, expected as told, install,
    objects::*,
    proxy, start,
    world::{Shared, World},
};
use anyhow::Result;
use ferrule_proto::inbound::Server;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, PolicyProxy, scenario::Stage};
use serde_json::{Value, json};

const WEB: &str = "web.$ns.svc.cluster.local:80";
const OURS: &str = "linkerd.io/policy-controller";

/// Short, so that a leader that is dead is missed soon.
const WRITER: [&str; 1] = ["--lease-duration=9s"];

/// The route with a status for its one parent, in which this controller says of the
/// parent in this namespace that all is well.
fn claimed(route: &Value, controller: &str, namespace: &str) -> Value {
    let parent = with(
        json!({"namespace": namespace}),
        route["spec"]["parentRefs"][0].clone(),
    );
    let conditions = json!([{
        "type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }]);
    let entry = json!({
        "parentRef": parent, "controllerName": controller, "conditions": conditions,
    });
    with(route.clone(), json!({"status": {"parents": [entry]}}))
}

/// Server `srv` with these routes, or the default one.
fn srv(routes: &[(&str, &str)]) -> Server {
    let routes = routes
        .iter()
        .map(|(name, path)| told::http_route(name, path));
    let mut routes: Vec<_> = routes.collect();
    if routes.is_empty() {
        routes.push(told::default_route());
    }
    told::by_server("srv", told::http1(routes), vec![])
}

async fn leads(ferrule: &Ferrule) -> Result<()> {
    let lease = [("lease", "policy-controller-write")];
    ferrule
        .scraped("it leads", |scrape| {
            scrape.sum("leader", &lease) == Some(1.0)
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn s59_60_115_routes_take_effect_by_their_statuses() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    install(&client).await?;
    let reader = start(&cluster, &[READER]).await?;
    let chart = proxy(&reader).await?;
    let shared = Shared {
        admin: PolicyProxy::connect(reader.admin_addr()).await?,
        strict: chart.clone(),
        closed: chart.clone(),
        chart,
    };
    let w = World::new(Stage::create(client, 1).await?, shared);
    w.apply_all([web(), server("srv", &json!(80), "HTTP/1")])
        .await?;
    w.apply_all([service("web"), service("api")]).await?;
    s59_a_route_takes_effect_with_its_status(&w).await?;
    s115_only_our_status_of_that_namespace_counts(&w).await?;
    s60_a_new_route_waits_for_somebody_who_leads(&w, &cluster).await
}

async fn s59_a_route_takes_effect_with_its_status(w: &World) -> Result<()> {
    let mut stream = w.web(80, srv(&[])).await?;
    let route = at_path("r", &on_server("srv"), "/a");
    w.apply(route.clone()).await?;
    stream.is_silent().await?;
    w.apply(claimed(&route, OURS, "$ns")).await?;
    stream.tells(srv(&[("r", "/a")])).await?;
    // Somebody else's word does not count.
    w.apply(claimed(&route, "example.com/other", "$ns")).await?;
    stream.tells(srv(&[])).await?;
    w.delete(&route).await
}

async fn s115_only_our_status_of_that_namespace_counts(w: &World) -> Result<()> {
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    let route = all_to("r", &on_port("web", 80), &json!([to("api", 80)]));
    w.apply(claimed(&route, "example.com/other", "$ns")).await?;
    stream.is_silent().await?;
    // D-4
    w.apply(claimed(&route, OURS, "elsewhere")).await?;
    stream.is_silent().await?;
    w.apply(claimed(&route, OURS, "$ns")).await?;
    let routed = vec![w.route_to("r", w.balancer("api", 80))];
    stream.tells(w.routed("web", 80, routed)).await?;
    w.delete(&route).await?;
    stream.tells(w.plain("web", 80)).await
}

async fn s60_a_new_route_waits_for_somebody_who_leads(w: &World, cluster: &Cluster) -> Result<()> {
    let mut stream = w.web(80, srv(&[])).await?;
    let first = start(cluster, &WRITER).await?;
    leads(&first).await?;
    w.apply(at_path("a", &on_server("srv"), "/a")).await?;
    stream.tells(srv(&[("a", "/a")])).await?;
    first.kill().await?;
    w.apply_later(at_path("b", &on_server("srv"), "/b")).await?;
    stream.is_silent().await?;
    // What was accepted holds, also for those who come now.
    w.web(80, srv(&[("a", "/a")])).await?;
    let second = start(cluster, &WRITER).await?;
    leads(&second).await?;
    stream.tells(srv(&[("a", "/a"), ("b", "/b")])).await
}
