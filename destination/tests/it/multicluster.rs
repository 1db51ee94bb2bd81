//! destination.md section 4 and what of section 20.6 needs no linked cluster.

use crate::support::*;
use ferrule_cluster::object::{Kind, Multicluster, Service};
use tonic::Code;

const FEDERATED: &str = "bb-federated.ns.svc.cluster.local:80";

fn remote(cluster: &str, name: Option<&str>) -> Service {
    Service {
        multicluster: Some(Box::new(Multicluster::Remote {
            cluster: cluster.into(),
            service: name.map(Into::into),
        })),
        ..service()
    }
}

fn federated(local: Option<&str>) -> Service {
    Service {
        multicluster: Some(Box::new(Multicluster::Federated {
            local: local.map(Into::into),
        })),
        ..service()
    }
}

/// Services bb and cc with a pod each, and bb-federated, of which bb is the local
/// member.
fn members() -> TestMesh {
    let mut mesh = TestMesh::new(baseline());
    for (name, ip) in [("bb", "10.0.0.1"), ("cc", "10.0.0.2")] {
        mesh.apply(name, service());
        mesh.apply(name, meshed(ip));
        mesh.apply(name, slice(name, [endpoint(name, ip)]));
    }
    mesh.apply("bb-federated", federated(Some("bb")));
    mesh
}

#[tokio::test]
async fn s77_a_service_of_a_cluster_that_is_not_linked_is_refused() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    let path = "web.ns.svc.cluster.local:80";
    let mut open = mesh.get(path).await.expect("local");
    mesh.read(&mut open).await;
    for (service, code, message) in [
        (
            remote("east", Some("web")),
            Code::NotFound,
            "Remote cluster not found: east",
        ),
        (
            remote("", Some("web")),
            Code::NotFound,
            "Remote cluster not found: ",
        ),
        (
            remote("east", None),
            Code::FailedPrecondition,
            "Remote discovery service missing remote service name web.ns.svc.cluster.local:80",
        ),
        // The label is looked at before the type.
        (
            Service {
                external_name: true,
                ..remote("east", Some("web"))
            },
            Code::NotFound,
            "Remote cluster not found: east",
        ),
    ] {
        mesh.apply("web", service);
        let status = mesh.get(path).await.err().expect("refused");
        assert_eq!((status.code(), status.message()), (code, message));
    }
    // Its slices here are not where its endpoints are, and come back with it.
    assert_eq!(mesh.read(&mut open).await, [remove(&["10.0.0.1:8080"])]);
    mesh.apply("web", service());
    assert_eq!(mesh.read(&mut open).await, [add(&["10.0.0.1:8080"])]);
    // Its profile is its own (section 9).
    mesh.apply("web", remote("east", Some("web")));
    let mut profile = mesh.profile(path).await.expect("local");
    let told = mesh.read_profiles(&mut profile).await;
    assert_eq!(told[0].fully_qualified_name, "web.ns.svc.cluster.local");
}

#[tokio::test]
async fn s81_a_federated_services_member_in_this_cluster_is_told_with_its_own_labels() {
    let mut mesh = members();
    let mut client = mesh.get(FEDERATED).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
    assert_eq!(
        client.set_labels("10.0.0.1:8080"),
        &labels(&[("service", "bb"), ("namespace", "ns")])
    );
    // It is followed through its slices, its pods and its ports.
    mesh.apply("b2", meshed("10.0.0.3"));
    mesh.apply("b2", slice("bb", [endpoint("b2", "10.0.0.3")]));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.3:8080"])]);
    mesh.apply("b2", unmeshed("10.0.0.3"));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.3:8080"])]);
    mesh.delete(Kind::EndpointSlice, "b2");
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.3:8080"])]);
    mesh.delete(Kind::Service, "bb");
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.1:8080"])]);
    mesh.apply("bb", service());
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn s83_a_member_that_leaves_is_removed_and_told_again_when_it_joins() {
    let mut mesh = members();
    let mut client = mesh.get(FEDERATED).await.expect("open");
    mesh.read(&mut client).await;
    mesh.apply("bb-federated", federated(None));
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.1:8080"])]);
    mesh.apply("bb-federated", federated(Some("bb")));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
    // Another member: the one leaves, the other joins, in one difference.
    mesh.apply("bb-federated", federated(Some("cc")));
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["10.0.0.2:8080"]), remove(&["10.0.0.1:8080"])]
    );
    assert_eq!(client.set_labels("10.0.0.2:8080")["service"], "cc");
    // The one that left is nobody's concern here.
    mesh.apply("bb", slice("bb", []));
    assert_eq!(mesh.read(&mut client).await, []);
}

#[tokio::test]
async fn a_member_that_is_not_there_or_has_no_endpoints_is_waited_for() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("bb-federated", federated(Some("bb")));
    let mut client = mesh.get(FEDERATED).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("b", meshed("10.0.0.1"));
    mesh.apply("b", slice("bb", [endpoint("b", "10.0.0.1")]));
    mesh.apply(
        "bb",
        Service {
            external_name: true,
            ..service()
        },
    );
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("bb", service());
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn a_members_traffic_policy_holds_for_the_federated_service() {
    let mut mesh = members();
    mesh.apply("bb", on_node(meshed("10.0.0.1"), "n1"));
    let token = |node: &str| format!("{{\"nodeName\":\"{node}\"}}");
    let mut here = mesh.get_as(FEDERATED, &token("n1")).await.expect("open");
    let mut there = mesh.get_as(FEDERATED, &token("n2")).await.expect("open");
    mesh.read(&mut here).await;
    mesh.read(&mut there).await;
    mesh.apply(
        "bb",
        Service {
            local_traffic: true,
            ..service()
        },
    );
    mesh.read(&mut here).await;
    mesh.read(&mut there).await;
    assert_eq!(here.addrs(), ["10.0.0.1:8080"]);
    assert_eq!(there.addrs(), Vec::<String>::new());
    mesh.apply("bb-federated", federated(Some("cc")));
    mesh.read(&mut there).await;
    assert_eq!(there.addrs(), ["10.0.0.2:8080"]);
}
