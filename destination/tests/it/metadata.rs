//! destination.md section 20.4: what an endpoint carries.

use crate::support::*;
use ferrule_cluster::object::{
    Endpoint, EndpointSlice, Kind, Mirror, Object, ObjectKey, Pod, PodTemplate, PortSet,
    ProxyContainer, ProxyPorts, Service, Target,
};
use ferrule_destination::Mesh;
use ferrule_proto::destination::{
    ProtocolHint, TlsIdentity, WeightedAddr,
    protocol_hint::{H2, Opaque, OpaqueTransport, Protocol},
    tls_identity::{DnsLikeIdentity, Strategy},
};

const WEB: &str = "web.ns.svc.cluster.local:80";

/// The endpoint of the one pod that Service web has, on port 8080 of the slice
/// or on the port asked for.
async fn told(mesh: Mesh, pod: Pod, port: u16) -> Option<WeightedAddr> {
    let mut mesh = TestMesh::new(mesh);
    mesh.apply("web", service());
    mesh.apply("a", pod);
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    let mut client = mesh
        .get(&format!("web.ns.svc.cluster.local:{port}"))
        .await
        .expect("open");
    mesh.read(&mut client).await;
    client.endpoints.into_values().next().map(|(addr, _)| addr)
}

fn with(change: impl FnOnce(&mut PodTemplate)) -> Pod {
    let mut template = template();
    change(&mut template);
    pod(&["10.0.0.1"], template)
}

fn h2() -> Option<ProtocolHint> {
    Some(ProtocolHint {
        protocol: Some(Protocol::H2(H2 {})),
        opaque_transport: None,
    })
}

fn opaque(inbound_port: Option<u32>) -> Option<ProtocolHint> {
    Some(ProtocolHint {
        protocol: Some(Protocol::Opaque(Opaque {})),
        opaque_transport: inbound_port.map(|inbound_port| OpaqueTransport { inbound_port }),
    })
}

fn identity(name: &str) -> Option<TlsIdentity> {
    let name = DnsLikeIdentity { name: name.into() };
    Some(TlsIdentity {
        strategy: Some(Strategy::DnsLikeIdentity(name.clone())),
        server_name: Some(name),
    })
}

#[tokio::test]
async fn s1_a_meshed_endpoint_is_told_whole() {
    let addr = told(baseline(), meshed("10.0.0.1"), 80)
        .await
        .expect("told");
    assert_eq!(addr.weight, 10_000);
    assert_eq!(
        addr.metric_labels,
        labels(&[
            ("pod", "a"),
            ("serviceaccount", "default"),
            ("control_plane_ns", "linkerd"),
            ("zone", ""),
            ("zone_locality", "unknown"),
        ])
    );
    assert_eq!(
        addr.tls_identity,
        identity("default.ns.serviceaccount.identity.linkerd.cluster.local")
    );
    assert_eq!(addr.protocol_hint, h2());
    assert_eq!(addr.http2, Mesh::default().http2);
    assert!(addr.authority_override.is_none() && addr.resource_ref.is_none());
}

#[tokio::test]
async fn set_labels_name_the_service() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    assert_eq!(
        client.set_labels("10.0.0.1:8080"),
        &labels(&[("service", "web"), ("namespace", "ns")])
    );
}

#[tokio::test]
async fn s52_53_55_who_is_not_meshed_on_the_port_has_neither_hint_nor_identity() {
    let addr = told(baseline(), unmeshed("10.0.0.1"), 80)
        .await
        .expect("told");
    assert_eq!(
        (addr.http2, addr.protocol_hint, addr.tls_identity),
        (None, None, None)
    );
    assert!(!addr.metric_labels.contains_key("control_plane_ns"));

    let other = told(
        baseline(),
        with(|t| t.control_plane = Some("other".into())),
        80,
    )
    .await;
    let other = other.expect("told");
    assert_eq!((other.protocol_hint, other.tls_identity), (h2(), None));
    assert!(other.http2.is_some());

    let skipping = with(|t| t.skip_inbound_ports = ports("8080"));
    let skipped = told(baseline(), skipping.clone(), 80).await.expect("told");
    assert_eq!(
        (skipped.http2, skipped.protocol_hint, skipped.tls_identity),
        (None, None, None)
    );
    assert_eq!(skipped.metric_labels["control_plane_ns"], "linkerd");
    let other_port = told(baseline(), skipping, 9999).await.expect("told");
    assert_eq!(other_port.protocol_hint, h2());
}

#[tokio::test]
async fn s54_the_identity_is_the_service_accounts() {
    let addr = told(baseline(), with(|t| t.service_account = "sa1".into()), 80)
        .await
        .expect("told");
    assert_eq!(
        addr.tls_identity,
        identity("sa1.ns.serviceaccount.identity.linkerd.cluster.local")
    );
    assert_eq!(addr.metric_labels["serviceaccount"], "sa1");
    let no_domain = Mesh {
        trust_domain: String::new(),
        ..baseline()
    };
    assert_eq!(
        told(no_domain, meshed("10.0.0.1"), 80)
            .await
            .expect("told")
            .tls_identity,
        None
    );
}

#[tokio::test]
async fn s56_to_59_opaque_ports_and_the_transport_header() {
    let annotated = with(|t| t.opaque_ports = Some(ports("8080,4191")));
    let addr = told(baseline(), annotated.clone(), 80).await.expect("told");
    assert_eq!(addr.protocol_hint, opaque(Some(4143)));
    // The proxy's own ports are never behind its inbound port.
    let admin = told(baseline(), annotated, 4191).await.expect("told");
    assert_eq!(admin.protocol_hint, opaque(None));

    let header = Mesh {
        transport_header: true,
        ..baseline()
    };
    for (port, inbound_port) in [(80, Some(4143)), (4191, None), (4190, None)] {
        let addr = told(header.clone(), meshed("10.0.0.1"), port)
            .await
            .expect("told");
        let hint = addr.protocol_hint.expect("meshed");
        assert_eq!(hint.protocol, Some(Protocol::H2(H2 {})));
        assert_eq!(hint.opaque_transport.map(|t| t.inbound_port), inbound_port);
    }

    let listening = ProxyPorts {
        inbound: Some(5143),
        admin: 4191,
        control: 4190,
    };
    let moved = with(|t| {
        t.proxy = ProxyContainer::Listening(listening);
        t.opaque_ports = Some(ports("8080"));
    });
    assert_eq!(
        told(baseline(), moved, 80)
            .await
            .expect("told")
            .protocol_hint,
        opaque(Some(5143))
    );
}

#[tokio::test]
async fn s61_and_ruling_7_a_proxy_that_cannot_be_reached_is_left_out_and_none_is_no_proxy() {
    let incomplete = with(|t| t.proxy = ProxyContainer::Incomplete);
    assert_eq!(told(baseline(), incomplete.clone(), 80).await, None);
    let skipping = pod(
        &["10.0.0.1"],
        PodTemplate {
            skip_inbound_ports: ports("8080"),
            ..(*incomplete.template).clone()
        },
    );
    assert!(told(baseline(), skipping, 80).await.is_some());
    let absent = told(baseline(), with(|t| t.proxy = ProxyContainer::Absent), 80).await;
    let absent = absent.expect("told");
    assert_eq!(
        (absent.http2, absent.protocol_hint, absent.tls_identity),
        (None, None, None)
    );
    // The inbound port is needed only where it is used.
    let nowhere = ProxyPorts {
        inbound: None,
        admin: 4191,
        control: 4190,
    };
    let nowhere = with(|t| t.proxy = ProxyContainer::Listening(nowhere));
    assert!(told(baseline(), nowhere.clone(), 80).await.is_some());
    assert!(
        told(
            Mesh {
                transport_header: true,
                ..baseline()
            },
            nowhere,
            80
        )
        .await
        .is_none()
    );
}

#[tokio::test]
async fn s62_without_h2_upgrade_the_hint_is_there_and_empty() {
    let addr = told(
        Mesh {
            h2_upgrade: false,
            ..baseline()
        },
        meshed("10.0.0.1"),
        80,
    )
    .await;
    assert_eq!(
        addr.expect("told").protocol_hint,
        Some(ProtocolHint::default())
    );
}

#[tokio::test]
async fn s63_an_annotation_replaces_the_default_list_also_by_nothing() {
    let plain = told(baseline(), meshed("10.0.0.1"), 3306)
        .await
        .expect("told");
    assert_eq!(plain.protocol_hint, opaque(Some(4143)));
    let empty = with(|t| t.opaque_ports = Some(PortSet::default()));
    assert_eq!(
        told(baseline(), empty, 3306)
            .await
            .expect("told")
            .protocol_hint,
        h2()
    );
}

#[tokio::test]
async fn a_namespaces_opaque_ports_hold_for_what_has_no_list_of_its_own() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    mesh.apply(
        "b",
        pod(
            &["10.0.0.2"],
            PodTemplate {
                opaque_ports: Some(PortSet::default()),
                ..template()
            },
        ),
    );
    mesh.apply("s2", slice("web", [endpoint("b", "10.0.0.2")]));
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    // By the name of the pod's port.
    mesh.apply_in("", NS, namespace(Some("http")));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
    assert_eq!(
        client.endpoint("10.0.0.1:8080").protocol_hint,
        opaque(Some(4143))
    );
    mesh.apply_in("", NS, namespace(None));
    assert_eq!(mesh.read(&mut client).await, [add(&["10.0.0.1:8080"])]);
    assert_eq!(client.endpoint("10.0.0.1:8080").protocol_hint, h2());
}

#[tokio::test]
async fn s70_a_pod_is_labelled_with_the_workload_that_made_it() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    mesh.apply("rs", Object::ReplicaSet(owner("Deployment", "d")));
    mesh.apply("rollout-rs", Object::ReplicaSet(owner("Rollout", "r")));
    mesh.apply("cron-job", Object::Job(owner("CronJob", "c")));
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    for (kind, name, key, value) in [
        ("ReplicaSet", "rs", "deployment", "d"),
        ("ReplicaSet", "rollout-rs", "replicaset", "rollout-rs"),
        ("ReplicaSet", "unknown", "replicaset", "unknown"),
        ("Job", "cron-job", "cronjob", "c"),
        ("Job", "job", "k8s_job", "job"),
        ("StatefulSet", "db", "statefulset", "db"),
    ] {
        mesh.apply("a", owned(meshed("10.0.0.1"), kind, name));
        mesh.read(&mut client).await;
        assert_eq!(
            client.labels("10.0.0.1:8080").get(key).map(String::as_str),
            Some(value)
        );
    }
    // Several owners, or none: the pod is its own workload.
    mesh.apply("a", meshed("10.0.0.1"));
    mesh.read(&mut client).await;
    assert_eq!(client.labels("10.0.0.1:8080").len(), 5);
    // An owner that is learnt later is told later.
    mesh.apply("a", owned(meshed("10.0.0.1"), "ReplicaSet", "late"));
    mesh.read(&mut client).await;
    mesh.apply("late", Object::ReplicaSet(owner("Deployment", "l")));
    mesh.read(&mut client).await;
    assert_eq!(client.labels("10.0.0.1:8080")["deployment"], "l");
}

#[tokio::test]
async fn s37_72_a_gateway_to_another_cluster() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply(
        "web-east",
        Service {
            ports: [service_port("http", 80)].into(),
            ..service()
        },
    );
    let mirrored = |identity: &str| EndpointSlice {
        ports: Some([slice_port("http", Some(4143))].into()),
        mirror: Some(Box::new(Mirror {
            gateway_identity: Some(identity.into()),
            remote_name: Some("web.ns.svc.remote.local".into()),
            cluster: Some("east".into()),
        })),
        ..slice(
            "web-east",
            [Endpoint {
                target: Target::Address,
                ..endpoint("-", "192.0.2.7")
            }],
        )
    };
    mesh.apply("gw", mirrored("gateway.id"));
    let mut client = mesh
        .get("web-east.ns.svc.cluster.local:80")
        .await
        .expect("open");
    mesh.read(&mut client).await;
    let addr = client.endpoint("192.0.2.7:4143");
    assert_eq!(
        addr.authority_override
            .as_ref()
            .map(|o| &*o.authority_override),
        Some("web.ns.svc.remote.local:80")
    );
    let tls = addr.tls_identity.as_ref().expect("set");
    assert_eq!(tls.strategy, identity("gateway.id").expect("some").strategy);
    assert_eq!(tls.server_name, None);
    assert_eq!((addr.protocol_hint, addr.http2.is_some()), (h2(), true));
    assert_eq!(
        client.set_labels("192.0.2.7:4143"),
        &labels(&[
            ("service", "web-east"),
            ("namespace", "ns"),
            ("target_cluster", "east"),
            ("target_service", "web"),
            ("target_service_namespace", "ns"),
        ])
    );
    // s37: the same identity is no news, another one is.
    mesh.apply("gw", mirrored("gateway.id"));
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("gw", mirrored("other.id"));
    assert_eq!(mesh.read(&mut client).await, [add(&["192.0.2.7:4143"])]);
    let tls = client.endpoint("192.0.2.7:4143").tls_identity.clone();
    assert_eq!(
        tls.and_then(|tls| tls.strategy),
        identity("other.id").expect("some").strategy
    );
    mesh.apply("gw", mirrored(""));
    assert_eq!(mesh.read(&mut client).await, [add(&["192.0.2.7:4143"])]);
    let addr = client.endpoint("192.0.2.7:4143");
    assert!(addr.tls_identity.is_none() && addr.authority_override.is_some());
}

#[tokio::test]
async fn labels_stay_when_slices_go_and_come() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    mesh.delete(Kind::EndpointSlice, "s1");
    mesh.feed(applied(
        ObjectKey::new(NS, "s9"),
        slice("web", [endpoint("a", "10.0.0.1")]).into(),
    ));
    mesh.publish();
    mesh.read(&mut client).await;
    assert_eq!(client.set_labels("10.0.0.1:8080")["service"], "web");
}
