//! policy.md section 11, outbound: protocol selection.

use crate::{routes::*, support::*, target::*};
use ferrule_cluster::object::{
    Object, Service, StatusCondition,
    route::{ParentKind, RouteKind},
};
use ferrule_policy::{Acceptance, PolicySettings};

const WEB: &str = "web.ns.svc:80";

/// What port 80 of `web` is told, with routes named by their kinds.
async fn told(service: Service, kinds: &[RouteKind]) -> String {
    let mut mesh = TestMesh::with_services();
    mesh.apply("web", service);
    for kind in kinds {
        let name = kind.name().to_ascii_lowercase();
        let route = route(&[on_web(80)], all_to(*kind, &[backend("api", 80)]));
        mesh.apply_route(*kind, &name, route);
    }
    spoken(&mesh.policy(authority(WEB)).await.expect("known"))
}

fn opaque(service: Service) -> Service {
    Service {
        opaque_ports: Some(ports("80")),
        ..service
    }
}

#[tokio::test]
async fn s84_85_an_app_protocol_decides() {
    for (app_protocol, expected) in [
        (None, "detect http | opaq"),
        (Some("http"), "http1 http"),
        (Some("HTTP"), "http1 http"),
        (Some("kubernetes.io/h2c"), "http2 http"),
        // Amended by ruling 2.
        (Some("grpc"), "http2 http"),
        (Some("linkerd.io/opaque"), "opaque opaq"),
        (Some("linkerd.io/tcp"), "opaque opaq"),
        (Some("XMPP"), "opaque opaq"),
        (Some("https"), "opaque opaq"),
    ] {
        let expected = format!("web:80 {expected}");
        assert_eq!(told(speaking(app_protocol), &[]).await, expected);
    }
    assert_eq!(
        told(opaque(speaking(Some("http"))), &[]).await,
        "web:80 http1 http"
    );
}

#[tokio::test]
async fn s86_default_opaque_ports_hold_where_no_annotation_does() {
    let mut mesh = TestMesh::with_services();
    let sql = Service {
        ports: [service_port(3306, None)].into(),
        ..service(&["10.96.0.1"])
    };
    mesh.apply("web", sql.clone());
    let mut client = mesh.watch(addr("10.96.0.1:3306")).await.expect("known");
    assert_eq!(spoken(&client.read()[0]), "web:3306 opaque opaq");
    let annotated = Service {
        opaque_ports: Some(ports("")),
        ..sql
    };
    mesh.apply("web", annotated);
    assert_eq!(spoken(&client.read()[0]), "web:3306 detect http | opaq");
}

#[tokio::test]
async fn s87_to_93_the_protocol_and_the_kinds_of_routes_decide() {
    use RouteKind::{Grpc, Http, PolicyHttp, Tcp, Tls};
    let h2c = || speaking(Some("kubernetes.io/h2c"));
    let plain = || speaking(None);
    for (service, kinds, expected) in [
        // 87
        (h2c(), &[Grpc][..], "grpc grpcroute"),
        (h2c(), &[Grpc, Http], "grpc grpcroute"),
        (h2c(), &[Http], "http2 httproute"),
        (h2c(), &[Tls, Tcp], "http2 http"),
        (speaking(Some("grpc")), &[Grpc], "grpc grpcroute"),
        (speaking(Some("grpc")), &[Http], "http2 httproute"),
        // 88
        (speaking(Some("http")), &[Grpc], "http1 http"),
        (
            speaking(Some("http")),
            &[Grpc, PolicyHttp],
            "http1 httproute",
        ),
        // 89
        (opaque(plain()), &[Http], "opaque opaq"),
        (opaque(plain()), &[Http, Tcp], "opaque tcproute"),
        (speaking(Some("https")), &[Tls, Tcp], "opaque tcproute"),
        // 90, 93
        (plain(), &[Grpc], "grpc grpcroute"),
        (plain(), &[Tcp, Tls, Http, Grpc], "grpc grpcroute"),
        (plain(), &[Http], "detect httproute | opaq"),
        (plain(), &[Tcp, Tls, PolicyHttp], "detect httproute | opaq"),
        (plain(), &[Tcp, Tls], "tls tlsroute"),
        (plain(), &[Tcp], "opaque tcproute"),
    ] {
        let expected = format!("web:80 {expected}");
        assert_eq!(told(service, kinds).await, expected, "{kinds:?}");
    }
}

#[tokio::test]
async fn s91_of_tcp_routes_the_first_counts_and_of_tls_routes_all() {
    for (kind, expected) in [
        (RouteKind::Tcp, "web:80 opaque older"),
        (RouteKind::Tls, "web:80 tls older newer"),
    ] {
        let mut mesh = TestMesh::with_services();
        for (name, at) in [("newer", 2), ("older", 1)] {
            let route = route(&[on_web(80)], all_to(kind, &[backend("api", 80)]));
            mesh.apply_route(kind, name, created(at, route));
        }
        let policy = mesh.policy(authority(WEB)).await.expect("known");
        assert_eq!(spoken(&policy), expected);
    }
}

/// Clients of Linkerd wait for it.
#[tokio::test]
async fn a_tcp_route_after_another_is_told_by_the_same_policy_again() {
    let mut mesh = TestMesh::with_services();
    let mut client = mesh.watch(authority(WEB)).await.expect("known");
    let mut other = mesh.watch(authority("api.ns.svc:80")).await.expect("known");
    client.read();
    other.read();
    for (name, at, expected) in [("a", 1, 1), ("b", 2, 1), ("b", 2, 0)] {
        let rules = all_to(RouteKind::Tcp, &[backend("api", 80)]);
        let route = created(at, route(&[on_web(80)], rules));
        mesh.apply_route(RouteKind::Tcp, name, route);
        let told = client.read();
        assert_eq!(told.len(), expected, "{name}");
        assert!(told.iter().all(|told| spoken(told) == "web:80 opaque a"));
    }
    // What takes no effect is not told either.
    let rules = all_to(RouteKind::Tcp, &[backend("api", 80)]);
    mesh.apply_route(RouteKind::Tcp, "c", unaccepted(&[on_web(80)], rules));
    assert_eq!((client.read().len(), other.read().len()), (0, 0));
}

/// Where nobody writes statuses they are what would be written.
#[tokio::test]
async fn s92_93_routes_of_a_less_specific_kind_on_the_same_parent_give_way() {
    let mut mesh = TestMesh::new(PolicySettings {
        acceptance: Acceptance::Computed,
        ..PolicySettings::default()
    });
    let rules = |kind| all_to(kind, &[backend("api", 80)]);
    let mut client = mesh.watch(authority(WEB)).await.expect("known");
    let on = |parent, kind| unaccepted(&[parent], rules(kind));
    mesh.apply_route(RouteKind::Tls, "tls", on(on_web(80), RouteKind::Tls));
    // There is no such Service yet.
    assert_eq!(spoken(&client.read()[0]), "web:80 detect http | opaq");
    mesh.apply("web", service(&["10.96.0.1"]));
    assert_eq!(spoken(&client.read()[0]), "web:80 tls tls");
    mesh.apply_route(RouteKind::Http, "http", on(on_web(80), RouteKind::Http));
    assert_eq!(spoken(&client.read()[0]), "web:80 detect http | opaq");
    assert_eq!(
        leads(client.newest.as_ref().expect("told")),
        ["1*!api:80(500 Service not found api)"]
    );
    // Another reference to the parent is none to this port.
    let all = on_service(NS, "web", None);
    mesh.apply_route(RouteKind::Grpc, "grpc", on(all, RouteKind::Grpc));
    assert_eq!(spoken(&client.read()[0]), "web:80 grpc grpc");
    mesh.delete_route(RouteKind::Grpc, "grpc");
    mesh.delete_route(RouteKind::Http, "http");
    assert_eq!(spoken(&client.read()[0]), "web:80 tls tls");
    // Not headless either.
    mesh.apply("web", service(&[]));
    assert_eq!(spoken(&client.read()[0]), "web:80 detect http | opaq");
}

/// Of scenario 94 the index sees a route without names: it is for any.
#[tokio::test]
async fn s94_the_names_that_tls_clients_ask_for_are_told() {
    let mut mesh = TestMesh::with_services();
    let rules = all_to(RouteKind::Tls, &[backend("api", 80)]);
    let named = with_hosts(
        &["a.example.org", "*.example.org"],
        route(&[on_web(80)], rules),
    );
    mesh.apply_route(RouteKind::Tls, "named", named);
    let policy = mesh.policy(authority(WEB)).await.expect("known");
    let ferrule_proto::outbound::proxy_protocol::Kind::Tls(tls) = kind(&policy) else {
        panic!("{policy:?}");
    };
    assert_eq!(tls.routes[0].snis.len(), 2);
    assert_eq!(leads(&policy), ["1*api:80"]);
}

/// What the status has to say, and of what.
#[tokio::test]
async fn only_what_the_status_says_of_that_parent_counts() {
    let mut mesh = TestMesh::with_services();
    let parents = [on_web(80)];
    let rules = || all_to(RouteKind::Http, &[backend("api", 80)]);
    let mut client = mesh.watch(authority(WEB)).await.expect("known");
    client.read();
    let bare = unaccepted(&parents, rules());
    // 115: `status` holds what this controller wrote and nothing else.
    mesh.apply_route(RouteKind::Http, "r", bare.clone());
    assert_eq!(client.read(), []);
    // D-4: another namespace, another port, another kind.
    for other in [
        on_service("other", "web", Some(80)),
        on_web(81),
        on_egress(NS, "web", Some(80)),
    ] {
        mesh.apply_route(RouteKind::Http, "r", accepted_by(&[other], bare.clone()));
        assert_eq!(client.read(), []);
    }
    let mut refused = route(&parents, rules());
    refused.status[0].conditions = [StatusCondition {
        status: "False".into(),
        ..refused.status[0].conditions[0].clone()
    }]
    .into();
    assert_eq!(refused.status[0].parent.kind, ParentKind::Service);
    mesh.apply_in(NS, "r", Object::Route(RouteKind::Http, refused.clone()));
    assert_eq!(client.read(), []);
    mesh.apply_route(RouteKind::Http, "r", route(&parents, rules()));
    assert_eq!(spoken(&client.read()[0]), "web:80 detect r | opaq");
    mesh.apply_route(RouteKind::Http, "r", refused);
    assert_eq!(spoken(&client.read()[0]), "web:80 detect http | opaq");
}
