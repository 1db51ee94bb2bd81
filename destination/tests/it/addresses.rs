//! destination.md section 20.8: profiles of addresses.

use crate::{
    objects::*,
    profiles::{is_bare, now, pod_of},
    support::*,
};
use ferrule_cluster::object::{
    ContainerPort, Kind, Phase, Pod, PodTemplate, ProxyContainer, ProxyPorts, ProxyProtocol,
    ServerPort,
};
use std::net::SocketAddr;
use tonic::Code;

#[tokio::test]
async fn s105_106_a_pod_by_its_ips() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("a", pod(&["10.0.0.1", "2001:db8::1"], template()));
    for addr in ["10.0.0.1:8080", "[2001:db8::1]:8080"] {
        let profile = now(&mut mesh, addr).await;
        let endpoint = profile.endpoint.as_ref().expect("the pod");
        let socket: SocketAddr = endpoint.addr.expect("set").try_into().expect("valid");
        assert_eq!(socket.to_string(), addr);
        assert_eq!(
            endpoint.metric_labels,
            labels(&[
                ("pod", "a"),
                ("serviceaccount", "default"),
                ("control_plane_ns", "linkerd"),
                ("zone", ""),
                ("namespace", "ns"),
            ])
        );
        assert!(endpoint.tls_identity.is_some() && endpoint.protocol_hint.is_some());
        assert_eq!(profile.fully_qualified_name, "");
        assert!(profile.retry_budget.is_some() && profile.parent_ref.is_none());
    }
}

#[tokio::test]
async fn s107_108_only_a_running_pod_counts() {
    let mut mesh = TestMesh::new(baseline());
    let phase = |phase| Pod {
        phase,
        ..meshed("10.0.0.1")
    };
    mesh.apply("a", phase(Phase::Pending));
    let mut client = mesh.profile("10.0.0.1:4191").await.expect("open");
    is_bare(&mesh.read_profiles(&mut client).await[0], "10.0.0.1:4191");
    mesh.apply("a", phase(Phase::Running));
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "a");
    mesh.apply("done", phase(Phase::Finished));
    mesh.apply(
        "going",
        Pod {
            terminating: true,
            ..meshed("10.0.0.1")
        },
    );
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    mesh.apply("b", phase(Phase::Running));
    let status = mesh.profile("10.0.0.1:9").await.err().expect("two pods");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(
        status.message(),
        "found 2 pods with a conflicting pod network IP 10.0.0.1"
    );
    // Who is here keeps the last answer until there is one again (D16).
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    mesh.delete(Kind::Pod, "a");
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "b");
    mesh.delete(Kind::Pod, "b");
    // The one that is being deleted runs, too, and is the only one left.
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "going");
    mesh.delete(Kind::Pod, "going");
    is_bare(&mesh.read_profiles(&mut client).await[0], "10.0.0.1:4191");
}

#[tokio::test]
async fn s109_110_116_a_host_port_is_its_pods_and_other_ports_of_the_host_nobodys() {
    let mut mesh = TestMesh::new(baseline());
    let host_port = |host_network| Pod {
        host_ips: [ip("192.168.0.1")].into_iter().collect(),
        host_network,
        ..pod(
            &["192.168.0.1"],
            PodTemplate {
                ports: [ContainerPort {
                    name: "http".into(),
                    port: 80,
                    host_port: Some(7777),
                    is_tcp: true,
                }]
                .into(),
                ..template()
            },
        )
    };
    mesh.apply("a", host_port(true));
    let mut client = mesh.profile("192.168.0.1:7777").await.expect("open");
    let told = mesh.read_profiles(&mut client).await;
    assert_eq!(pod_of(&told[0]), "a");
    is_bare(&now(&mut mesh, "192.168.0.1:80").await, "192.168.0.1:80");
    mesh.delete(Kind::Pod, "a");
    is_bare(
        &mesh.read_profiles(&mut client).await[0],
        "192.168.0.1:7777",
    );
    mesh.apply("b", host_port(true));
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "b");
    mesh.apply("c", host_port(true));
    let refused = mesh.profile("192.168.0.1:7777").await.err();
    let refused = refused.expect("two pods");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(
        refused.message(),
        "found 2 pods with a conflicting host network endpoint 192.168.0.1:7777"
    );
    for unknown in ["203.0.113.5:443", "[2001:db8::9]:80"] {
        let profile = now(&mut mesh, unknown).await;
        is_bare(&profile, unknown);
        assert!(!profile.opaque_protocol);
    }
    assert!(now(&mut mesh, "203.0.113.5:3306").await.opaque_protocol);
}

#[tokio::test]
async fn s111_112_opacity_of_a_pods_port() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("plain", unmeshed("10.0.0.1"));
    let profile = now(&mut mesh, "10.0.0.1:3306").await;
    assert!(profile.opaque_protocol && profile.endpoint.expect("set").protocol_hint.is_none());
    let annotated = PodTemplate {
        opaque_ports: Some(ports("9")),
        ..template()
    };
    mesh.apply("a", pod(&["10.0.0.2"], annotated));
    let mut client = mesh.profile("10.0.0.2:9").await.expect("open");
    let told = mesh.read_profiles(&mut client).await;
    let hint = told[0].endpoint.as_ref().and_then(|e| e.protocol_hint);
    assert!(told[0].opaque_protocol);
    assert_eq!(
        hint.and_then(|h| h.opaque_transport)
            .map(|t| t.inbound_port),
        Some(4143)
    );
    mesh.apply("a", meshed("10.0.0.2"));
    assert!(!mesh.read_profiles(&mut client).await[0].opaque_protocol);
    let skipping = PodTemplate {
        skip_inbound_ports: ports("8080"),
        ..template()
    };
    mesh.apply("s", pod(&["10.0.0.4"], skipping));
    let skipped = now(&mut mesh, "10.0.0.4:8080").await;
    let endpoint = skipped.endpoint.expect("set");
    assert_eq!(endpoint.metric_labels["control_plane_ns"], "linkerd");
    assert!(endpoint.protocol_hint.is_none() && endpoint.http2.is_none());
    assert!(endpoint.tls_identity.is_none());
    // s61: a proxy that cannot be reached is not told at all.
    mesh.apply(
        "c",
        pod(
            &["10.0.0.3"],
            PodTemplate {
                proxy: ProxyContainer::Incomplete,
                ..template()
            },
        ),
    );
    let mut silent = mesh.profile("10.0.0.3:80").await.expect("open");
    assert_eq!(mesh.read_profiles(&mut silent).await, []);
}

#[tokio::test]
async fn s117_a_pod_that_is_edited_or_goes_is_told_by_ports_it_does_not_declare_too() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("a", meshed("10.0.0.1"));
    let mut client = mesh.profile("10.0.0.1:1234").await.expect("open");
    assert!(!mesh.read_profiles(&mut client).await[0].opaque_protocol);
    // Amended by ruling 1.
    let annotated = PodTemplate {
        opaque_ports: Some(ports("1234")),
        ..template()
    };
    mesh.apply("a", pod(&["10.0.0.1"], annotated));
    assert!(mesh.read_profiles(&mut client).await[0].opaque_protocol);
    mesh.delete(Kind::Pod, "a");
    is_bare(&mesh.read_profiles(&mut client).await[0], "10.0.0.1:1234");
}

#[tokio::test]
async fn a_pod_that_cannot_be_reached_any_more_is_bare_to_those_who_knew_it() {
    let mut mesh = TestMesh::new(baseline());
    let transparent = PodTemplate {
        proxy: ProxyContainer::Listening(ProxyPorts {
            inbound: None,
            admin: 4191,
            control: 4190,
        }),
        ..template()
    };
    mesh.apply(
        "a",
        labelled(pod(&["10.0.0.1"], transparent), &[("app", "web")]),
    );
    let mut client = mesh.profile("10.0.0.1:8080").await.expect("open");
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "a");
    // An opaque port is called through the proxy's own, which this one does not name.
    mesh.apply("s", server(ServerPort::Number(8080), ProxyProtocol::Opaque));
    let told = mesh.read_profiles(&mut client).await;
    is_bare(&told[0], "10.0.0.1:8080");
    assert!(told[0].opaque_protocol);
    let mut silent = mesh.profile("10.0.0.1:8080").await.expect("open");
    assert_eq!(mesh.read_profiles(&mut silent).await, []);
    mesh.delete(Kind::Server, "s");
    for client in [&mut client, &mut silent] {
        assert_eq!(pod_of(&mesh.read_profiles(client).await[0]), "a");
    }
}

#[tokio::test]
async fn s108_a_pod_that_is_deleted_keeps_its_profile_until_it_stops_running() {
    let mut mesh = TestMesh::new(baseline());
    let going = |phase| Pod {
        terminating: true,
        phase,
        host_ips: [ip("192.168.0.1")].into_iter().collect(),
        ..pod(
            &["10.0.0.1"],
            PodTemplate {
                ports: [ContainerPort {
                    name: "http".into(),
                    port: 8080,
                    host_port: Some(7777),
                    is_tcp: true,
                }]
                .into(),
                ..template()
            },
        )
    };
    let running = Pod {
        terminating: false,
        ..going(Phase::Running)
    };
    for addr in ["10.0.0.1:8080", "192.168.0.1:7777"] {
        mesh.apply("a", running.clone());
        let mut client = mesh.profile(addr).await.expect("open");
        let known = mesh.read_profiles(&mut client).await;
        assert_eq!(pod_of(&known[0]), "a");
        // It serves for its grace period, to whoever asks now, too.
        mesh.apply("a", going(Phase::Running));
        assert_eq!(mesh.read_profiles(&mut client).await, []);
        assert_eq!(now(&mut mesh, addr).await, known[0]);
        mesh.apply("a", going(Phase::Finished));
        is_bare(&mesh.read_profiles(&mut client).await[0], addr);
        mesh.apply("a", going(Phase::Running));
        assert_eq!(mesh.read_profiles(&mut client).await, known);
        mesh.delete(Kind::Pod, "a");
        is_bare(&mesh.read_profiles(&mut client).await[0], addr);
    }
}

#[tokio::test]
async fn s108_a_live_pod_comes_before_those_that_are_deleted_at_its_address() {
    let mut mesh = TestMesh::new(baseline());
    let going = Pod {
        terminating: true,
        ..meshed("10.0.0.1")
    };
    mesh.apply("a", going.clone());
    let mut client = mesh.profile("10.0.0.1:8080").await.expect("open");
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "a");
    mesh.apply("b", meshed("10.0.0.1"));
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "b");
    // It has the address as soon as it is there.
    mesh.apply(
        "b",
        Pod {
            phase: Phase::Pending,
            ..meshed("10.0.0.1")
        },
    );
    is_bare(&mesh.read_profiles(&mut client).await[0], "10.0.0.1:8080");
    // Whose it was of two that go, nobody can say.
    mesh.apply("b", going);
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    is_bare(&now(&mut mesh, "10.0.0.1:8080").await, "10.0.0.1:8080");
    mesh.delete(Kind::Pod, "a");
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "b");
}

#[tokio::test]
async fn of_pods_that_contest_an_address_the_one_that_was_told_stays_until_it_goes() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("a", meshed("10.0.0.1"));
    let mut client = mesh.profile("10.0.0.1:8080").await.expect("open");
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "a");
    mesh.apply("b", meshed("10.0.0.1"));
    mesh.apply("c", meshed("10.0.0.1"));
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    mesh.delete(Kind::Pod, "a");
    is_bare(&mesh.read_profiles(&mut client).await[0], "10.0.0.1:8080");
    mesh.delete(Kind::Pod, "b");
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "c");
}
