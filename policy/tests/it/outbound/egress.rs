//! policy.md section 11, outbound: what leaves the cluster.

use crate::{objects::network, routes::*, support::*, target::*};
use ferrule_cluster::object::{EgressNetwork, Kind as ObjectKind, Network, route::RouteKind};
use ferrule_policy::{Acceptance, PolicySettings};
use tonic::Code;

const OUT: &str = "1.1.1.1:80";
const GLOBAL: &str = "linkerd-egress";
const FALLBACK: &str = "egress-fallback detect egress-fallback | egress-fallback";
const HTTP: RouteKind = RouteKind::Http;

fn with_networks(networks: &[Network]) -> EgressNetwork {
    EgressNetwork {
        networks: Some(networks.into()),
        ..egress(true)
    }
}

fn of(cidrs: &[&str]) -> EgressNetwork {
    let networks: Vec<_> = cidrs.iter().map(|cidr| network(cidr, &[])).collect();
    with_networks(&networks)
}

#[tokio::test]
async fn s129_130_what_no_route_is_for_is_let_through_or_denied() {
    for (allows, spoken_as, http, opaque) in [
        (
            true,
            "out:80 detect http-egress-allow | tcp-egress-allow",
            "=out:80>1.1.1.1:80",
            "=out:80>1.1.1.1:80",
        ),
        (
            false,
            "out:80 detect http-egress-deny | tcp-egress-deny",
            "=out:80>1.1.1.1:80 (403 traffic not allowed)",
            "=out:80>1.1.1.1:80 (forbidden)",
        ),
    ] {
        let mut mesh = TestMesh::with_services();
        mesh.apply("out", egress(allows));
        let policy = mesh.policy(addr(OUT)).await.expect("known");
        assert_eq!(spoken(&policy), spoken_as);
        assert_eq!(
            (leads(&policy), opaque_leads(&policy)),
            (vec![http.into()], vec![opaque.into()])
        );
        // 130: a port that is opaque is only that,
        let policy = mesh.policy(addr("1.1.1.1:3306")).await.expect("known");
        let name = if allows { "allow" } else { "deny" };
        assert_eq!(
            spoken(&policy),
            format!("out:3306 opaque tcp-egress-{name}")
        );
        // unless the network says otherwise.
        let annotated = EgressNetwork {
            opaque_ports: Some(ports("80")),
            ..egress(allows)
        };
        mesh.apply("out", annotated);
        for (port, protocol) in [(80, "opaque"), (3306, "detect")] {
            let target = addr(&format!("1.1.1.1:{port}"));
            let policy = mesh.policy(target).await.expect("known");
            assert!(spoken(&policy).contains(protocol), "{policy:?}");
        }
    }
}

#[tokio::test]
async fn s131_defaults_come_after_routes() {
    use RouteKind::{Grpc, Tcp, Tls};
    for (kind, port, expected, denied) in [
        (
            HTTP,
            80,
            "detect r http-egress-deny | tcp-egress-deny",
            Some("=out:80>1.1.1.1:80 (403 traffic not allowed)"),
        ),
        (
            Grpc,
            80,
            "grpc r grpc-egress-deny",
            Some("=out:80>1.1.1.1:80 (7 traffic not allowed)"),
        ),
        (
            Tls,
            443,
            "tls r tls-egress-deny",
            Some("=out:443>1.1.1.1:443 (forbidden)"),
        ),
        (Tcp, 80, "opaque r", None),
    ] {
        let mut mesh = TestMesh::with_services();
        mesh.apply("out", egress(false));
        let parent = on_egress(NS, "out", Some(port));
        let rules = all_to(kind, &[to_egress("out", None)]);
        mesh.apply_route(kind, "r", route(&[parent], rules));
        let target = || addr(&format!("1.1.1.1:{port}"));
        let policy = mesh.policy(target()).await.expect("known");
        assert_eq!(spoken(&policy), format!("out:{port} {expected}"));
        let mut expected = vec![format!("1*out:{port}>1.1.1.1:{port}")];
        expected.extend(denied.map(str::to_owned));
        assert_eq!(leads(&policy), expected);
        mesh.apply("out", egress(true));
        let policy = mesh.policy(target()).await.expect("known");
        assert!(!spoken(&policy).contains("deny"));
    }
}

#[tokio::test]
async fn s132_a_route_without_a_port_is_on_no_egress_network() {
    let mut mesh = TestMesh::with_services();
    mesh.apply("out", egress(true));
    let rules = all_to(HTTP, &[to_egress("out", None)]);
    mesh.apply_route(
        HTTP,
        "r",
        route(&[on_egress(NS, "out", None)], rules.clone()),
    );
    let mut client = mesh.watch(addr(OUT)).await.expect("known");
    let none = "out:80 detect http-egress-allow | tcp-egress-allow";
    assert_eq!(spoken(&client.read()[0]), none);
    // D-18: nor is one on a Service of its name.
    mesh.apply_route(
        HTTP,
        "r",
        route(&[on_service(NS, "out", None)], rules.clone()),
    );
    assert_eq!(client.read(), []);
    mesh.apply_route(
        HTTP,
        "r",
        route(&[on_egress(NS, "out", Some(81))], rules.clone()),
    );
    assert_eq!(client.read(), []);
    mesh.apply_route(HTTP, "r", route(&[on_egress(NS, "out", Some(80))], rules));
    let told = client.read();
    assert_eq!(
        spoken(&told[0]),
        "out:80 detect r http-egress-allow | tcp-egress-allow"
    );
    assert_eq!(client.ended, None);
}

#[tokio::test]
async fn s133_134_networks_of_the_clients_namespace_come_before_those_for_all() {
    let mut mesh = TestMesh::with_services();
    let policy = async |mesh: &mut TestMesh, client: &str| {
        let policy = mesh.policy_from(client, addr(OUT)).await;
        spoken(&policy.expect("known"))
    };
    let all = |name: &str| format!("{name}:80 detect http-egress-allow | tcp-egress-allow");
    mesh.apply_in("a", "near", egress(true));
    assert_eq!(policy(&mut mesh, "b").await, FALLBACK);
    mesh.apply_in(GLOBAL, "far", egress(true));
    assert_eq!(policy(&mut mesh, "b").await, all("far.linkerd-egress"));
    assert_eq!(policy(&mut mesh, GLOBAL).await, all("far.linkerd-egress"));
    assert_eq!(policy(&mut mesh, "a").await, all("near.a"));
    // 134: also where they are not for that address.
    mesh.apply_in("a", "near", of(&["8.8.0.0/16"]));
    assert_eq!(policy(&mut mesh, "a").await, FALLBACK);
    let other = mesh.policy_from("a", addr("8.8.8.8:80")).await;
    assert_eq!(
        spoken(&other.expect("known")),
        "near.a:80 detect http-egress-allow | tcp-egress-allow"
    );
}

#[tokio::test]
async fn s135_the_smallest_network_wins_then_the_oldest_then_the_first_by_name() {
    let aged = |created, network: EgressNetwork| EgressNetwork { created, ..network };
    let ip = "1.1.1.1";
    for (first, second, expected) in [
        (of(&["1.1.0.0/16"]), of(&["1.1.1.0/24"]), "b"),
        (of(&["1.1.1.0/24"]), of(&["1.1.0.0/16"]), "a"),
        (
            aged(Some(2), of(&["1.1.0.0/16"])),
            aged(Some(1), of(&["1.1.0.0/16"])),
            "b",
        ),
        // The age of neither is less than none.
        (
            aged(Some(1), of(&["1.1.0.0/16"])),
            aged(None, of(&["1.1.0.0/16"])),
            "b",
        ),
        (of(&["1.1.0.0/16"]), of(&["1.1.0.0/16"]), "a"),
        // What is left out makes it smaller,
        (
            of(&["1.1.0.0/16"]),
            with_networks(&[network("1.1.0.0/16", &["1.1.2.0/24"])]),
            "b",
        ),
        // and is not of it.
        (
            with_networks(&[network("1.1.0.0/16", &["1.1.1.0/24"])]),
            of(&["0.0.0.0/0"]),
            "b",
        ),
        // The network counts that has the address, not another.
        (of(&["1.1.0.0/16", "9.9.9.9/32"]), of(&["1.1.1.0/24"]), "b"),
    ] {
        let mut mesh = TestMesh::with_services();
        mesh.apply("a", first);
        mesh.apply("b", second);
        let policy = mesh.policy(addr(&format!("{ip}:80"))).await.expect("known");
        assert!(
            spoken(&policy).starts_with(&format!("{expected}:80 ")),
            "{}",
            spoken(&policy)
        );
    }
    // D-11: of IPv6 too.
    let mut mesh = TestMesh::with_services();
    mesh.apply("a", aged(Some(1), of(&["2001:db8::/32"])));
    mesh.apply("b", aged(Some(2), of(&["2001:db8::/48"])));
    let policy = mesh.policy(addr("[2001:db8::1]:80")).await.expect("known");
    assert!(spoken(&policy).starts_with("b:80 "));
}

#[tokio::test]
async fn s136_137_a_network_may_be_around_the_clusters_but_services_win() {
    let mut mesh = TestMesh::new(PolicySettings {
        acceptance: Acceptance::Computed,
        ..PolicySettings::default()
    });
    mesh.apply("web", service(&["10.96.0.1"]));
    let everything = EgressNetwork {
        allows: false,
        conditions: [].into(),
        ..of(&["0.0.0.0/0"])
    };
    mesh.apply("out", everything);
    let rules = all_to(HTTP, &[]);
    let parent = on_egress(NS, "out", Some(80));
    mesh.apply_route(HTTP, "r", unaccepted(&[parent], rules));
    // Its status says that it overlaps, so no route is there; it holds all the
    // same.
    for ip in ["10.9.9.9", "1.1.1.1"] {
        let policy = mesh.policy(addr(&format!("{ip}:80"))).await.expect("known");
        let denied = format!("=out:80>{ip}:80 (403 traffic not allowed)");
        assert_eq!(leads(&policy), [denied]);
    }
    // Of a network that does not, the route is.
    mesh.apply("out", of(&["1.1.0.0/16"]));
    let policy = mesh.policy(addr(OUT)).await.expect("known");
    assert_eq!(
        spoken(&policy),
        "out:80 detect r http-egress-allow | tcp-egress-allow"
    );
    let status = mesh.policy(addr("10.9.9.9:80")).await.expect_err("inside");
    assert_eq!(status.code(), Code::NotFound);
    // 137
    mesh.apply("out", of(&["10.96.0.0/16"]));
    let policy = mesh.policy(addr("10.96.0.1:80")).await.expect("known");
    assert_eq!(spoken(&policy), "web:80 detect http | opaq");
    let policy = mesh.policy(addr("10.96.0.1:81")).await.expect("known");
    assert_eq!(spoken(&policy), "web:81 opaque undefined-port");
    let policy = mesh.policy(addr("10.96.0.2:81")).await.expect("known");
    assert_eq!(
        spoken(&policy),
        "out:81 detect http-egress-allow | tcp-egress-allow"
    );
}

#[tokio::test]
async fn s138_139_streams_end_when_networks_change_and_of_their_own_are_told_it() {
    let mut mesh = TestMesh::with_services();
    let allowed = "out:80 detect http-egress-allow | tcp-egress-allow";
    let denied = "out:80 detect http-egress-deny | tcp-egress-deny";
    let mut near = mesh.watch(addr(OUT)).await.expect("known");
    let mut far = mesh.watch_from("c", addr(OUT)).await.expect("known");
    let mut web = mesh.watch(addr("10.96.0.1:80")).await.expect("known");
    let mut by_name = mesh.watch(authority("web.ns.svc")).await.expect("known");
    for client in [&mut near, &mut far] {
        assert_eq!(spoken(&client.read()[0]), FALLBACK);
        assert_eq!(client.ended, None);
    }
    web.read();
    by_name.read();
    mesh.apply("out", egress(true));
    // To be something else is another answer; "far", as it is anywhere.
    for client in [&mut near, &mut far] {
        assert_eq!((client.read().len(), client.ended), (0, Some(Code::Ok)));
    }
    let mut near = mesh.watch(addr(OUT)).await.expect("known");
    let mut far = mesh.watch_from("c", addr(OUT)).await.expect("known");
    assert_eq!(spoken(&near.read()[0]), allowed);
    assert_eq!(spoken(&far.read()[0]), FALLBACK);
    // 139
    mesh.apply("out", egress(false));
    assert_eq!(spoken(&near.read()[0]), denied);
    assert_eq!(near.ended, Some(Code::Ok));
    let mut near = mesh.watch(addr(OUT)).await.expect("known");
    assert_eq!(spoken(&near.read()[0]), denied);
    // What is written into a status leads nobody elsewhere.
    let unwritten = EgressNetwork {
        conditions: [].into(),
        ..egress(false)
    };
    assert_ne!(unwritten, egress(false));
    mesh.apply("out", unwritten);
    assert_eq!((near.read().len(), near.ended), (0, None));
    // One of another namespace does not concern it.
    mesh.apply_in("d", "out", egress(true));
    assert_eq!((near.read().len(), near.ended), (0, None));
    mesh.delete(ObjectKind::EgressNetwork, "out");
    assert_eq!((near.read().len(), near.ended), (0, Some(Code::Ok)));
    let policy = mesh.policy(addr(OUT)).await.expect("known");
    assert_eq!(spoken(&policy), FALLBACK);
    // Nor is any of that about Services.
    for client in [&mut web, &mut by_name] {
        assert_eq!((client.read().len(), client.ended), (0, None));
    }
}

#[tokio::test]
async fn a_namespaces_first_network_takes_its_clients_from_those_for_all() {
    let mut mesh = TestMesh::with_services();
    mesh.apply_in(GLOBAL, "far", egress(true));
    let mut near = mesh.watch(addr(OUT)).await.expect("known");
    let mut other = mesh.watch_from("c", addr(OUT)).await.expect("known");
    for client in [&mut near, &mut other] {
        assert!(spoken(&client.read()[0]).starts_with("far.linkerd-egress:80 "));
    }
    // D-8, also where it has none of their addresses.
    mesh.apply("near", of(&["8.8.0.0/16"]));
    assert_eq!((near.read().len(), near.ended), (0, Some(Code::Ok)));
    assert_eq!((other.read().len(), other.ended), (0, None));
    // A change of those for all is for all.
    mesh.apply_in(GLOBAL, "far", egress(false));
    assert!(spoken(&other.read()[0]).contains("http-egress-deny"));
    assert_eq!(other.ended, Some(Code::Ok));
    let mut other = mesh.watch_from("c", addr(OUT)).await.expect("known");
    other.read();
    mesh.delete_in(GLOBAL, ObjectKind::EgressNetwork, "far");
    assert_eq!((other.read().len(), other.ended), (0, Some(Code::Ok)));
}

#[tokio::test]
async fn an_address_of_the_cluster_that_a_network_let_go_of_ends_without_a_word() {
    let mut mesh = TestMesh::with_services();
    mesh.apply("out", of(&["10.9.0.0/16"]));
    let mut client = mesh.watch(addr("10.9.9.9:80")).await.expect("known");
    assert!(spoken(&client.read()[0]).starts_with("out:80 "));
    mesh.delete(ObjectKind::EgressNetwork, "out");
    assert_eq!((client.read().len(), client.ended), (0, Some(Code::Ok)));
    let status = mesh.watch(addr("10.9.9.9:80")).await.err().expect("none");
    assert_eq!(status.code(), Code::NotFound);
    // One for all too.
    mesh.apply_in(GLOBAL, "far", of(&["10.9.0.0/16"]));
    let mut client = mesh.watch(addr("10.9.9.9:80")).await.expect("known");
    client.read();
    mesh.delete_in(GLOBAL, ObjectKind::EgressNetwork, "far");
    assert_eq!((client.read().len(), client.ended), (0, Some(Code::Ok)));
}

#[tokio::test]
async fn s109_140_141_what_a_network_leads_to() {
    let mut mesh = TestMesh::with_services();
    mesh.apply("out", egress(true));
    mesh.apply("two", of(&["8.8.0.0/16"]));
    let mut client = mesh.watch(addr(OUT)).await.expect("known");
    client.read();
    let same = "Route with EgressNetwork backend needs to have the same EgressNetwork as a parent";
    for (kind, backend, expected) in [
        (
            HTTP,
            to_egress("out", None),
            "1*out:80>1.1.1.1:80".to_owned(),
        ),
        (
            HTTP,
            to_egress("out", Some(443)),
            "1*out:443>1.1.1.1:80".to_owned(),
        ),
        (
            RouteKind::Grpc,
            weighted(5, to_egress("out", None)),
            "5*out:80>5*1.1.1.1:80".to_owned(),
        ),
        // 140
        (HTTP, backend("api", 8080), "1*api:8080".to_owned()),
        // 141
        (
            HTTP,
            to_egress("two", None),
            format!("1*!two:80(500 {same})"),
        ),
        (
            RouteKind::Tls,
            to_egress("two", Some(9)),
            format!("1*!two:9({same})"),
        ),
        (
            HTTP,
            to_egress("no", None),
            "1*!no:80(500 EgressNetwork not found no)".to_owned(),
        ),
    ] {
        let parent = on_egress(NS, "out", Some(80));
        mesh.apply_route(kind, "r", route(&[parent], all_to(kind, &[backend])));
        assert_eq!(leads(&client.read()[0])[0], expected);
        mesh.delete_route(kind, "r");
        client.read();
    }
    assert_eq!(client.ended, None);
    // D-5: a backend that goes is gone.
    let parent = on_egress(NS, "out", Some(80));
    let rules = all_to(HTTP, &[to_egress("two", None)]);
    mesh.apply_route(HTTP, "r", route(&[parent], rules));
    mesh.delete(ObjectKind::EgressNetwork, "two");
    let told = client.read();
    let newest = told.last().expect("told");
    assert_eq!(
        leads(newest)[0],
        "1*!two:80(500 EgressNetwork not found two)"
    );
}

#[tokio::test]
async fn routes_on_a_network_for_all_are_the_producers_or_the_clients_own() {
    let mut mesh = TestMesh::with_services();
    mesh.apply_in(GLOBAL, "far", egress(true));
    let mut near = mesh.watch(addr(OUT)).await.expect("known");
    let mut other = mesh.watch_from("c", addr(OUT)).await.expect("known");
    near.read();
    other.read();
    let parent = || on_egress(GLOBAL, "far", Some(80));
    mesh.apply_route(HTTP, "mine", route(&[parent()], all_to(HTTP, &[])));
    assert!(spoken(&near.read()[0]).contains("detect mine http-egress-allow"));
    assert_eq!(other.read(), []);
    mesh.apply_route_in(GLOBAL, HTTP, "all", route(&[parent()], all_to(HTTP, &[])));
    assert!(spoken(&near.read()[0]).contains("detect all.linkerd-egress mine http"));
    assert!(spoken(&other.read()[0]).contains("detect all.linkerd-egress http"));
}

/// The profile of an address outside of the cluster goes by the mesh's default
/// alone, and a proxy panics where it is opaque and the policy is of calls or TLS
/// (ruling 2).
#[tokio::test]
async fn a_port_that_profiles_say_is_opaque_is_never_grpc_or_tls() {
    for (kind, expected) in [
        (
            RouteKind::Grpc,
            "out:3306 detect http-egress-allow | tcp-egress-allow",
        ),
        (
            RouteKind::Tls,
            "out:3306 detect http-egress-allow | tcp-egress-allow",
        ),
        (
            HTTP,
            "out:3306 detect r http-egress-allow | tcp-egress-allow",
        ),
        (RouteKind::Tcp, "out:3306 opaque r"),
    ] {
        let mut mesh = TestMesh::with_services();
        let annotated = EgressNetwork {
            opaque_ports: Some(ports("")),
            ..egress(true)
        };
        mesh.apply("out", annotated);
        let parent = on_egress(NS, "out", Some(3306));
        mesh.apply_route(kind, "r", route(&[parent], all_to(kind, &[])));
        let policy = mesh.policy(addr("1.1.1.1:3306")).await.expect("known");
        assert_eq!(spoken(&policy), expected);
    }
}

#[tokio::test]
async fn annotations_of_a_network_hold_for_its_routes_and_defaults() {
    let mut mesh = TestMesh::with_services();
    let annotated = EgressNetwork {
        traffic: traffic(&[
            ("balancer.linkerd.io/failure-accrual", "consecutive"),
            ("balancer.alpha.linkerd.io/penalize-failures", "true"),
            ("retry.linkerd.io/http", "5xx"),
            ("timeout.linkerd.io/request", "5s"),
        ]),
        ..egress(true)
    };
    mesh.apply("out", annotated);
    let parent = on_egress(NS, "out", Some(80));
    let rules = all_to(HTTP, &[backend("api", 80)]);
    mesh.apply_route(HTTP, "r", route(&[parent], rules));
    let policy = mesh.policy(addr(OUT)).await.expect("known");
    // But that failures count is for Services to say.
    assert_eq!(leads(&policy), ["1*api:80", "=out:80>1.1.1.1:80"]);
    assert!(accrual(&policy).is_some());
    for route in http(&policy) {
        let rule = &route.rules[0];
        assert!(rule.retry.is_some());
        let request = rule.timeouts.as_ref().and_then(|timeouts| timeouts.request);
        assert_eq!(request.map(|request| request.seconds), Some(5));
    }
}
