//! Scenarios 84 to 94: how a target is spoken to.

use super::WEB;
use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::outbound::{OutboundPolicy, proxy_protocol::Kind};
use ferrule_tests::scenarios;
use serde_json::{Value, json};

scenarios! {
    s84_85_a_service_says_what_is_spoken_on_a_port,
    s86_ports_are_opaque_by_default_unless_a_service_says_which,
    s87_calls_over_http2_have_their_own_routes,
    s88_89_routes_of_what_is_not_spoken_are_not_told,
    s90_91_routes_say_what_is_spoken_where_a_service_does_not,
    s92_93_the_more_specific_kind_of_route_is_told,
    s94_a_tls_route_without_hosts_is_not_told,
}

/// Service `web` whose port 80 speaks this.
fn speaking(app_protocol: &str) -> Value {
    ports("web", &json!([{"port": 80, "appProtocol": app_protocol}]))
}

/// Port 80 of `web`, spoken to in this way alone.
fn only(w: &World, kind: Kind) -> OutboundPolicy {
    w.service("web", 80, kind)
}

fn opaque(w: &World) -> OutboundPolicy {
    only(
        w,
        told::opaque_only(told::default_opaque(w.balancer("web", 80))),
    )
}

async fn s84_85_a_service_says_what_is_spoken_on_a_port(w: World) -> Result<()> {
    w.apply(speaking("http")).await?;
    let default = || vec![told::default_http(w.balancer("web", 80))];
    let mut stream = w.target(WEB, only(&w, told::http1_only(default()))).await?;
    for (protocol, expected) in [
        ("linkerd.io/opaque", opaque(&w)),
        ("kubernetes.io/h2c", only(&w, told::http2_only(default()))),
        ("XMPP", opaque(&w)),
        ("HTTP", only(&w, told::http1_only(default()))),
        // Amended by ruling 2.
        ("grpc", only(&w, told::http2_only(default()))),
    ] {
        w.apply(speaking(protocol)).await?;
        stream.tells(expected).await?;
    }
    // 85: before the annotation.
    w.apply(annotated(speaking("http"), OPAQUE_PORTS, "80"))
        .await?;
    stream.tells(only(&w, told::http1_only(default()))).await
}

async fn s86_ports_are_opaque_by_default_unless_a_service_says_which(w: World) -> Result<()> {
    let mysql = || ports("web", &json!([{"port": 3306}]));
    let addr = w.service_addr(mysql(), 3306).await?;
    let route = told::default_opaque(w.balancer("web", 3306));
    let opaque = w.service("web", 3306, told::opaque_only(route));
    let mut stream = w.target(&addr, opaque).await?;
    w.apply(annotated(mysql(), OPAQUE_PORTS, "")).await?;
    stream.tells(w.plain("web", 3306)).await
}

async fn s87_calls_over_http2_have_their_own_routes(w: World) -> Result<()> {
    w.apply_all([speaking("kubernetes.io/h2c"), service("api")])
        .await?;
    let on = on_port("web", 80);
    // On another parent than the calls', or they would take its place.
    w.apply(all_to("h", &on_service("web"), &json!([to("api", 80)])))
        .await?;
    let http = vec![w.route_to("h", w.balancer("api", 80))];
    let http2 = only(&w, told::http2_only(http));
    let mut stream = w.target(WEB, http2.clone()).await?;
    let calls = gateway_to("GRPCRoute", "g", &on, &to("api", 80));
    w.apply(calls.clone()).await?;
    let routes = vec![w.grpc_route("g", w.balancer("api", 80))];
    stream.tells(only(&w, told::grpc_only(routes))).await?;
    w.delete(&calls).await?;
    stream.tells(http2).await
}

async fn s88_89_routes_of_what_is_not_spoken_are_not_told(w: World) -> Result<()> {
    w.apply_all([speaking("http"), service("api")]).await?;
    let on = on_port("web", 80);
    let calls = gateway_to("GRPCRoute", "g", &on, &to("api", 80));
    w.apply_judged(calls.clone()).await?;
    let default = vec![told::default_http(w.balancer("web", 80))];
    let mut stream = w.target(WEB, only(&w, told::http1_only(default))).await?;
    // 89
    w.delete(&calls).await?;
    w.apply(all_to("h", &on_service("web"), &json!([to("api", 80)])))
        .await?;
    let http = vec![w.route_to("h", w.balancer("api", 80))];
    stream.tells(only(&w, told::http1_only(http))).await?;
    w.apply(speaking("linkerd.io/tcp")).await?;
    stream.tells(opaque(&w)).await?;
    let tcp = gateway_to("TCPRoute", "t", &on, &to("api", 80));
    w.apply(tcp).await?;
    let route = w.opaque_route("t", w.balancer("api", 80));
    stream.tells(only(&w, told::opaque_only(route))).await
}

async fn s90_91_routes_say_what_is_spoken_where_a_service_does_not(w: World) -> Result<()> {
    w.apply_all([service("web"), service("api")]).await?;
    let on = on_port("web", 80);
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    let on_any = on_service("web");
    let route = |kind, name| {
        // A less specific kind on the very same parent would not be accepted.
        let on = if kind == "TCPRoute" { &on_any } else { &on };
        gateway_to(kind, name, on, &to("api", 80))
    };
    let api = || w.balancer("api", 80);
    w.apply(route("GRPCRoute", "g")).await?;
    let calls = vec![w.grpc_route("g", api())];
    stream.tells(only(&w, told::grpc_only(calls))).await?;
    w.delete(&route("GRPCRoute", "g")).await?;
    stream.tells(w.plain("web", 80)).await?;
    // 91: of two TCPRoutes the older, of two TLSRoutes both.
    w.apply(route("TCPRoute", "z")).await?;
    let older = || only(&w, told::opaque_only(w.opaque_route("z", api())));
    stream.tells(older()).await?;
    // It is told again that there is another.
    w.apply_later(route("TCPRoute", "a")).await?;
    stream.tells(older()).await?;
    let tls = |name| w.tls_route(name, "a.example.com", api());
    w.apply(route("TLSRoute", "z")).await?;
    stream
        .tells(only(&w, told::tls_only(vec![tls("z")])))
        .await?;
    w.apply_later(route("TLSRoute", "a")).await?;
    let both = vec![tls("z"), tls("a")];
    stream.tells(only(&w, told::tls_only(both))).await
}

async fn s92_93_the_more_specific_kind_of_route_is_told(w: World) -> Result<()> {
    w.apply_all([service("web"), service("api")]).await?;
    let on = on_port("web", 80);
    // The TLSRoute is refused, being the less specific kind.
    w.apply(gateway_to("TLSRoute", "t", &on, &to("api", 80)))
        .await?;
    w.apply(all_to("h", &on, &json!([to("api", 80)]))).await?;
    let http = vec![w.route_to("h", w.balancer("api", 80))];
    let mut stream = w.target(WEB, w.routed("web", 80, http)).await?;
    // 93: on all ports and on one is no conflict; calls win.
    let calls = gateway_to("GRPCRoute", "g", &on_service("web"), &to("api", 80));
    w.apply(calls).await?;
    let calls = vec![w.grpc_route("g", w.balancer("api", 80))];
    stream.tells(only(&w, told::grpc_only(calls))).await
}

async fn s94_a_tls_route_without_hosts_is_not_told(w: World) -> Result<()> {
    w.apply_all([service("web"), service("api")]).await?;
    let hosted = gateway_to("TLSRoute", "t", &on_port("web", 80), &to("api", 80));
    let without = with(hosted.clone(), json!({"spec": {"hostnames": null}}));
    // Newer definitions require them; where the API server does, there is none.
    if w.apply(without).await.is_ok() {
        let mut stream = w.target(WEB, w.plain("web", 80)).await?;
        stream.is_silent().await?;
    }
    w.apply(hosted).await?;
    let route = w.tls_route("t", "a.example.com", w.balancer("api", 80));
    w.target(WEB, only(&w, told::tls_only(vec![route])))
        .await
        .map(drop)
}
