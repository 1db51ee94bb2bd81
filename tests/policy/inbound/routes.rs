//! Scenarios 59 to 71: routes and limits of Servers.

use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::{
    http_route::RequestHeaderModifier,
    http_types::{Headers, headers::Header},
    inbound::{
        HttpLocalRateLimit, HttpRoute, Server, http_local_rate_limit as limits, http_route,
        proxy_protocol::Kind,
    },
};
use ferrule_tests::scenarios;
use serde_json::{Value, json};

scenarios! {
    s61_62_a_route_is_on_the_servers_of_its_namespace,
    s63_the_older_route_is_told_first_and_then_the_gateway_apis,
    s64_65_what_proxies_cannot_do_is_left_out_or_takes_the_route_with_it,
    s66_67_calls_have_routes_of_their_own,
    s68_a_pattern_that_is_none_takes_its_route_with_it,
    s69_71_a_limit_holds_where_requests_are_seen,
    s70_of_two_limits_the_accepted_one_holds,
}

const GATEWAY: &str = "gateway.networking.k8s.io";

fn srv(protocol: &str) -> Value {
    server("srv", &json!(80), protocol)
}

fn told(kind: Kind) -> Server {
    told::by_server("srv", kind, vec![])
}

fn routed(routes: Vec<HttpRoute>) -> Server {
    told(told::http1(routes))
}

fn defaults() -> Server {
    routed(vec![told::default_route()])
}

/// An HTTPRoute of the Gateway API for one path.
fn gateway_at(name: &str, path: &str, filters: &Value) -> Value {
    let rules = json!([{
        "matches": [{"path": {"type": "Exact", "value": path}}], "filters": filters,
    }]);
    gateway("HTTPRoute", name, &on_server("srv"), &rules)
}

async fn s61_62_a_route_is_on_the_servers_of_its_namespace(w: World) -> Result<()> {
    w.apply_all([web(), srv("HTTP/1")]).await?;
    let mut stream = w.web(80, defaults()).await?;
    let rules = json!([{"matches": [{"path": {"type": "Exact", "value": "/a"}}]}]);
    let on = |parents: Value| http_route("r", &parents, &rules);
    w.apply(on(json!([on_server("srv"), on_server("missing")])))
        .await?;
    stream
        .tells(routed(vec![told::http_route("r", "/a")]))
        .await?;
    // 62: one bad parent takes the whole route.
    for bad in [json!({"namespace": "other"}), json!({"port": 80})] {
        let second = with(on_server("two"), bad);
        w.apply(on(json!([on_server("srv"), second]))).await?;
        stream.tells(defaults()).await?;
        w.apply(on(json!([on_server("srv")]))).await?;
        stream
            .tells(routed(vec![told::http_route("r", "/a")]))
            .await?;
    }
    Ok(())
}

async fn s63_the_older_route_is_told_first_and_then_the_gateway_apis(w: World) -> Result<()> {
    w.apply_all([web(), srv("HTTP/1")]).await?;
    let on = on_server("srv");
    w.apply(at_path("b", &on, "/b")).await?;
    w.apply_later(at_path("a", &on, "/a")).await?;
    let b = || told::http_route("b", "/b");
    let a = || told::http_route("a", "/a");
    let mut stream = w.web(80, routed(vec![b(), a()])).await?;
    w.apply_later(gateway_at("0", "/0", &json!([]))).await?;
    let last = told::gateway_http_route("0", "/0");
    stream.tells(routed(vec![b(), a(), last.clone()])).await?;
    w.delete(&at_path("b", &on, "/b")).await?;
    stream.tells(routed(vec![a(), last])).await
}

async fn s64_65_what_proxies_cannot_do_is_left_out_or_takes_the_route_with_it(
    w: World,
) -> Result<()> {
    w.apply_all([web(), srv("HTTP/1")]).await?;
    let rewrite = json!([{"type": "URLRewrite", "urlRewrite": {"hostname": "h.example.com"}}]);
    w.apply_judged(gateway_at("never", "/n", &rewrite)).await?;
    let mut stream = w.web(80, defaults()).await?;
    let header = json!({"set": [{"name": "A", "value": "b"}]});
    let filters = json!([
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": header},
        {"type": "RequestHeaderModifier", "requestHeaderModifier": header},
    ]);
    w.apply(gateway_at("r", "/a", &filters)).await?;
    let set = Headers {
        headers: vec![Header {
            name: "a".into(),
            value: b"b".to_vec(),
        }],
    };
    let modifier = RequestHeaderModifier {
        add: Some(Headers::default()),
        set: Some(set),
        remove: vec![],
    };
    let mut route = told::gateway_http_route("r", "/a");
    route.rules[0].filters = vec![http_route::Filter {
        kind: Some(http_route::filter::Kind::RequestHeaderModifier(modifier)),
    }];
    stream.tells(routed(vec![route])).await?;
    // 65: what it was stays.
    w.apply(gateway_at("r", "/b", &rewrite)).await?;
    stream.is_silent().await
}

async fn s66_67_calls_have_routes_of_their_own(w: World) -> Result<()> {
    w.apply_all([web(), srv("HTTP/2")]).await?;
    let rules = json!([{"matches": [{"method": {"service": "a.B"}}]}]);
    let calls = gateway("GRPCRoute", "g", &on_server("srv"), &rules);
    w.apply_judged(calls).await?;
    let http2 = told(told::http2(vec![told::default_route()]));
    let mut stream = w.web(80, http2).await?;
    w.apply(srv("gRPC")).await?;
    let grpc = || told(told::grpc(vec![told::grpc_route("g", "a.B")]));
    stream.tells(grpc()).await?;
    let policy = json!({"group": GATEWAY, "kind": "GRPCRoute", "name": "g"});
    w.apply(authorization_policy("p", &policy, &json!([])))
        .await?;
    let mut route = told::grpc_route("g", "a.B");
    route.authorizations = vec![told::policy("p", told::anyone(), &told::ANY)];
    stream.tells(told(told::grpc(vec![route]))).await
}

async fn s68_a_pattern_that_is_none_takes_its_route_with_it(w: World) -> Result<()> {
    w.apply_all([web(), srv("HTTP/1")]).await?;
    let mut stream = w.web(80, defaults()).await?;
    // The webhook would refuse it; here is none.
    let rules = json!([{"matches": [{"path": {"type": "RegularExpression", "value": "["}}]}]);
    w.apply_judged(http_route("r", &json!([on_server("srv")]), &rules))
        .await?;
    stream.is_silent().await?;
    w.apply(at_path("r", &on_server("srv"), "/a")).await?;
    stream
        .tells(routed(vec![told::http_route("r", "/a")]))
        .await
}

fn limit(name: &str, total: u32, overrides: Vec<limits::Override>) -> HttpLocalRateLimit {
    HttpLocalRateLimit {
        metadata: told::object("HTTPLocalRateLimitPolicy.policy.linkerd.io", "", name, 0),
        total: rate(total),
        identity: None,
        overrides,
    }
}

fn rate(requests_per_second: u32) -> Option<limits::Limit> {
    Some(limits::Limit {
        requests_per_second,
    })
}

async fn s69_71_a_limit_holds_where_requests_are_seen(w: World) -> Result<()> {
    let clients = json!([{"kind": "ServiceAccount", "name": "sa"}]);
    let limits = json!({
        "total": {"requestsPerSecond": 100},
        "overrides": [{"requestsPerSecond": 5, "clientRefs": clients}],
    });
    w.apply_all([web(), srv("HTTP/1"), rate_limit("limit", &limits)])
        .await?;
    // 71: the account is of the policy's namespace.
    let account = told::account(&w.fill("sa.$ns"));
    let limit = || {
        let clients = limits::r#override::ClientIdentities {
            identities: vec![told::identity(&account)],
        };
        let one = limits::Override {
            limit: rate(5),
            clients: Some(clients),
        };
        limit("limit", 100, vec![one])
    };
    let routes = || vec![told::default_route()];
    let limited = |kind| told(told::limited(kind, limit()));
    let mut stream = w.web(80, limited(told::http1(routes()))).await?;
    for (protocol, expected) in [
        ("unknown", limited(told::detect(routes()))),
        ("gRPC", told(told::grpc(vec![told::default_grpc_route()]))),
    ] {
        w.apply(srv(protocol)).await?;
        stream.tells(expected).await?;
    }
    Ok(())
}

async fn s70_of_two_limits_the_accepted_one_holds(w: World) -> Result<()> {
    let of = |name, total| rate_limit(name, &json!({"total": {"requestsPerSecond": total}}));
    w.apply_all([web(), srv("HTTP/1"), of("older", 1)]).await?;
    w.apply_later(of("newer", 2)).await?;
    let told = |name, total| {
        let routes = vec![told::default_route()];
        let limit = limit(name, total, vec![]);
        told(told::limited(told::http1(routes), limit))
    };
    let mut stream = w.web(80, told("older", 1)).await?;
    w.delete(&of("older", 1)).await?;
    stream.tells(defaults()).await?;
    stream.tells(told("newer", 2)).await
}
