//! policy.md section 11, outbound: what a target resolves to.

mod attachment;
mod backends;
mod egress;
mod protocols;
mod terms;

use crate::support::*;
use ferrule_cluster::object::{Kind as ObjectKind, Service};
use ferrule_policy::{PolicySettings, parse_networks};
use ferrule_proto::{
    http_route::{HttpRouteMatch, PathMatch, Timeouts, path_match},
    outbound::{
        Backend, HttpRoute, OpaqueRoute, OutboundPolicy,
        backend::{self, balance_p2c::Load, endpoint_discovery},
        http_route, opaque_route,
        proxy_protocol::{Detect, Kind},
    },
};
use std::net::SocketAddr;
use tonic::Code;

const WEB: &str = "web.ns.svc.cluster.local";

fn kind(policy: &OutboundPolicy) -> &Kind {
    policy
        .protocol
        .as_ref()
        .and_then(|protocol| protocol.kind.as_ref())
        .expect("a kind")
}

fn http_backend(route: &HttpRoute) -> &Backend {
    let [rule] = &route.rules[..] else {
        panic!("{route:?}");
    };
    assert!(rule.filters.is_empty() && rule.retry.is_none() && !rule.allow_l5d_request_headers);
    let distribution = rule
        .backends
        .as_ref()
        .and_then(|backends| backends.kind.as_ref());
    match distribution {
        Some(http_route::distribution::Kind::FirstAvailable(first)) => {
            assert!(first.backends.len() == 1 && first.backends[0].filters.is_empty());
            first.backends[0].backend.as_ref().expect("set")
        }
        other => panic!("{other:?}"),
    }
}

fn opaque_backend(route: &OpaqueRoute) -> &Backend {
    assert!(route.rules[0].filters.is_empty());
    let backends = route.rules[0].backends.as_ref();
    match backends.and_then(|backends| backends.kind.as_ref()) {
        Some(opaque_route::distribution::Kind::FirstAvailable(first)) => {
            assert_eq!(first.backends.len(), 1);
            first.backends[0].backend.as_ref().expect("set")
        }
        other => panic!("{other:?}"),
    }
}

/// The routes of a detecting policy: opaque and HTTP, the latter for both
/// versions.
fn detect(policy: &OutboundPolicy) -> (&OpaqueRoute, &HttpRoute) {
    let Kind::Detect(Detect {
        timeout,
        opaque: Some(opaque),
        http1: Some(http1),
        http2: Some(http2),
    }) = kind(policy)
    else {
        panic!("{policy:?}");
    };
    assert_eq!(timeout.map(|timeout| timeout.seconds), Some(10));
    assert_eq!(http1.routes, http2.routes);
    assert!(http1.failure_accrual.is_none() && http2.failure_accrual.is_none());
    let ([opaque], [http]) = (&opaque.routes[..], &http1.routes[..]) else {
        panic!("{policy:?}");
    };
    (opaque, http)
}

fn is_balancer(backend: &Backend, path: &str, port: u32) {
    assert_eq!(backend.metadata, service_metadata("web", port));
    let queue = backend.queue.as_ref().expect("set");
    assert_eq!(queue.capacity, 100);
    assert_eq!(
        queue.failfast_timeout.map(|timeout| timeout.seconds),
        Some(3)
    );
    let Some(backend::Kind::Balancer(balancer)) = &backend.kind else {
        panic!("{backend:?}");
    };
    let discovery = balancer.discovery.as_ref().and_then(|d| d.kind.as_ref());
    let Some(endpoint_discovery::Kind::Dst(get)) = discovery else {
        panic!("{backend:?}");
    };
    assert_eq!(get.path, path);
    let Some(Load::PeakEwma(ewma)) = &balancer.load else {
        panic!("{backend:?}");
    };
    assert_eq!(ewma.default_rtt.map(|rtt| rtt.nanos), Some(30_000_000));
    assert_eq!(ewma.decay.map(|decay| decay.seconds), Some(10));
}

/// The policy of a plain Service `web`.
fn is_plain(policy: &OutboundPolicy, port: u32) {
    assert_eq!(policy.metadata, service_metadata("web", port));
    let (opaque, http) = detect(policy);
    assert_eq!(opaque.metadata, default_metadata("opaq"));
    assert_eq!(http.metadata, default_metadata("http"));
    assert!(http.hosts.is_empty());
    let any = HttpRouteMatch {
        path: Some(PathMatch {
            kind: Some(path_match::Kind::Prefix("/".into())),
        }),
        ..HttpRouteMatch::default()
    };
    assert_eq!(http.rules[0].matches, [any]);
    assert_eq!(http.rules[0].timeouts, Some(Timeouts::default()));
    let path = format!("{WEB}:{port}");
    is_balancer(opaque_backend(opaque), &path, port);
    is_balancer(http_backend(http), &path, port);
}

fn is_undefined(policy: &OutboundPolicy, port: u32) {
    assert_eq!(policy.metadata, service_metadata("web", port));
    let Kind::Opaque(opaque) = kind(policy) else {
        panic!("{policy:?}");
    };
    let [route] = &opaque.routes[..] else {
        panic!("{policy:?}");
    };
    assert_eq!(route.metadata, default_metadata("undefined-port"));
    let rule = &route.rules[0];
    let backends = rule
        .backends
        .as_ref()
        .and_then(|backends| backends.kind.as_ref());
    assert!(matches!(
        backends,
        Some(opaque_route::distribution::Kind::Empty(_))
    ));
    let filters: Vec<_> = rule
        .filters
        .iter()
        .map(|filter| filter.kind.clone())
        .collect();
    assert!(matches!(
        filters[..],
        [Some(opaque_route::filter::Kind::Forbidden(_))]
    ));
}

fn is_fallback(policy: &OutboundPolicy, target: &str) {
    const NAME: &str = "egress-fallback";
    assert_eq!(policy.metadata, default_metadata(NAME));
    let (opaque, http) = detect(policy);
    assert_eq!(opaque.metadata, default_metadata(NAME));
    assert_eq!(http.metadata, default_metadata(NAME));
    assert_eq!(http.rules[0].matches, [HttpRouteMatch::default()]);
    assert_eq!(http.rules[0].timeouts, None);
    for backend in [opaque_backend(opaque), http_backend(http)] {
        assert_eq!(backend.metadata, default_metadata(NAME));
        let Some(backend::Kind::Forward(forward)) = &backend.kind else {
            panic!("{backend:?}");
        };
        let addr: SocketAddr = forward.addr.expect("set").try_into().expect("valid");
        assert_eq!((addr.to_string().as_str(), forward.weight), (target, 1));
        assert!(forward.tls_identity.is_none());
    }
}

#[tokio::test]
async fn s72_80_an_address_of_the_cluster_that_is_no_services_is_not_found() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    let mut web = pod(template());
    web.ips = [ip("10.1.2.3")].into_iter().collect();
    mesh.apply("web", web);
    for target in ["10.8.255.255:4191", "10.1.2.3:80", "[fd00::5]:80"] {
        let status = mesh.policy(addr(target)).await.expect_err(target);
        assert_eq!(status.code(), Code::NotFound, "{target}");
    }
}

#[tokio::test]
async fn s73_75_76_a_service_by_its_addresses_and_its_name() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", service(&["10.96.0.1", "fd00::1"]));
    for (target, port) in [
        (addr("10.96.0.1:80"), 80),
        (addr("[fd00::1]:80"), 80),
        (authority("web.ns.svc.cluster.local:80"), 80),
        (authority("web.ns.svc"), 80),
        (addr("10.96.0.1:8080"), 8080),
        (authority("web.ns.svc.cluster.local:8080"), 8080),
        // By name any port will do.
        (authority("web.ns.svc.cluster.local:9"), 9),
    ] {
        is_plain(&mesh.policy(target).await.expect("known"), port);
    }
}

#[tokio::test]
async fn s74_an_undeclared_port_is_forbidden_until_it_is_declared() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", service(&["10.96.0.1"]));
    let mut client = mesh.watch(addr("10.96.0.1:9")).await.expect("known");
    let told = client.read();
    assert_eq!(told.len(), 1);
    is_undefined(&told[0], 9);
    // Ruling 1: an open stream is told what a fresh one would be.
    mesh.apply(
        "web",
        Service {
            ports: [service_port(9, None)].into(),
            ..service(&["10.96.0.1"])
        },
    );
    let told = client.read();
    assert_eq!(told.len(), 1);
    is_plain(&told[0], 9);
    is_undefined(&mesh.policy(addr("10.96.0.1:80")).await.expect("known"), 80);
}

#[tokio::test]
async fn s77_a_service_that_is_not_there_has_the_default_policy_until_it_comes() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    let mut web = mesh.watch(authority("web.ns.svc:80")).await.expect("known");
    is_plain(&web.read()[0], 80);
    mesh.apply(
        "web",
        Service {
            opaque_ports: Some(ports("80")),
            ..service(&["10.96.0.1"])
        },
    );
    let told = web.read();
    assert_eq!(told.len(), 1);
    assert!(matches!(kind(&told[0]), Kind::Opaque(_)));
    mesh.delete(ObjectKind::Service, "web");
    is_plain(&web.read()[0], 80);
}

#[tokio::test]
async fn s80_an_address_outside_of_the_cluster_is_forwarded_to() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    for target in ["1.1.1.1:80", "[2001:db8::1]:443"] {
        is_fallback(&mesh.policy(addr(target)).await.expect(target), target);
    }
}

#[tokio::test]
async fn s81_which_addresses_are_the_clusters_is_a_setting() {
    let mut mesh = TestMesh::new(PolicySettings {
        cluster_networks: parse_networks("10.0.0.0/8").expect("literal"),
        ..PolicySettings::default()
    });
    for target in ["[fd00::5]:80", "192.168.0.1:80"] {
        is_fallback(&mesh.policy(addr(target)).await.expect(target), target);
    }
    assert!(mesh.policy(addr("10.255.0.1:80")).await.is_err());
}

#[tokio::test]
async fn s82_services_that_have_no_address_are_known_by_name_alone() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", service(&[]));
    is_plain(
        &mesh.policy(authority("web.ns.svc")).await.expect("known"),
        80,
    );
    for (name, unreachable) in [
        (
            "external",
            Service {
                external_name: true,
                ..service(&["10.96.0.1"])
            },
        ),
        (
            "portless",
            Service {
                ports: [].into(),
                ..service(&["10.96.0.1"])
            },
        ),
    ] {
        mesh.apply(name, unreachable);
        let status = mesh.policy(addr("10.96.0.1:80")).await.expect_err(name);
        assert_eq!(status.code(), Code::NotFound, "{name}");
    }
}

#[tokio::test]
async fn s83_a_deleted_services_streams_keep_their_policy_and_newcomers_find_none() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", service(&["10.96.0.1"]));
    let mut open = mesh.watch(addr("10.96.0.1:80")).await.expect("known");
    let mut late = mesh.watch(addr("10.96.0.1:80")).await.expect("known");
    is_plain(&open.read()[0], 80);
    mesh.delete(ObjectKind::Service, "web");
    assert_eq!((open.read(), open.ended), (vec![], None));
    // Who had not read yet is not left waiting.
    is_plain(&late.read()[0], 80);
    let status = mesh.policy(addr("10.96.0.1:80")).await.expect_err("gone");
    assert_eq!(status.code(), Code::NotFound);
    // The same Service again is not news.
    mesh.apply("web", service(&["10.96.0.1"]));
    assert_eq!(open.read(), []);
    // Another one is.
    mesh.delete(ObjectKind::Service, "web");
    mesh.apply("api", service(&["10.96.0.1"]));
    let told = open.read();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].metadata, service_metadata("api", 80));
}

#[tokio::test]
async fn an_address_outside_of_the_cluster_may_become_a_services_and_back() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    let mut client = mesh.watch(addr("1.1.1.1:80")).await.expect("known");
    is_fallback(&client.read()[0], "1.1.1.1:80");
    mesh.apply("web", service(&["1.1.1.1"]));
    is_plain(&client.read()[0], 80);
    mesh.delete(ObjectKind::Service, "web");
    is_fallback(&client.read()[0], "1.1.1.1:80");
}

#[tokio::test]
async fn of_two_services_with_one_address_the_one_with_the_port_is_meant() {
    for names in [["web", "api"], ["api", "web"]] {
        let mut mesh = TestMesh::new(PolicySettings::default());
        for name in names {
            let port = if name == "web" { 80 } else { 81 };
            mesh.apply(
                name,
                Service {
                    ports: [service_port(port, None), service_port(82, None)].into(),
                    ..service(&["10.96.0.1"])
                },
            );
        }
        for (port, expected) in [(80, "web"), (81, "api"), (82, "api"), (83, "api")] {
            let policy = mesh
                .policy(addr(&format!("10.96.0.1:{port}")))
                .await
                .expect("known");
            assert_eq!(policy.metadata, service_metadata(expected, port));
        }
    }
}

#[tokio::test]
async fn the_clusters_domain_is_in_what_proxies_look_up() {
    let mut mesh = TestMesh::new(PolicySettings {
        cluster_domain: "example.org".into(),
        ..PolicySettings::default()
    });
    let policy = mesh.policy(authority("web.ns.svc")).await.expect("known");
    is_balancer(
        http_backend(detect(&policy).1),
        "web.ns.svc.example.org:80",
        80,
    );
}
