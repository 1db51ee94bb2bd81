//! policy.md section 11, outbound: which routes are told to whom.

use crate::{routes::*, support::*, target::*};
use ferrule_cluster::object::{
    Kind as ObjectKind,
    route::{Parent, RouteKind},
};
use ferrule_proto::{
    http_route::host_match,
    meta::{Resource, metadata},
};

const WEB: &str = "web.ns.svc:80";
const HTTP: RouteKind = RouteKind::Http;

fn to_api(parents: &[Parent]) -> ferrule_cluster::object::route::Route {
    route(parents, all_to(HTTP, &[within(NS, backend("api", 80))]))
}

#[tokio::test]
async fn s110_a_producers_routes_are_for_all_and_a_consumers_for_its_own_clients() {
    let mut mesh = TestMesh::with_services();
    let mut clients = Vec::new();
    for namespace in [NS, "c", "d"] {
        let client = mesh.watch_from(namespace, authority(WEB)).await;
        let mut client = client.expect("known");
        client.read();
        clients.push(client);
    }
    mesh.apply_route_in("c", HTTP, "consumer", to_api(&[on_web(80)]));
    let told: Vec<_> = clients.iter_mut().map(Client::read).collect();
    assert_eq!((told[0].len(), told[1].len(), told[2].len()), (0, 1, 0));
    assert_eq!(spoken(&told[1][0]), "web:80 detect consumer.c | opaq");
    mesh.apply_route(HTTP, "producer", to_api(&[on_web(80)]));
    let told = clients.iter_mut().map(|client| spoken(&client.read()[0]));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [
            "web:80 detect producer | opaq",
            "web:80 detect consumer.c producer | opaq",
            "web:80 detect producer | opaq",
        ]
    );
    // Who comes later is told the same.
    for (namespace, expected) in [
        ("c", "web:80 detect consumer.c producer | opaq"),
        ("e", "web:80 detect producer | opaq"),
    ] {
        for target in [authority(WEB), addr("10.96.0.1:80")] {
            let policy = mesh.policy_from(namespace, target).await.expect("known");
            assert_eq!(spoken(&policy), expected);
        }
    }
}

#[tokio::test]
async fn s111_116_producers_and_consumers_are_ordered_alike() {
    for (producer, consumer, expected) in [
        (Some(1), Some(2), "p q.c"),
        (Some(2), Some(1), "q.c p"),
        (None, Some(1), "q.c p"),
        (None, None, "p q.c"),
    ] {
        let mut mesh = TestMesh::with_services();
        for (namespace, name, at) in [(NS, "p", producer), ("c", "q", consumer)] {
            let mut route = to_api(&[on_web(80)]);
            route.created = at;
            mesh.apply_route_in(namespace, HTTP, name, route);
        }
        let policy = mesh.policy_from("c", authority(WEB)).await.expect("known");
        assert_eq!(spoken(&policy), format!("web:80 detect {expected} | opaq"));
    }
    // Where nothing is prescribed every process decides alike.
    let mut mesh = TestMesh::with_services();
    mesh.apply_route(HTTP, "same", to_api(&[on_web(80)]));
    mesh.apply_route_in("c", HTTP, "same", to_api(&[on_web(80)]));
    mesh.apply_route(RouteKind::PolicyHttp, "same", to_api(&[on_web(80)]));
    let policy = mesh.policy_from("c", authority(WEB)).await.expect("known");
    assert_eq!(spoken(&policy), "web:80 detect same.c same same | opaq");
    let groups = http(&policy)[1..].iter().map(|route| {
        match route.metadata.as_ref().and_then(|one| one.kind.as_ref()) {
            Some(metadata::Kind::Resource(resource)) => &*resource.group,
            other => panic!("{other:?}"),
        }
    });
    let groups: Vec<_> = groups.collect();
    assert_eq!(groups, ["gateway.networking.k8s.io", "policy.linkerd.io"]);
}

#[tokio::test]
async fn s112_a_route_without_a_port_is_for_all_ports() {
    let mut mesh = TestMesh::with_services();
    let mut watched = mesh.watch(addr("10.96.0.1:80")).await.expect("known");
    watched.read();
    mesh.apply_route(HTTP, "r", to_api(&[on_service(NS, "web", None)]));
    assert_eq!(spoken(&watched.read()[0]), "web:80 detect r | opaq");
    for port in [80, 8080, 9] {
        let target = authority(&format!("web.ns.svc:{port}"));
        let policy = mesh.policy(target).await.expect("known");
        assert_eq!(spoken(&policy), format!("web:{port} detect r | opaq"));
    }
    // D-6: with a port it is for that one alone.
    mesh.apply_route(HTTP, "r", to_api(&[on_web(8080)]));
    assert_eq!(spoken(&watched.read()[0]), "web:80 detect http | opaq");
    for (port, expected) in [(8080, "r"), (9, "http")] {
        let target = authority(&format!("web.ns.svc:{port}"));
        let policy = mesh.policy(target).await.expect("known");
        assert_eq!(
            spoken(&policy),
            format!("web:{port} detect {expected} | opaq")
        );
    }
}

/// policy.md section 6.6.
#[tokio::test]
async fn a_status_of_all_ports_is_one_of_each_until_that_is_judged() {
    let all = || on_service(NS, "web", None);
    for (parent, accepting, refusing, takes_effect) in [
        (on_web(80), all(), None, true),
        (all(), on_web(8080), None, true),
        (on_web(80), on_web(80), None, true),
        (on_web(80), on_web(8080), None, false),
        // What is said of the very parent counts before all else.
        (on_web(80), all(), Some(on_web(80)), false),
        (all(), on_web(80), Some(all()), false),
    ] {
        let mut mesh = TestMesh::with_services();
        let mut route = accepted_by(&[accepting], to_api(std::slice::from_ref(&parent)));
        if let Some(refusing) = refusing {
            let mut refused = accepted_by(&[refusing], route.clone());
            refused.status[0].conditions = [].into();
            route.status = [&*route.status, &*refused.status].concat().into();
        }
        mesh.apply_route(HTTP, "r", route);
        let policy = mesh.policy(authority(WEB)).await.expect("known");
        let expected = if takes_effect { "r" } else { "http" };
        let expected = format!("web:80 detect {expected} | opaq");
        assert_eq!(spoken(&policy), expected, "{parent:?}");
    }
}

#[tokio::test]
async fn s113_114_a_route_follows_its_parents() {
    let mut mesh = TestMesh::with_services();
    mesh.apply_route(HTTP, "r", to_api(&[on_web(80)]));
    let mut web = mesh.watch(addr("10.96.0.1:80")).await.expect("known");
    let mut api = mesh.watch(addr("10.96.0.2:80")).await.expect("known");
    assert_eq!(spoken(&web.read()[0]), "web:80 detect r | opaq");
    assert_eq!(spoken(&api.read()[0]), "api:80 detect http | opaq");
    let moved = to_api(&[on_service(NS, "api", Some(80))]);
    mesh.apply_route(HTTP, "r", moved);
    assert_eq!(spoken(&web.read()[0]), "web:80 detect http | opaq");
    assert_eq!(spoken(&api.read()[0]), "api:80 detect r | opaq");
    // 114: without a parent that the mesh knows it is for nobody.
    mesh.apply_route(HTTP, "r", to_api(&[]));
    assert_eq!(web.read(), []);
    assert_eq!(spoken(&api.read()[0]), "api:80 detect http | opaq");
    // Of several parents each is one.
    let both = to_api(&[on_web(80), on_service(NS, "api", None)]);
    mesh.apply_route(HTTP, "r", both);
    assert_eq!(spoken(&web.read()[0]), "web:80 detect r | opaq");
    assert_eq!(spoken(&api.read()[0]), "api:80 detect r | opaq");
    mesh.delete(ObjectKind::HttpRoute, "r");
    assert_eq!(spoken(&web.read()[0]), "web:80 detect http | opaq");
    assert_eq!(spoken(&api.read()[0]), "api:80 detect http | opaq");
}

/// D-10.
#[tokio::test]
async fn a_route_that_cannot_be_told_any_more_stays_as_it_was() {
    let mut mesh = TestMesh::with_services();
    let known = to_api(&[on_web(80)]);
    mesh.apply_route(HTTP, "r", known.clone());
    let mut web = mesh.watch(authority(WEB)).await.expect("known");
    let first = web.read();
    let unreadable = ferrule_cluster::object::route::Route {
        spec: None,
        ..known
    };
    mesh.apply_route(HTTP, "r", unreadable.clone());
    assert_eq!(web.read(), []);
    assert_eq!(mesh.policy(authority(WEB)).await.expect("known"), first[0]);
    // One that never could be is for nobody.
    mesh.apply_route(HTTP, "other", unreadable);
    assert_eq!(web.read(), []);
}

#[tokio::test]
async fn a_route_is_told_with_its_kind_its_hosts_and_no_port() {
    for (kind, group, name) in [
        (RouteKind::Http, "gateway.networking.k8s.io", "HTTPRoute"),
        (RouteKind::PolicyHttp, "policy.linkerd.io", "HTTPRoute"),
        (RouteKind::Grpc, "gateway.networking.k8s.io", "GRPCRoute"),
    ] {
        let mut mesh = TestMesh::with_services();
        let route = route(&[on_web(80)], all_to(kind, &[]));
        let hosts = ["a.example.org", "*.example.org"];
        mesh.apply_route(kind, "r", with_hosts(&hosts, route));
        let policy = mesh.policy(authority(WEB)).await.expect("known");
        let (metadata, hosts) = match kind {
            RouteKind::Grpc => (&grpc(&policy)[0].metadata, &grpc(&policy)[0].hosts),
            _ => (&http(&policy)[0].metadata, &http(&policy)[0].hosts),
        };
        let expected = metadata::Kind::Resource(Resource {
            group: group.into(),
            kind: name.into(),
            name: "r".into(),
            namespace: NS.into(),
            section: String::new(),
            port: 0,
        });
        let metadata = metadata
            .as_ref()
            .and_then(|metadata| metadata.kind.as_ref());
        assert_eq!(metadata, Some(&expected));
        let suffix = host_match::Suffix {
            reverse_labels: vec!["org".into(), "example".into()],
        };
        let hosts: Vec<_> = hosts.iter().map(|host| host.r#match.clone()).collect();
        assert_eq!(
            hosts,
            [
                Some(host_match::Match::Exact("a.example.org".into())),
                Some(host_match::Match::Suffix(suffix))
            ]
        );
    }
}
