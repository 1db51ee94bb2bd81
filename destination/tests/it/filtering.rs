//! destination.md section 20.3: families, zones and internalTrafficPolicy.

use crate::support::*;
use ferrule_cluster::object::{Endpoint, Kind, Service, Target};
use ferrule_destination::Mesh;

const WEB: &str = "web.ns.svc.cluster.local:80";
const N1: &str = r#"{"nodeName":"n1"}"#;
const N2: &str = r#"{"nodeName":"n2"}"#;

/// Nodes n1 (west-1a) and n2 (west-1b), pods a on n1 and b on n2.
fn zones(mesh: Mesh) -> TestMesh {
    let mut mesh = TestMesh::new(mesh);
    mesh.apply_in("", "n1", node("west-1a"));
    mesh.apply_in("", "n2", node("west-1b"));
    mesh.apply("web", service());
    mesh.apply("a", on_node(meshed("10.0.0.1"), "n1"));
    mesh.apply("b", on_node(meshed("10.0.0.2"), "n2"));
    mesh
}

fn local() -> Service {
    Service {
        local_traffic: true,
        ..service()
    }
}

fn both() -> [Endpoint; 2] {
    [endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2")]
}

#[tokio::test]
async fn s40_the_v6_address_of_a_pod_is_preferred_and_the_v4_one_stands_in() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("web", service());
    mesh.apply("a", meshed("10.0.0.1"));
    mesh.apply("v4", slice("web", [endpoint("a", "10.0.0.1")]));
    mesh.apply("v6", slice("web", [endpoint("a", "2001:db8::1")]));
    let mut client = mesh.get(WEB).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, [add(&["[2001:db8::1]:8080"])]);
    mesh.apply("v4-2", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.delete(Kind::EndpointSlice, "v6");
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["10.0.0.1:8080"]), remove(&["[2001:db8::1]:8080"])]
    );
    mesh.apply("v6", slice("web", [endpoint("a", "2001:db8::1")]));
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["[2001:db8::1]:8080"]), remove(&["10.0.0.1:8080"])]
    );
}

#[tokio::test]
async fn s41_without_ipv6_only_v4_is_told() {
    let mut mesh = TestMesh::new(Mesh {
        ipv6: false,
        ..baseline()
    });
    mesh.apply("web", service());
    mesh.apply("a", meshed("10.0.0.1"));
    mesh.apply("b", meshed("2001:db8::2"));
    mesh.apply(
        "v6",
        slice(
            "web",
            [endpoint("a", "2001:db8::1"), endpoint("b", "2001:db8::2")],
        ),
    );
    let mut client = mesh.get(WEB).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("v4", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s42_to_45_hints_choose_the_zone_if_they_are_complete_and_match() {
    let mut mesh = zones(baseline());
    let hints = |a: &[&str], b: &[&str]| {
        let [first, second] = both();
        slice("web", [hinted(first, a), hinted(second, b)])
    };
    mesh.apply("s1", hints(&["west-1a"], &["west-1b"]));
    let mut client = mesh.get_as(WEB, N1).await.expect("open");
    let mut stranger = mesh.get(WEB).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
    assert_eq!(
        mesh.read(&mut stranger).await,
        [add(&["10.0.0.1:8080", "10.0.0.2:8080"])]
    );
    mesh.apply(
        "s1",
        slice("web", [hinted(both()[0].clone(), &["west-1a"])]),
    );
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("s1", hints(&["west-1a"], &[]));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.2:8080"])]);
    mesh.apply("s1", hints(&["east"], &["west-1b"]));
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("s1", hints(&["east", "west-1a"], &["west-1b"]));
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.2:8080"])]);
    mesh.apply("s1", slice("web", both()));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.2:8080"])]);
}

#[tokio::test]
async fn s36_hints_that_change_nothing_for_a_client_are_no_news() {
    // The reference tells the endpoint again, with the very same bytes.
    let mut mesh = zones(baseline());
    mesh.apply("s1", slice("web", both()));
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    let [a, b] = both();
    mesh.apply("s1", slice("web", [hinted(a, &["west-1a"]), b]));
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("s1", slice("web", both()));
    assert_eq!(mesh.read(&mut client).await, []);
}

#[tokio::test]
async fn s46_a_twin_in_another_zone_does_not_hide_the_v4_address() {
    let mut mesh = zones(baseline());
    mesh.apply(
        "v4",
        slice("web", [hinted(endpoint("a", "10.0.0.1"), &["west-1a"])]),
    );
    mesh.apply(
        "v6",
        slice("web", [hinted(endpoint("a", "2001:db8::1"), &["west-1b"])]),
    );
    let mut client = mesh.get_as(WEB, N1).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s47_to_49_a_local_policy_tells_each_node_its_own_whatever_the_hints() {
    let mut mesh = zones(baseline());
    mesh.apply("web", local());
    let [a, b] = both();
    mesh.apply(
        "s1",
        slice("web", [hinted(a, &["west-1b"]), hinted(b, &["west-1b"])]),
    );
    let mut first = mesh.get_as(WEB, N1).await.expect("open");
    let mut second = mesh.get_as(WEB, N2).await.expect("open");
    let mut nowhere = mesh.get(WEB).await.expect("open");
    assert_eq!(mesh.read(&mut first).await, [add(&["10.0.0.1:8080"])]);
    assert_eq!(mesh.read(&mut second).await, [add(&["10.0.0.2:8080"])]);
    assert_eq!(mesh.read(&mut nowhere).await, []);
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read(&mut first).await, []);
    assert_eq!(mesh.read(&mut second).await, [remove(&["10.0.0.2:8080"])]);
}

#[tokio::test]
async fn s47_a_policy_that_changes_moves_open_streams_add_before_remove() {
    let mut mesh = zones(baseline());
    mesh.apply("s1", slice("web", both()));
    let mut first = mesh.get_as(WEB, N1).await.expect("open");
    let mut second = mesh.get_as(WEB, N2).await.expect("open");
    let mut slow = mesh.get_as(WEB, N2).await.expect("open");
    mesh.read(&mut first).await;
    mesh.read(&mut second).await;
    mesh.apply("web", local());
    assert_eq!(
        mesh.read(&mut first).await,
        [add(&["10.0.0.1:8080"]), remove(&["10.0.0.2:8080"])]
    );
    mesh.read(&mut second).await;
    assert_eq!(second.addrs(), ["10.0.0.2:8080"]);
    mesh.apply("web", service());
    mesh.read(&mut first).await;
    mesh.read(&mut second).await;
    assert_eq!(first.addrs(), ["10.0.0.1:8080", "10.0.0.2:8080"]);
    assert_eq!(second.endpoints.len(), 2);
    // One who slept through both ends up alike.
    mesh.read(&mut slow).await;
    assert_eq!(slow.endpoints, second.endpoints);
    // And streams that moved go on following.
    mesh.apply("s1", slice("web", [endpoint("b", "10.0.0.2")]));
    assert_eq!(mesh.read(&mut first).await, [remove(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s48_a_local_policy_leaves_out_addresses_that_are_no_pods() {
    let mut mesh = zones(baseline());
    mesh.apply("web", local());
    let external = Endpoint {
        target: Target::Address,
        ..endpoint("x", "10.0.0.9")
    };
    mesh.apply("s1", slice("web", [external]));
    let mut client = mesh.get_as(WEB, N1).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, []);
}

#[tokio::test]
async fn s48_a_local_policy_tells_who_is_on_no_known_node_the_pods_on_none() {
    let mut mesh = zones(baseline());
    mesh.apply("web", local());
    mesh.apply("c", meshed("10.0.0.3"));
    let c = endpoint("c", "10.0.0.3");
    mesh.apply("s1", slice("web", both().into_iter().chain([c])));
    for (token, expected) in [
        ("", "10.0.0.3:8080"),
        (N1, "10.0.0.1:8080"),
        (N2, "10.0.0.2:8080"),
    ] {
        let mut client = mesh.get_as(WEB, token).await.expect("open");
        assert_eq!(mesh.read(&mut client).await, [add(&[expected])], "{token}");
    }
    let mut elsewhere = mesh
        .get_as(WEB, r#"{"nodeName":"n9"}"#)
        .await
        .expect("open");
    assert_eq!(mesh.read(&mut elsewhere).await, []);
}

#[tokio::test]
async fn s51_an_address_that_is_no_objects_is_of_unknown_locality_whatever_its_zone() {
    let mut mesh = zones(Mesh {
        zone_weights: true,
        ..baseline()
    });
    let external = Endpoint {
        target: Target::Address,
        zone: Some("west-1a".into()),
        ..endpoint("-", "10.0.0.9")
    };
    mesh.apply("s1", slice("web", [external]));
    let mut client = mesh.get_as(WEB, N1).await.expect("open");
    mesh.read(&mut client).await;
    let told = client.endpoint("10.0.0.9:8080");
    assert_eq!(told.metric_labels, labels(&[("zone_locality", "unknown")]));
    assert_eq!(told.weight, 10_000);
    assert!(told.tls_identity.is_none() && told.protocol_hint.is_none() && told.http2.is_none());
}

#[tokio::test]
async fn s50_locality_is_seen_from_the_client() {
    for zone_weights in [false, true] {
        let mut mesh = zones(Mesh {
            zone_weights,
            ..baseline()
        });
        let zoned = |endpoint: Endpoint, zone: &str| Endpoint {
            zone: Some(zone.into()),
            ..endpoint
        };
        mesh.apply("c", meshed("10.0.0.3"));
        let [a, b] = both();
        mesh.apply(
            "s1",
            slice(
                "web",
                [
                    zoned(a, "west-1a"),
                    zoned(b, "west-1b"),
                    endpoint("c", "10.0.0.3"),
                ],
            ),
        );
        let mut client = mesh.get_as(WEB, N1).await.expect("open");
        mesh.read(&mut client).await;
        for (addr, zone, locality, weight) in [
            (
                "10.0.0.1:8080",
                "west-1a",
                "local",
                if zone_weights { 100_000 } else { 10_000 },
            ),
            ("10.0.0.2:8080", "west-1b", "remote", 10_000),
            ("10.0.0.3:8080", "", "unknown", 10_000),
        ] {
            assert_eq!(client.labels(addr)["zone"], zone);
            assert_eq!(client.labels(addr)["zone_locality"], locality);
            assert_eq!(client.endpoint(addr).weight, weight);
        }
    }
}
