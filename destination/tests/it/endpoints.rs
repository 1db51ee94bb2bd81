//! destination.md sections 20.1 (ports) and 20.2: endpoints over time.

use crate::support::*;
use ferrule_cluster::{
    object::{AddressType, Endpoint, EndpointSlice, Kind, Phase, Pod, Service, Target},
    source::Event,
};
use ferrule_destination::History;

const WEB: &str = "web.ns.svc.cluster.local:80";

async fn web(pods: &[(&str, &str)]) -> (TestMesh, Client) {
    let mut mesh = TestMesh::new(baseline()).with_web(pods);
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    (mesh, client)
}

fn two() -> EndpointSlice {
    slice(
        "web",
        [endpoint("a", "10.0.0.1"), endpoint("b", "10.0.0.2")],
    )
}

#[tokio::test]
async fn s10_an_empty_service_is_silent_until_it_has_endpoints() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("web", service());
    let mut client = mesh.get(WEB).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("a", meshed("10.0.0.1"));
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s11_a_slice_of_no_service_is_nobodys() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("web", service());
    mesh.apply("a", meshed("10.0.0.1"));
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.apply(
        "s1",
        EndpointSlice {
            service: None,
            ..slice("web", [endpoint("a", "10.0.0.1")])
        },
    );
    assert_eq!(mesh.read(&mut client).await, []);
}

#[tokio::test]
async fn s13_a_port_that_is_not_declared_is_taken_as_it_is() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    let mut client = mesh
        .get("web.ns.svc.cluster.local:1111")
        .await
        .expect("open");
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:1111"])]);
}

#[tokio::test]
async fn s14_to_17_a_port_is_found_in_the_slice_by_the_name_of_the_services_port() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("a", meshed("10.0.0.1"));
    mesh.apply("b", meshed("10.0.0.2"));
    mesh.apply(
        "web",
        Service {
            ports: [service_port("app", 7778), service_port("other", 9)].into(),
            ..service()
        },
    );
    let with = |name: &str, port, pod: &str, address: &str| EndpointSlice {
        ports: Some([slice_port(name, port)].into()),
        ..slice("web", [endpoint(pod, address)])
    };
    mesh.apply("s1", with("app", Some(7779), "a", "10.0.0.1"));
    mesh.apply("s2", with("other", Some(9999), "b", "10.0.0.2"));
    for (port, expected) in [
        (7778, add(&["10.0.0.1:7779"])),
        (9, add(&["10.0.0.2:9999"])),
    ] {
        let mut client = mesh
            .get(&format!("web.ns.svc.cluster.local:{port}"))
            .await
            .expect("open");
        assert_eq!(mesh.read(&mut client).await, [expected]);
    }
    // Null numbers and null ports say nothing (D30).
    mesh.apply("s1", with("app", None, "a", "10.0.0.1"));
    mesh.apply(
        "s2",
        EndpointSlice {
            ports: None,
            ..with("", None, "b", "10.0.0.2")
        },
    );
    for port in [7778, 9, 5432] {
        let mut client = mesh
            .get(&format!("web.ns.svc.cluster.local:{port}"))
            .await
            .expect("open");
        let told = mesh.read(&mut client).await;
        let expected = if port == 5432 {
            vec![add(&["10.0.0.1:5432"])]
        } else {
            vec![]
        };
        assert_eq!(told, expected, "{port}");
    }
}

#[tokio::test]
async fn s18_a_hostname_is_one_pod() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("db", service());
    let endpoints = (0..3).map(|n| {
        let name = format!("db-{n}");
        mesh.apply(&name, meshed(&format!("10.0.0.{n}")));
        let mut endpoint = endpoint(&name, &format!("10.0.0.{n}"));
        endpoint.hostname = Some(name.into());
        endpoint
    });
    let slice = slice("db", endpoints.collect::<Vec<_>>());
    mesh.apply("s1", slice);
    let mut client = mesh
        .get("db-2.db.ns.svc.cluster.local:80")
        .await
        .expect("open");
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.2:8080"])]);
    let mut client = mesh
        .get("db-9.db.ns.svc.cluster.local:80")
        .await
        .expect("open");
    assert_eq!(mesh.read(&mut client).await, []);
}

#[tokio::test]
async fn s20_only_the_new_endpoint_is_told() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    mesh.apply("b", meshed("10.0.0.2"));
    mesh.apply("s1", two());
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.2:8080"])]);
}

#[tokio::test]
async fn s21_a_terminating_endpoint_is_removed_before_its_pod_is() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    mesh.apply("s1", slice("web", [unready(endpoint("a", "10.0.0.1"))]));
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s22_a_terminating_pod_is_told_while_its_endpoint_is_ready() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    let terminating = |ip| Pod {
        terminating: true,
        ..meshed(ip)
    };
    mesh.apply("a", terminating("10.0.0.1"));
    mesh.apply("b", terminating("10.0.0.2"));
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("s1", two());
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.2:8080"])]);
}

#[tokio::test]
async fn s24_a_pod_that_the_slice_knows_first_is_told_when_it_comes() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("web", service());
    mesh.apply("s1", two());
    mesh.apply("a", meshed("10.0.0.1"));
    let mut client = mesh.get(WEB).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
    mesh.apply("b", meshed("10.0.0.2"));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.2:8080"])]);
}

#[tokio::test]
async fn s25_the_phase_of_a_ready_endpoints_pod_does_not_matter() {
    let (mut mesh, mut client) = web(&[]).await;
    let mut pod = meshed("10.0.0.1");
    pod.phase = Phase::Finished;
    mesh.apply("a", pod);
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s26_28_an_endpoint_is_removed_whichever_goes_first_pod_or_slice() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]).await;
    mesh.delete(Kind::Pod, "a");
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.1:8080"])]);
    mesh.delete(Kind::EndpointSlice, "s1");
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.2:8080"])]);
    mesh.delete(Kind::Pod, "b");
    assert_eq!(mesh.read(&mut client).await, []);
}

#[tokio::test]
async fn s27_29_slices_are_a_union() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]).await;
    mesh.apply("s2", slice("web", [endpoint("b", "10.0.0.2")]));
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.delete(Kind::EndpointSlice, "s1");
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s30_31_a_service_that_comes_back_is_told_again_on_the_same_stream() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    mesh.delete(Kind::Service, "web");
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.1:8080"])]);
    assert!(mesh.get(WEB).await.is_err());
    mesh.apply("web", service());
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
    // Also if its slices went in the meantime and come later.
    mesh.delete(Kind::Service, "web");
    mesh.read(&mut client).await;
    mesh.delete(Kind::EndpointSlice, "s1");
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("web", service());
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s32_33_39c_a_changed_port_moves_every_endpoint_in_one_difference() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]).await;
    mesh.apply(
        "s1",
        EndpointSlice {
            ports: Some([slice_port("", Some(9090))].into()),
            ..two()
        },
    );
    assert_eq!(
        mesh.read(&mut client).await,
        [
            add(&["10.0.0.1:9090", "10.0.0.2:9090"]),
            remove(&["10.0.0.1:8080", "10.0.0.2:8080"])
        ]
    );
    mesh.apply(
        "web",
        Service {
            ports: [service_port("new", 80)].into(),
            ..service()
        },
    );
    assert_eq!(
        mesh.read(&mut client).await,
        [remove(&["10.0.0.1:9090", "10.0.0.2:9090"])]
    );
    mesh.apply(
        "web",
        Service {
            ports: [service_port("", 81)].into(),
            ..service()
        },
    );
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["10.0.0.1:80", "10.0.0.2:80"])]
    );
}

#[tokio::test]
async fn s34_35_a_pod_that_reads_differently_is_told_again() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    mesh.apply("a", meshed("10.0.0.1"));
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("a", unmeshed("10.0.0.1"));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
    assert!(client.endpoint("10.0.0.1:8080").tls_identity.is_none());
}

#[tokio::test]
async fn s38_targets_and_addresses_that_cannot_be_sent_to_are_left_out() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    let mut other = endpoint("n", "10.0.0.9");
    other.target = Target::Unsupported;
    mesh.apply("s2", slice("web", [other]));
    mesh.apply(
        "s3",
        EndpointSlice {
            address_type: AddressType::Fqdn,
            ..slice("web", [endpoint("a", "10.0.0.8")])
        },
    );
    assert_eq!(mesh.read(&mut client).await, []);
}

#[tokio::test]
async fn s39_subscribers_of_one_view_are_told_the_same() {
    let (mut mesh, mut first) = web(&[("a", "10.0.0.1")]).await;
    let mut second = mesh.get(WEB).await.expect("open");
    mesh.read(&mut second).await;
    mesh.apply("b", meshed("10.0.0.2"));
    mesh.apply("s1", two());
    let mut late = mesh.get(WEB).await.expect("open");
    assert_eq!(mesh.read(&mut first).await, [add(&["10.0.0.2:8080"])]);
    assert_eq!(mesh.read(&mut second).await, [add(&["10.0.0.2:8080"])]);
    mesh.read(&mut late).await;
    assert_eq!(late.endpoints, first.endpoints);
    assert_eq!(second.endpoints, first.endpoints);
}

#[tokio::test]
async fn s39b_a_pod_with_a_new_address_leaves_its_old_one() {
    let (mut mesh, mut client) = web(&[("db-0", "10.0.0.1")]).await;
    mesh.feed(applied_pod("db-0", "10.0.0.7"));
    mesh.apply("s1", slice("web", [endpoint("db-0", "10.0.0.7")]));
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["10.0.0.7:8080"]), remove(&["10.0.0.1:8080"])]
    );
    // With a slice in between that does not list it.
    mesh.apply("s1", slice("web", []));
    mesh.feed(applied_pod("db-0", "10.0.0.8"));
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.7:8080"])]);
    mesh.apply("s1", slice("web", [endpoint("db-0", "10.0.0.8")]));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.8:8080"])]);
}

fn applied_pod(name: &str, ip: &str) -> Event {
    applied(
        ferrule_cluster::object::ObjectKey::new(NS, name),
        meshed(ip).into(),
    )
}

#[tokio::test]
async fn two_pods_at_one_address_are_one_endpoint_until_both_are_gone() {
    let (mut mesh, mut client) = web(&[("old", "10.0.0.1")]).await;
    mesh.apply("new", meshed("10.0.0.1"));
    let both = slice(
        "web",
        [endpoint("old", "10.0.0.1"), endpoint("new", "10.0.0.1")],
    );
    mesh.apply("s1", both);
    mesh.read(&mut client).await;
    mesh.apply("s1", slice("web", [endpoint("new", "10.0.0.1")]));
    mesh.read(&mut client).await;
    assert_eq!(client.addrs(), ["10.0.0.1:8080"]);
    assert_eq!(client.labels("10.0.0.1:8080")["pod"], "new");
    mesh.apply("s1", slice("web", []));
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn a_relist_replaces_the_world_in_one_batch() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1"), ("b", "10.0.0.2")]).await;
    mesh.apply("c", meshed("10.0.0.3"));
    mesh.feed(Event::Relisting(Kind::EndpointSlice));
    mesh.publish();
    assert_eq!(
        mesh.read(&mut client).await,
        [],
        "a list that begins takes nothing away"
    );
    let key = ferrule_cluster::object::ObjectKey::new(NS, "s2");
    mesh.feed(applied(
        key,
        slice(
            "web",
            [endpoint("b", "10.0.0.2"), endpoint("c", "10.0.0.3")],
        )
        .into(),
    ));
    mesh.publish();
    assert_eq!(mesh.read(&mut client).await, [], "nor does half of it");
    mesh.feed(Event::Synced(Kind::EndpointSlice));
    mesh.publish();
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["10.0.0.3:8080"]), remove(&["10.0.0.1:8080"])]
    );
}

#[tokio::test]
async fn a_slow_client_is_told_the_newest_truth_and_not_its_history() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    for n in 2..250 {
        let (name, ip) = (format!("p{n}"), format!("10.0.0.{n}"));
        mesh.apply(&name, meshed(&ip));
        mesh.apply("s1", slice("web", [endpoint(&name, &ip)]));
    }
    let told = mesh.read(&mut client).await;
    assert_eq!(told.len(), 2, "one Add and one Remove, not 248 of each");
    assert_eq!(client.addrs(), ["10.0.0.249:8080"]);
}

#[tokio::test]
async fn a_client_beyond_the_deltas_is_told_the_whole_difference() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    // More versions than a view keeps deltas, addresses that come back among them.
    for n in 0..2_000_u32 {
        let n = n % 600;
        let ip = format!("10.1.{}.{}", n / 250, n % 250);
        let name = format!("p{n}");
        mesh.apply(&name, meshed(&ip));
        mesh.apply("s1", slice("web", [endpoint(&name, &ip)]));
    }
    mesh.read(&mut client).await;
    assert_eq!(client.addrs(), ["10.1.0.199:8080"]);
    let mut fresh = mesh.get(WEB).await.expect("open");
    mesh.read(&mut fresh).await;
    assert_eq!(fresh.endpoints, client.endpoints);
}

#[tokio::test]
async fn an_address_that_came_back_meanwhile_is_still_taken_from_who_slept() {
    let kept = History {
        deltas: 1,
        bytes: 1,
        gone: 0,
    };
    let mut mesh = TestMesh::keeping(baseline(), kept).with_web(&[("a", "10.0.0.1")]);
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    mesh.apply("b", meshed("10.0.0.2"));
    let b = || slice("web", [endpoint("b", "10.0.0.2")]);
    for slice in [b(), two(), b(), slice("web", []), b()] {
        mesh.apply("s1", slice);
    }
    mesh.read(&mut client).await;
    assert_eq!(client.addrs(), ["10.0.0.2:8080"]);
}

#[tokio::test]
async fn of_two_slices_that_differ_the_one_written_last_counts_also_when_only_rewritten() {
    let (mut mesh, mut client) = web(&[("a", "10.0.0.1")]).await;
    let zoned = |zone: &str, resource_version| EndpointSlice {
        resource_version,
        ..slice(
            "web",
            [Endpoint {
                zone: Some(zone.into()),
                ..endpoint("a", "10.0.0.1")
            }],
        )
    };
    mesh.apply("s1", zoned("a", 10));
    mesh.apply("s2", zoned("b", 20));
    mesh.read(&mut client).await;
    assert_eq!(client.labels("10.0.0.1:8080")["zone"], "b");
    mesh.apply("s1", zoned("a", 30));
    mesh.read(&mut client).await;
    assert_eq!(client.labels("10.0.0.1:8080")["zone"], "a");
}

#[tokio::test]
async fn addresses_without_a_pod_are_told_apart_by_their_port() {
    let (mut mesh, mut client) = web(&[]).await;
    let bare = |port| EndpointSlice {
        ports: Some([slice_port("", Some(port))].into()),
        ..slice(
            "web",
            [Endpoint {
                target: Target::Address,
                ..endpoint("-", "10.0.0.5")
            }],
        )
    };
    mesh.apply("s1", bare(8080));
    mesh.apply("s2", bare(8081));
    mesh.read(&mut client).await;
    assert_eq!(client.addrs(), ["10.0.0.5:8080", "10.0.0.5:8081"]);
    mesh.delete(Kind::EndpointSlice, "s1");
    mesh.read(&mut client).await;
    assert_eq!(client.addrs(), ["10.0.0.5:8081"]);
}
