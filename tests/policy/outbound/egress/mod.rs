//! Scenarios 129 to 141: what leaves the cluster.

mod global;

use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_tests::{scenario::Scenario, scenarios};
use serde_json::{Value, json};
use tonic::Code;

scenarios! {
    s129_130_139_what_no_route_is_for_is_let_through_or_denied,
    s131_defaults_come_after_routes,
    s132_a_route_without_a_port_is_on_no_egress_network,
    s135_the_smallest_network_wins_and_then_the_oldest,
    s136_137_a_network_may_be_around_the_clusters_but_services_win,
    s140_141_a_network_leads_to_services_but_to_no_other_network,
}

/// Those that concern the clients of all namespaces.
pub(super) fn for_all() -> Vec<Scenario<World>> {
    global::all()
}

const OUT: &str = "198.18.0.1:80";
const HTTPS: &str = "198.18.0.1:443";

async fn s129_130_139_what_no_route_is_for_is_let_through_or_denied(w: World) -> Result<()> {
    w.apply(egress_network("out", "Allow")).await?;
    let mut stream = w.target(OUT, w.egress("out", OUT, true, vec![])).await?;
    let mysql = "198.18.0.1:3306";
    let opaque = |allows| {
        let route = told::egress_opaque(w.outside("out", mysql), allows);
        w.egress_as("out", 3306, told::opaque_only(route))
    };
    w.target(mysql, opaque(true)).await?;
    w.apply(egress_network("out", "Deny")).await?;
    // 139: what is new is told, and then proxies look again.
    stream.tells(w.egress("out", OUT, false, vec![])).await?;
    stream.ends().await?;
    w.target(OUT, w.egress("out", OUT, false, vec![])).await?;
    w.target(mysql, opaque(false)).await.map(drop)
}

/// A route of the Gateway API from a network to itself.
fn through(kind: &str, port: u16) -> Value {
    let to = refers("EgressNetwork", "out");
    gateway_to(kind, "r", &on_egress("out", port), &to)
}

async fn s131_defaults_come_after_routes(w: World) -> Result<()> {
    w.apply(egress_network("out", "Deny")).await?;
    let out = || w.outside("out", OUT);
    let mut stream = w.target(OUT, w.egress("out", OUT, false, vec![])).await?;
    let route = all_to(
        "r",
        &on_egress("out", 80),
        &json!([refers("EgressNetwork", "out")]),
    );
    w.apply(route.clone()).await?;
    let routed = vec![w.route_to("r", out())];
    stream.tells(w.egress("out", OUT, false, routed)).await?;
    w.delete(&route).await?;
    stream.tells(w.egress("out", OUT, false, vec![])).await?;

    w.apply(through("GRPCRoute", 80)).await?;
    let routes = vec![w.grpc_route("r", out()), told::egress_grpc_deny(out())];
    stream
        .tells(w.egress_as("out", 80, told::grpc_only(routes)))
        .await?;
    w.delete(&through("GRPCRoute", 80)).await?;
    stream.tells(w.egress("out", OUT, false, vec![])).await?;
    w.apply(through("TCPRoute", 80)).await?;
    let route = w.opaque_route("r", out());
    stream
        .tells(w.egress_as("out", 80, told::opaque_only(route)))
        .await?;

    w.apply(through("TLSRoute", 443)).await?;
    let out = || w.outside("out", HTTPS);
    let routes = vec![
        w.tls_route("r", "a.example.com", out()),
        told::egress_tls_deny(out()),
    ];
    w.target(HTTPS, w.egress_as("out", 443, told::tls_only(routes)))
        .await
        .map(drop)
}

async fn s132_a_route_without_a_port_is_on_no_egress_network(w: World) -> Result<()> {
    w.apply(egress_network("out", "Allow")).await?;
    let mut stream = w.target(OUT, w.egress("out", OUT, true, vec![])).await?;
    // The definition of ours refuses it, and so would the webhook of the others.
    let to = refers("EgressNetwork", "out");
    let route = |parent: &Value| gateway_to("HTTPRoute", "r", parent, &to);
    w.apply(route(&refers("EgressNetwork", "out"))).await?;
    stream.is_silent().await?;
    w.apply(route(&on_egress("out", 80))).await?;
    let to = told::http_route::any([(1, w.outside("out", OUT), vec![])]);
    // Without matches: the definition has no default here.
    let rule = told::http_rule(vec![], to);
    let routed = vec![w.route(told::GATEWAY_HTTP, "r", vec![rule])];
    stream.tells(w.egress("out", OUT, true, routed)).await
}

async fn s135_the_smallest_network_wins_and_then_the_oldest(w: World) -> Result<()> {
    let of = |name, networks: Value| egress_network_of(name, "Allow", &networks);
    let found = async |name| {
        let told = w.egress(name, OUT, true, vec![]);
        w.target(OUT, told).await.map(drop)
    };
    w.apply(of("z", json!([{"cidr": "198.18.0.0/16"}]))).await?;
    found("z").await?;
    w.apply_later(of("a", json!([{"cidr": "198.18.0.0/16"}])))
        .await?;
    found("z").await?;
    w.apply(of("a", json!([{"cidr": "198.18.0.0/24"}]))).await?;
    found("a").await?;
    let except = json!([{"cidr": "198.18.0.0/24", "except": ["198.18.0.1"]}]);
    w.apply(of("a", except)).await?;
    found("z").await
}

async fn s136_137_a_network_may_be_around_the_clusters_but_services_win(w: World) -> Result<()> {
    let addr = w.service_addr(service("web"), 80).await?;
    w.target_refused("10.9.9.9:80", Code::NotFound).await?;
    let everything = json!([{"cidr": "0.0.0.0/0"}]);
    w.apply(egress_network_of("out", "Deny", &everything))
        .await?;
    let denied = w.egress("out", "10.9.9.9:80", false, vec![]);
    w.target("10.9.9.9:80", denied).await?;
    w.target(&addr, w.plain("web", 80)).await.map(drop)
}

async fn s140_141_a_network_leads_to_services_but_to_no_other_network(w: World) -> Result<()> {
    let elsewhere = json!([{"cidr": "203.0.113.0/24"}]);
    w.apply_all([
        service("api"),
        egress_network("out", "Allow"),
        egress_network_of("two", "Allow", &elsewhere),
    ])
    .await?;
    let route = |to: Value| all_to("r", &on_egress("out", 80), &json!([to]));
    w.apply(route(to("api", 8080))).await?;
    let api = vec![w.route_to("r", w.balancer("api", 8080))];
    let mut stream = w.target(OUT, w.egress("out", OUT, true, api)).await?;
    let same = "Route with EgressNetwork backend needs to have the same EgressNetwork as a parent";
    for (name, message) in [("two", same), ("no", "EgressNetwork not found no")] {
        w.apply(route(with(
            refers("EgressNetwork", name),
            json!({"port": 80}),
        )))
        .await?;
        let metadata = told::object(told::EGRESS, w.namespace(), name, 80);
        let (nowhere, filters) = told::failing(metadata, message);
        let to = told::http_route::any([(1, nowhere, filters)]);
        let rule = told::http_rule(vec![told::prefix("/")], to);
        let routes = vec![w.route(told::POLICY_HTTP, "r", vec![rule])];
        stream.tells(w.egress("out", OUT, true, routes)).await?;
    }
    // With a port of its own, and a weight.
    let own = with(
        refers("EgressNetwork", "out"),
        json!({"port": 8080, "weight": 5}),
    );
    w.apply(route(own)).await?;
    let metadata = told::object(told::EGRESS, w.namespace(), "out", 8080);
    let own = told::forward_weighted(metadata, &w.fill(OUT), 5);
    let to = told::http_route::any([(5, own, vec![])]);
    let rule = told::http_rule(vec![told::prefix("/")], to);
    let routes = vec![w.route(told::POLICY_HTTP, "r", vec![rule])];
    stream.tells(w.egress("out", OUT, true, routes)).await
}
