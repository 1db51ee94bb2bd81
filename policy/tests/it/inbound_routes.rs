//! policy.md section 11, inbound: routes and rate limits.

use crate::{objects::*, support::*, told::*};
use ferrule_cluster::object::{
    Kind, Object, ObjectKey, PolicyTarget, ProxyProtocol, RateLimit, RateLimits, RateOverride,
    StatusCondition,
    route::{
        Filter, GrpcMatch, HeaderChanges, HttpMatch, Parent, ParentKey, ParentKind, ParentStatus,
        PathMatch, Redirect, RequestSettings, Requests, Route, RouteKind, RouteSpec, Rule, Rules,
    },
};
use ferrule_policy::{Acceptance, PolicySettings};
use ferrule_proto::{
    grpc_route::GrpcRpcMatch,
    http_route::path_match,
    inbound::{HttpLocalRateLimit, HttpRoute, Server, http_route::filter, proxy_protocol},
    meta::{Resource, metadata},
};
use std::sync::Arc;

fn parent(namespace: &str, server: &str) -> Parent {
    let key = ObjectKey::new(namespace, server);
    Parent {
        key: ParentKey::new(ParentKind::Server, key),
        port: None,
        is_part: false,
    }
}

fn accepted(is_accepted: bool) -> StatusCondition {
    StatusCondition {
        kind: "Accepted".into(),
        status: if is_accepted { "True" } else { "False" }.into(),
        reason: "Whatever".into(),
        message: "".into(),
    }
}

fn written(parent: &Parent, is_accepted: bool) -> ParentStatus {
    ParentStatus {
        parent: parent.key.clone(),
        port: parent.port,
        conditions: [accepted(is_accepted)].into(),
    }
}

/// A route on Server `srv`, accepted there.
fn on_srv(rules: Rules, hosts: &[&str]) -> Route {
    let parent = parent(NS, "srv");
    Route {
        created: None,
        status: [written(&parent, true)].into(),
        parents: [parent].into(),
        spec: Some(Arc::new(RouteSpec {
            hosts: hosts.iter().map(|host| (*host).into()).collect(),
            rules,
        })),
    }
}

fn requests<M, C>(rules: impl Into<Box<[Rule<M>]>>) -> Requests<M, C> {
    Requests {
        rules: rules.into(),
        settings: Some(RequestSettings::default()),
    }
}

fn rule<M>(of: M, filters: impl Into<Box<[Filter]>>) -> Rule<M> {
    Rule {
        matches: [of].into(),
        filters: filters.into(),
        backends: [].into(),
        timeout: None,
    }
}

/// What an HTTPRoute for one path is.
fn http(path: &str, filters: impl Into<Box<[Filter]>>) -> Route {
    let of = HttpMatch {
        path: Some(PathMatch::Exact(path.into())),
        ..HttpMatch::default()
    };
    on_srv(Rules::Http(requests([rule(of, filters)])), &[])
}

fn grpc(service: &str) -> Route {
    let of = GrpcMatch {
        rpc: Some((service.into(), "".into())),
        ..GrpcMatch::default()
    };
    on_srv(Rules::Grpc(requests([rule(of, [])])), &[])
}

/// A mesh with pod `web` and Server `srv` for its port 80.
fn mesh(spoken: ProxyProtocol) -> TestMesh {
    mesh_with(spoken, PolicySettings::default())
}

fn mesh_with(spoken: ProxyProtocol, settings: PolicySettings) -> TestMesh {
    let mut mesh = TestMesh::new(settings);
    mesh.apply("web", pod(template()));
    mesh.apply("srv", server(80, spoken));
    mesh
}

fn policy_http(route: Route) -> Object {
    Object::Route(RouteKind::PolicyHttp, route)
}

async fn told(mesh: &mut TestMesh) -> Server {
    mesh.port("ns:web", 80).await.expect("known")
}

fn http_routes(server: &Server) -> &[HttpRoute] {
    match kind(server) {
        proxy_protocol::Kind::Detect(detect) => &detect.http_routes,
        proxy_protocol::Kind::Http1(http) => &http.routes,
        proxy_protocol::Kind::Http2(http) => &http.routes,
        other => panic!("{other:?}"),
    }
}

/// `HTTPRoute.policy.linkerd.io/a` or the name of a default.
fn names(server: &Server) -> Vec<String> {
    let http = match kind(server) {
        proxy_protocol::Kind::Grpc(_) => &[][..],
        _ => http_routes(server),
    };
    let grpc = match kind(server) {
        proxy_protocol::Kind::Grpc(grpc) => &grpc.routes[..],
        _ => &[],
    };
    let http = http.iter().map(|route| &route.metadata);
    let all = http.chain(grpc.iter().map(|route| &route.metadata));
    all.map(|metadata| {
        match metadata
            .as_ref()
            .and_then(|metadata| metadata.kind.as_ref())
        {
            Some(metadata::Kind::Default(name)) => name.clone(),
            Some(metadata::Kind::Resource(resource)) => {
                let Resource {
                    group, kind, name, ..
                } = resource;
                assert!(resource.namespace.is_empty() && resource.port == 0);
                format!("{kind}.{group}/{name}")
            }
            None => panic!("no metadata"),
        }
    })
    .collect()
}

#[tokio::test]
async fn s24_59_60_a_route_takes_effect_with_its_status_and_the_defaults_go() {
    let mut mesh = mesh(ProxyProtocol::Http1);
    let mut client = mesh.watch_port("ns:web", 80).await.expect("known");
    assert_eq!(names(&client.read()[0]), ["default"]);
    let route = http("/a", []);
    let unwritten = Route {
        status: [].into(),
        ..route.clone()
    };
    mesh.apply("r", policy_http(unwritten));
    assert_eq!(client.read(), []);
    mesh.apply("r", policy_http(route.clone()));
    let now = client.read();
    assert_eq!(names(&now[0]), ["HTTPRoute.policy.linkerd.io/r"]);
    let of = &http_routes(&now[0])[0].rules[0].matches[0];
    let path = of.path.as_ref().and_then(|path| path.kind.clone());
    assert_eq!(path, Some(path_match::Kind::Exact("/a".into())));
    let refused = Route {
        status: [written(&parent(NS, "srv"), false)].into(),
        ..route
    };
    mesh.apply("r", policy_http(refused));
    assert_eq!(names(&client.read()[0]), ["default"]);
}

#[tokio::test]
async fn without_anybody_who_writes_statuses_a_route_takes_effect_at_once() {
    let settings = PolicySettings {
        acceptance: Acceptance::Computed,
        ..PolicySettings::default()
    };
    let mut mesh = mesh_with(ProxyProtocol::Http1, settings);
    let unwritten = Route {
        status: [].into(),
        ..http("/a", [])
    };
    mesh.apply("r", policy_http(unwritten));
    let mut client = mesh.watch_port("ns:web", 80).await.expect("known");
    assert_eq!(names(&client.read()[0]), ["HTTPRoute.policy.linkerd.io/r"]);
    // A more specific kind on the same Server puts it out of effect.
    mesh.apply("g", Object::Route(RouteKind::Grpc, grpc("a.B")));
    assert_eq!(names(&client.read()[0]), ["default"]);
    mesh.delete(Kind::GrpcRoute, "g");
    assert_eq!(names(&client.read()[0]), ["HTTPRoute.policy.linkerd.io/r"]);
}

#[tokio::test]
async fn s61_a_route_is_on_the_server_that_is_there() {
    let mut mesh = mesh(ProxyProtocol::Http1);
    let (here, missing) = (parent(NS, "srv"), parent(NS, "missing"));
    let route = Route {
        status: [written(&here, true), written(&missing, false)].into(),
        parents: [here, missing].into(),
        ..http("/a", [])
    };
    mesh.apply("r", policy_http(route));
    assert_eq!(
        names(&told(&mut mesh).await),
        ["HTTPRoute.policy.linkerd.io/r"]
    );
}

#[tokio::test]
async fn s62_a_server_elsewhere_or_a_part_of_one_makes_the_route_none_of_ours() {
    let elsewhere = parent("other", "srv");
    let part = Parent {
        is_part: true,
        ..parent(NS, "other")
    };
    for second in [elsewhere, part] {
        let mut mesh = mesh(ProxyProtocol::Http1);
        let here = parent(NS, "srv");
        let route = Route {
            status: [written(&here, true), written(&second, true)].into(),
            parents: [here, second].into(),
            ..http("/a", [])
        };
        mesh.apply("r", policy_http(route));
        assert_eq!(names(&told(&mut mesh).await), ["default"]);
    }
}

#[tokio::test]
async fn s63_the_oldest_route_comes_first_and_then_the_name_decides() {
    let aged = |created| Route {
        created,
        ..http("/a", [])
    };
    let mut mesh = mesh(ProxyProtocol::Http1);
    mesh.apply("a", policy_http(aged(Some(2))));
    mesh.apply("b", policy_http(aged(Some(1))));
    mesh.apply("c", policy_http(aged(None)));
    mesh.apply("b2", policy_http(aged(Some(2))));
    mesh.apply("a", Object::Route(RouteKind::Http, aged(Some(2))));
    assert_eq!(
        names(&told(&mut mesh).await),
        [
            "HTTPRoute.policy.linkerd.io/b",
            "HTTPRoute.gateway.networking.k8s.io/a",
            "HTTPRoute.policy.linkerd.io/a",
            "HTTPRoute.policy.linkerd.io/b2",
            "HTTPRoute.policy.linkerd.io/c",
        ]
    );
}

#[tokio::test]
async fn s64_responses_are_not_changed_on_this_side() {
    let mut mesh = mesh(ProxyProtocol::Http1);
    let changes = HeaderChanges {
        set: [("a".into(), "b".into())].into(),
        ..HeaderChanges::default()
    };
    let redirect = Redirect {
        scheme: None,
        host: "h".into(),
        path: None,
        port: 0,
        status: 302,
    };
    let filters = [
        Filter::ResponseHeaders(changes.clone()),
        Filter::RequestHeaders(changes),
        Filter::Redirect(redirect),
    ];
    mesh.apply("r", Object::Route(RouteKind::Http, http("/a", filters)));
    let server = told(&mut mesh).await;
    let kinds = http_routes(&server)[0].rules[0].filters.iter();
    let kinds: Vec<_> = kinds
        .map(|filter| filter.kind.as_ref().expect("set"))
        .collect();
    assert!(
        matches!(
            kinds[..],
            [
                filter::Kind::RequestHeaderModifier(_),
                filter::Kind::Redirect(_)
            ]
        ),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn s65_68_a_route_that_cannot_be_told_any_more_stays_what_it_was() {
    let mut mesh = mesh(ProxyProtocol::Http1);
    let broken = Route {
        spec: None,
        ..http("/a", [])
    };
    mesh.apply("never", policy_http(broken.clone()));
    assert_eq!(names(&told(&mut mesh).await), ["default"]);
    mesh.apply("once", policy_http(http("/a", [])));
    mesh.apply("once", policy_http(broken));
    assert_eq!(
        names(&told(&mut mesh).await),
        ["HTTPRoute.policy.linkerd.io/once"]
    );
}

#[tokio::test]
async fn s66_67_calls_have_routes_of_their_own() {
    let mut mesh = mesh(ProxyProtocol::Http2);
    mesh.apply("g", Object::Route(RouteKind::Grpc, grpc("a.B")));
    assert_eq!(names(&told(&mut mesh).await), ["default"]);
    mesh.apply("srv", server(80, ProxyProtocol::Grpc));
    mesh.apply("h", policy_http(http("/a", [])));
    let server = told(&mut mesh).await;
    assert_eq!(names(&server), ["GRPCRoute.gateway.networking.k8s.io/g"]);
    let proxy_protocol::Kind::Grpc(grpc) = kind(&server) else {
        panic!("{server:?}")
    };
    let rpc = GrpcRpcMatch {
        service: "a.B".into(),
        method: String::new(),
    };
    assert_eq!(grpc.routes[0].rules[0].matches[0].rpc, Some(rpc));
}

#[tokio::test]
async fn s50_51_who_may_call_by_a_route_is_told_with_the_route() {
    let target = |kind| {
        Some(PolicyTarget::Route {
            kind,
            name: "r".into(),
        })
    };
    for (kind, count) in [(RouteKind::PolicyHttp, 1), (RouteKind::Http, 0)] {
        let mut mesh = mesh(ProxyProtocol::Http1);
        mesh.apply("r", policy_http(http("/a", [])));
        let mut client = mesh.watch_port("ns:web", 80).await.expect("known");
        client.read();
        let mut policy = policy("srv");
        policy.target = target(kind);
        mesh.apply("p", policy);
        client.read();
        let server = client.newest.as_ref().expect("told");
        assert_eq!(server.authorizations, []);
        let authorizations = &http_routes(server)[0].authorizations;
        assert_eq!(authorizations.len(), count, "{kind:?}");
    }
}

fn limit(created: i64, total: u32, is_accepted: bool) -> RateLimit {
    RateLimit {
        created: Some(created),
        server: Some("srv".into()),
        limits: Some(RateLimits {
            total: Some(total),
            identity: None,
            overrides: [RateOverride {
                rate: 5,
                clients: [ObjectKey::new(NS, "sa")].into(),
            }]
            .into(),
        }),
        conditions: [accepted(is_accepted)].into(),
    }
}

fn limit_of(server: &Server) -> Option<&HttpLocalRateLimit> {
    match kind(server) {
        proxy_protocol::Kind::Detect(detect) => detect.http_local_rate_limit.as_ref(),
        proxy_protocol::Kind::Http1(http) => http.local_rate_limit.as_ref(),
        proxy_protocol::Kind::Http2(http) => http.local_rate_limit.as_ref(),
        _ => None,
    }
}

#[tokio::test]
async fn s69_71_requests_are_limited_where_http_is_spoken() {
    for (spoken, is_limited) in [
        (ProxyProtocol::Http1, true),
        (ProxyProtocol::Http2, true),
        (ProxyProtocol::Unknown, true),
        (ProxyProtocol::Grpc, false),
        (ProxyProtocol::Opaque, false),
        (ProxyProtocol::Tls, false),
    ] {
        let mut mesh = mesh(spoken);
        mesh.apply("l", limit(1, 100, true));
        let server = told(&mut mesh).await;
        let limit = limit_of(&server);
        assert_eq!(limit.is_some(), is_limited, "{spoken:?}");
        let Some(limit) = limit else { continue };
        assert_eq!(
            limit.total.map(|total| total.requests_per_second),
            Some(100)
        );
        let clients = limit.overrides[0].clients.as_ref().expect("set");
        assert_eq!(
            clients.identities[0].name,
            "sa.ns.serviceaccount.identity.linkerd.cluster.local"
        );
    }
}

#[tokio::test]
async fn s70_of_two_rate_limits_the_accepted_one_holds() {
    let mut mesh = mesh(ProxyProtocol::Http1);
    mesh.apply("older", limit(1, 1, true));
    mesh.apply("newer", limit(2, 2, false));
    let mut client = mesh.watch_port("ns:web", 80).await.expect("known");
    let total = |server: &Server| {
        limit_of(server)?
            .total
            .map(|total| total.requests_per_second)
    };
    assert_eq!(total(&client.read()[0]), Some(1));
    mesh.delete(Kind::RateLimit, "older");
    assert_eq!(total(&client.read()[0]), None);
    mesh.apply("newer", limit(2, 2, true));
    assert_eq!(total(&client.read()[0]), Some(2));
}

#[tokio::test]
async fn s39_what_is_not_looked_into_has_neither_routes_nor_limits() {
    for spoken in [ProxyProtocol::Opaque, ProxyProtocol::Tls] {
        let mut mesh = mesh(spoken);
        let before = told(&mut mesh).await;
        mesh.apply("r", policy_http(http("/a", [])));
        mesh.apply("l", limit(1, 1, true));
        assert_eq!(told(&mut mesh).await, before);
    }
}
