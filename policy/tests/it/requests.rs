//! What refuses a question: policy.md 5.1 and 6.1.

use crate::support::*;
use ferrule_cluster::{object::Kind, source::Event};
use ferrule_policy::PolicySettings;
use ferrule_proto::{net::TcpAddress, outbound::traffic_spec::Target};
use tonic::Code;

#[tokio::test]
async fn s1_3_6_7_a_workload_that_is_not_in_the_mesh_is_not_found() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    let unmeshed = ferrule_cluster::object::PodTemplate {
        control_plane: None,
        ..template()
    };
    mesh.apply("unmeshed", pod(unmeshed));
    for workload in [
        "ns:web",
        "ns:unmeshed",
        r#"{"ns":"ns","pod":"web"}"#,
        r#"{"ns":"ns","external_workload":"vm"}"#,
        "ns:vm",
    ] {
        let status = mesh.port(workload, 80).await.expect_err(workload);
        assert_eq!(status.code(), Code::NotFound, "{workload}");
    }
}

#[tokio::test]
async fn s2_a_port_or_workload_that_cannot_be_is_invalid() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", pod(template()));
    for (workload, port) in [
        ("ns:web", 0),
        ("ns:web", 70_000),
        ("web", 80),
        (":web", 80),
        ("ns:", 80),
        (r#"{"ns":"a","node":"x"}"#, 80),
        ("", 80),
    ] {
        let status = mesh.port(workload, port).await.expect_err(workload);
        assert_eq!(status.code(), Code::InvalidArgument, "{workload} {port}");
    }
    // The workload is looked at first.
    let status = mesh.port("web", 0).await.expect_err("invalid");
    assert!(status.message().contains("is no workload"), "{status}");
}

#[tokio::test]
async fn s5_every_way_of_naming_a_pod_gets_the_same() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", pod(template()));
    let first = mesh.port("ns:web", 80).await.expect("known");
    for workload in [
        r#"{"ns":"ns","pod":"web"}"#,
        "{\"ns\":\"ns\", \"pod\":\"web\"}\n",
        " ns:web\n",
    ] {
        assert_eq!(mesh.port(workload, 80).await.expect("known"), first);
    }
}

#[tokio::test]
async fn s78_79_targets_that_cannot_be_are_invalid_and_other_names_not_found() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", service(&["10.96.0.1"]));
    let web = || Some(authority("web.ns.svc.cluster.local:80"));
    let no_port = TcpAddress::from(std::net::SocketAddr::from(([10, 96, 0, 1], 0)));
    for (workload, target, code) in [
        ("", web(), Code::InvalidArgument),
        ("web", web(), Code::InvalidArgument),
        (CLIENT, None, Code::InvalidArgument),
        (CLIENT, Some(Target::Addr(no_port)), Code::InvalidArgument),
        (
            CLIENT,
            Some(Target::Addr(TcpAddress::default())),
            Code::InvalidArgument,
        ),
        (CLIENT, Some(authority("")), Code::InvalidArgument),
        (CLIENT, Some(authority("a b")), Code::InvalidArgument),
        (
            CLIENT,
            Some(authority("web.ns.svc:x")),
            Code::InvalidArgument,
        ),
        (CLIENT, Some(authority("example.com:443")), Code::NotFound),
        (
            CLIENT,
            Some(authority("pod-0.web.ns.svc.cluster.local")),
            Code::NotFound,
        ),
    ] {
        let status = mesh.watch_as(workload, target.clone()).await.err();
        assert_eq!(
            status.map(|status| status.code()),
            Some(code),
            "{workload} {target:?}"
        );
    }
    // Who asks need not be known, nor be a pod.
    for workload in [
        "elsewhere:nobody",
        r#"{"ns":"ns","external_workload":"vm"}"#,
    ] {
        assert!(mesh.watch_as(workload, web()).await.is_ok(), "{workload}");
    }
}

#[tokio::test]
async fn nothing_is_answered_before_the_world_is_listed() {
    let mut mesh = TestMesh::unsynced(PolicySettings::default());
    mesh.apply("web", pod(template()));
    let code = |status: Option<tonic::Status>| status.map(|status| status.code());
    for workload in ["ns:web", "ns:nobody"] {
        let status = mesh.port(workload, 80).await.err();
        assert_eq!(code(status), Some(Code::Unavailable));
    }
    for target in [
        addr("10.96.0.1:80"),
        addr("1.1.1.1:80"),
        authority("a.b.svc"),
    ] {
        let status = mesh.policy(target).await.err();
        assert_eq!(code(status), Some(Code::Unavailable));
    }
    // What can never be right is refused at once.
    let status = mesh.port("web", 80).await.err();
    assert_eq!(code(status), Some(Code::InvalidArgument));
    for kind in Kind::ALL {
        mesh.feed(Event::Relisting(kind));
    }
    mesh.apply("web", pod(template()));
    for kind in Kind::ALL {
        mesh.feed(Event::Synced(kind));
    }
    mesh.publish();
    assert!(mesh.port("ns:web", 80).await.is_ok());
    assert!(mesh.policy(addr("1.1.1.1:80")).await.is_ok());
}

#[tokio::test]
async fn views_are_shared_and_nothing_is_kept_for_refusals() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", pod(template()));
    for _ in 0..3 {
        mesh.watch_port("ns:web", 80).await.expect("known");
        mesh.watch(addr("1.1.1.1:80")).await.expect("known");
        assert!(mesh.watch_port("ns:nobody", 80).await.is_err());
        assert!(mesh.watch(addr("10.0.0.1:80")).await.is_err());
    }
    assert_eq!(mesh.registry.views(), (1, 1));
}
