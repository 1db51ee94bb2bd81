//! Machines outside of the cluster: destination.md section 8.2, scenarios 39a, 57,
//! 62, 71 and 114.

use crate::{objects::*, support::*};
use ferrule_cluster::object::{
    AddressType, Endpoint, EndpointSlice, ExternalWorkload, Kind, PortSet, ProxyProtocol,
    ServerPort, Service, WorkloadPort,
};
use ferrule_destination::Mesh;
use ferrule_proto::destination::{
    ProtocolHint, TlsIdentity, WeightedAddr,
    protocol_hint::{H2, Opaque, OpaqueTransport, Protocol},
    tls_identity::{DnsLikeIdentity, Strategy, UriLikeIdentity},
};
use tonic::Code;

const WEB: &str = "web.ns.svc.cluster.local:80";
const ADDR: &str = "192.0.2.1:8080";

/// Service web with the one machine vm.
fn web(mesh: Mesh, workload: ExternalWorkload) -> TestMesh {
    let mut mesh = TestMesh::new(mesh);
    mesh.apply("web", service());
    mesh.apply("vm", workload);
    mesh.apply("s1", slice("web", [external_endpoint("vm", "192.0.2.1")]));
    mesh
}

fn vm() -> ExternalWorkload {
    external(&["192.0.2.1"])
}

async fn told(mesh: &mut TestMesh) -> Option<WeightedAddr> {
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    client.endpoints.into_values().next().map(|(addr, _)| addr)
}

fn h2(inbound_port: Option<u32>) -> Option<ProtocolHint> {
    Some(ProtocolHint {
        protocol: Some(Protocol::H2(H2 {})),
        opaque_transport: inbound_port.map(|inbound_port| OpaqueTransport { inbound_port }),
    })
}

fn opaque(inbound_port: u32) -> Option<ProtocolHint> {
    Some(ProtocolHint {
        protocol: Some(Protocol::Opaque(Opaque {})),
        opaque_transport: Some(OpaqueTransport { inbound_port }),
    })
}

fn identity() -> Option<TlsIdentity> {
    Some(TlsIdentity {
        strategy: Some(Strategy::UriLikeIdentity(UriLikeIdentity {
            uri: "spiffe://x/y".into(),
        })),
        server_name: Some(DnsLikeIdentity { name: "s".into() }),
    })
}

#[tokio::test]
async fn s71_a_machine_is_told_whole() {
    let mut mesh = web(baseline(), vm());
    let addr = told(&mut mesh).await.expect("told");
    assert_eq!(addr.weight, 10_000);
    assert_eq!(
        addr.metric_labels,
        labels(&[
            ("external_workload", "vm"),
            ("zone", ""),
            ("zone_locality", "unknown")
        ])
    );
    assert_eq!(addr.tls_identity, identity());
    assert_eq!(addr.protocol_hint, h2(None));
    assert_eq!(addr.http2, Mesh::default().http2);
    assert!(addr.authority_override.is_none() && addr.resource_ref.is_none());
}

#[tokio::test]
async fn s71_its_owner_and_the_endpoints_zone_are_labels() {
    let mut mesh = web(
        baseline(),
        ExternalWorkload {
            owner: owner("ExternalGroup", "vms"),
            zone: Some("of-the-object".into()),
            ..vm()
        },
    );
    mesh.apply_in("", "n1", node("west"));
    let zoned = Endpoint {
        zone: Some("west".into()),
        ..external_endpoint("vm", "192.0.2.1")
    };
    mesh.apply("s1", slice("web", [zoned]));
    let mut client = mesh
        .get_as(WEB, r#"{"nodeName":"n1"}"#)
        .await
        .expect("open");
    mesh.read(&mut client).await;
    assert_eq!(
        client.labels(ADDR),
        &labels(&[
            ("external_workload", "vm"),
            ("externalgroup", "vms"),
            ("zone", "west"),
            ("zone_locality", "local"),
        ])
    );
    assert_eq!(
        client.set_labels(ADDR),
        &labels(&[("service", "web"), ("namespace", "ns")])
    );
}

#[tokio::test]
async fn s57_62_71_its_hint_is_http_2_whatever_the_mesh_upgrades_and_opaque_where_said() {
    let annotated = |set: PortSet| ExternalWorkload {
        opaque_ports: Some(set),
        ..vm()
    };
    let listening = |workload: ExternalWorkload| ExternalWorkload {
        ports: [
            WorkloadPort {
                name: "linkerd-proxy".into(),
                port: 5143,
                is_tcp: true,
            },
            WorkloadPort {
                name: "http".into(),
                port: 8080,
                is_tcp: true,
            },
        ]
        .into(),
        ..workload
    };
    let plain = Mesh {
        h2_upgrade: false,
        ..baseline()
    };
    let header = Mesh {
        transport_header: true,
        ..baseline()
    };
    for (what, mesh, workload, expected) in [
        ("without upgrade", plain, vm(), h2(None)),
        (
            "annotated",
            baseline(),
            annotated(ports("8080")),
            opaque(4143),
        ),
        (
            "annotated, with its proxy's port",
            baseline(),
            listening(annotated(ports("8080"))),
            opaque(5143),
        ),
        ("header", header.clone(), vm(), h2(Some(4143))),
        (
            "header, with its proxy's port",
            header,
            listening(vm()),
            h2(Some(5143)),
        ),
    ] {
        let addr = told(&mut web(mesh, workload)).await.expect("told");
        assert_eq!(addr.protocol_hint, expected, "{what}");
    }
}

#[tokio::test]
async fn its_opaque_ports_are_its_own_else_its_namespaces_else_the_default() {
    let mut mesh = web(baseline(), vm());
    let mut client = mesh
        .get("web.ns.svc.cluster.local:3306")
        .await
        .expect("open");
    let mut hint = async |mesh: &mut TestMesh| {
        mesh.read(&mut client).await;
        client.endpoint("192.0.2.1:3306").protocol_hint
    };
    assert_eq!(hint(&mut mesh).await, opaque(4143), "the default list");
    mesh.apply_in("", NS, namespace(Some("80")));
    assert_eq!(hint(&mut mesh).await, h2(None), "the namespace's");
    mesh.apply_in("", NS, namespace(Some("3306,http")));
    assert_eq!(hint(&mut mesh).await, opaque(4143));
    let none = ExternalWorkload {
        opaque_ports: Some(PortSet::default()),
        ..vm()
    };
    mesh.apply("vm", none);
    assert_eq!(hint(&mut mesh).await, h2(None), "its own");
}

#[tokio::test]
async fn a_server_of_external_workloads_makes_its_port_opaque() {
    let mut mesh = web(baseline(), vm());
    let mut get = mesh.get(WEB).await.expect("open");
    let mut profile = mesh.profile(ADDR).await.expect("open");
    mesh.read(&mut get).await;
    mesh.read_profiles(&mut profile).await;
    for (port, protocol, expected) in [
        (ServerPort::Number(8080), ProxyProtocol::Opaque, Some(true)),
        // D9: the reference's profile of a machine knows no Servers.
        (ServerPort::Number(8080), ProxyProtocol::Http1, Some(false)),
        (named("http"), ProxyProtocol::Opaque, Some(true)),
        (named("grpc"), ProxyProtocol::Opaque, Some(false)),
    ] {
        mesh.apply("s", external_server(port, protocol));
        assert_eq!(mesh.read(&mut get).await, [add(&[ADDR])]);
        let opaque_hint = get.endpoint(ADDR).protocol_hint == opaque(4143);
        assert_eq!(Some(opaque_hint), expected);
        let told = mesh.read_profiles(&mut profile).await;
        assert_eq!(told.last().map(|profile| profile.opaque_protocol), expected);
    }
    // A Server of pods is not about it.
    mesh.apply("t", server(ServerPort::Number(8080), ProxyProtocol::Opaque));
    assert_eq!(mesh.read(&mut get).await, []);
}

#[tokio::test]
async fn a_server_may_name_a_machines_port_of_any_protocol() {
    let mut machine = vm();
    machine.ports[0].is_tcp = false;
    let name = machine.ports[0].name.clone();
    let mut mesh = web(baseline(), machine);
    mesh.apply("s", external_server(named(&name), ProxyProtocol::Opaque));
    let told = told(&mut mesh).await.expect("a machine");
    assert_eq!(told.protocol_hint, opaque(4143));
}

#[tokio::test]
async fn s39a_a_machine_that_moves_leaves_its_old_address() {
    let mut mesh = web(baseline(), vm());
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    mesh.apply("s1", slice("web", [external_endpoint("vm", "192.0.2.7")]));
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["192.0.2.7:8080"]), remove(&[ADDR])]
    );
}

#[tokio::test]
async fn a_machine_is_told_when_it_comes_and_again_when_it_changes_and_not_when_it_is_gone() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("web", service());
    // The slice comes first (D4).
    mesh.apply("s1", slice("web", [external_endpoint("vm", "192.0.2.1")]));
    let mut client = mesh.get(WEB).await.expect("open");
    assert_eq!(mesh.read(&mut client).await, []);
    mesh.apply("vm", vm());
    assert_eq!(mesh.read(&mut client).await, [add(&[ADDR])]);
    mesh.apply("vm", vm());
    assert_eq!(mesh.read(&mut client).await, []);
    let renamed = ExternalWorkload {
        server_name: "t".into(),
        ..vm()
    };
    mesh.apply("vm", renamed);
    assert_eq!(mesh.read(&mut client).await, [add(&[ADDR])]);
    let tls = client.endpoint(ADDR).tls_identity.clone().expect("set");
    assert_eq!(tls.server_name.map(|name| name.name).as_deref(), Some("t"));
    mesh.delete(Kind::ExternalWorkload, "vm");
    assert_eq!(mesh.read(&mut client).await, [remove(&[ADDR])]);
    mesh.apply("vm", vm());
    assert_eq!(mesh.read(&mut client).await, [add(&[ADDR])]);
    // s119: its readiness is the slice's to say.
    let unready = unready(external_endpoint("vm", "192.0.2.1"));
    mesh.apply("s1", slice("web", [unready]));
    assert_eq!(mesh.read(&mut client).await, [remove(&[ADDR])]);
}

#[tokio::test]
async fn a_machine_without_an_identity_is_left_out_since_it_would_be_sent_plaintext() {
    for broken in [
        ExternalWorkload {
            identity: "".into(),
            ..vm()
        },
        ExternalWorkload {
            server_name: "".into(),
            ..vm()
        },
    ] {
        let mut mesh = web(baseline(), broken);
        assert_eq!(told(&mut mesh).await, None);
        let mut silent = mesh.profile(ADDR).await.expect("open");
        assert_eq!(mesh.read_profiles(&mut silent).await, []);
    }
}

#[tokio::test]
async fn the_families_of_a_machine_are_twins() {
    // D26: as of a pod; the reference takes whichever slice came last.
    let mut mesh = web(baseline(), external(&["192.0.2.1", "2001:db8::1"]));
    let mut client = mesh.get(WEB).await.expect("open");
    mesh.read(&mut client).await;
    let v6 = || slice("web", [external_endpoint("vm", "2001:db8::1")]);
    mesh.apply("s6", v6());
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["[2001:db8::1]:8080"]), remove(&[ADDR])]
    );
    mesh.delete(Kind::EndpointSlice, "s6");
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&[ADDR]), remove(&["[2001:db8::1]:8080"])]
    );
    let mut v4_only = TestMesh::new(Mesh {
        ipv6: false,
        ..baseline()
    });
    v4_only.apply("web", service());
    v4_only.apply("vm", vm());
    v4_only.apply("s6", v6());
    assert_eq!(told(&mut v4_only).await, None);
    v4_only.apply("s1", slice("web", [external_endpoint("vm", "192.0.2.1")]));
    assert!(told(&mut v4_only).await.is_some());
}

#[tokio::test]
async fn s48_a_local_policy_leaves_machines_out() {
    let mut mesh = web(baseline(), vm());
    mesh.apply(
        "web",
        Service {
            local_traffic: true,
            ..service()
        },
    );
    assert_eq!(told(&mut mesh).await, None);
}

#[tokio::test]
async fn pods_and_machines_are_endpoints_of_one_service_and_share_names() {
    let mut mesh = web(baseline(), vm());
    // A pod by the machine's name is another endpoint.
    mesh.apply("vm", meshed("10.0.0.1"));
    mesh.apply("s2", slice("web", [endpoint("vm", "10.0.0.1")]));
    let mut client = mesh.get(WEB).await.expect("open");
    assert_eq!(
        mesh.read(&mut client).await,
        [add(&["10.0.0.1:8080", ADDR])]
    );
    mesh.delete(Kind::Pod, "vm");
    assert_eq!(mesh.read(&mut client).await, [remove(&["10.0.0.1:8080"])]);
}

#[tokio::test]
async fn one_hostname_is_one_machine() {
    let mut mesh = web(baseline(), vm());
    let hosted = Endpoint {
        hostname: Some("vm".into()),
        ..external_endpoint("vm", "192.0.2.1")
    };
    mesh.apply("s1", slice("web", [hosted]));
    let mut client = mesh
        .get("vm.web.ns.svc.cluster.local:80")
        .await
        .expect("open");
    assert_eq!(mesh.read(&mut client).await, [add(&[ADDR])]);
    // A profile is of a pod (D11).
    let refused = mesh.profile("vm.web.ns.svc.cluster.local:80").await.err();
    let refused = refused.expect("no pod");
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::NotFound,
            "no pod found in EndpointSlices of Service ns/web for hostname vm"
        )
    );
}

#[tokio::test]
async fn s114_a_machine_by_its_address_and_a_declared_port() {
    let mut mesh = TestMesh::new(baseline());
    let machine = ExternalWorkload {
        owner: owner("ExternalGroup", "vms"),
        zone: Some("west".into()),
        ..external(&["192.0.2.1", "2001:db8::1"])
    };
    mesh.apply("vm", machine.clone());
    for addr in [ADDR, "[2001:db8::1]:8080"] {
        let mut client = mesh.profile(addr).await.expect("open");
        let told = mesh.read_profiles(&mut client).await;
        let endpoint = told[0].endpoint.as_ref().expect("a machine");
        let socket = std::net::SocketAddr::try_from(endpoint.addr.expect("set")).expect("valid");
        assert_eq!(socket.to_string(), addr);
        assert_eq!(
            endpoint.metric_labels,
            labels(&[
                ("external_workload", "vm"),
                // As it is written, unlike in Get.
                ("ExternalGroup", "vms"),
                ("namespace", "ns"),
                ("zone", "west"),
            ])
        );
        assert_eq!(
            (endpoint.tls_identity.clone(), endpoint.protocol_hint),
            (identity(), h2(None))
        );
        assert!(endpoint.http2.is_some() && endpoint.weight == 10_000);
        assert!(!told[0].opaque_protocol && told[0].retry_budget.is_some());
        assert!(told[0].fully_qualified_name.is_empty() && told[0].parent_ref.is_none());
    }
    // A port that it does not declare is nobody's, until it is declared.
    let mut other = mesh.profile("192.0.2.1:3306").await.expect("open");
    let told = mesh.read_profiles(&mut other).await;
    let bare = told[0].endpoint.as_ref().expect("bare");
    assert!(bare.metric_labels.is_empty() && bare.tls_identity.is_none());
    assert!(told[0].opaque_protocol, "by the default list");
    let declaring = ExternalWorkload {
        ports: [WorkloadPort {
            name: "".into(),
            port: 3306,
            is_tcp: true,
        }]
        .into(),
        ..machine
    };
    mesh.apply("vm", declaring);
    let told = mesh.read_profiles(&mut other).await;
    assert_eq!(
        told[0].endpoint.as_ref().expect("a machine").protocol_hint,
        opaque(4143)
    );
}

#[tokio::test]
async fn s114_a_machine_that_is_gone_leaves_nothing_behind() {
    let mut mesh = TestMesh::new(baseline());
    let annotated = ExternalWorkload {
        opaque_ports: Some(ports("8080")),
        ..vm()
    };
    mesh.apply("vm", annotated);
    let mut client = mesh.profile(ADDR).await.expect("open");
    assert!(mesh.read_profiles(&mut client).await[0].opaque_protocol);
    mesh.delete(Kind::ExternalWorkload, "vm");
    let told = mesh.read_profiles(&mut client).await;
    assert_eq!(told.len(), 1);
    // D10: the reference keeps the opacity.
    assert!(!told[0].opaque_protocol);
    let endpoint = told[0].endpoint.as_ref().expect("bare");
    assert!(endpoint.metric_labels.is_empty() && endpoint.tls_identity.is_none());
    // One with another address is not at this one.
    mesh.apply("vm", external(&["192.0.2.9"]));
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    mesh.apply("vm", vm());
    assert_eq!(mesh.read_profiles(&mut client).await.len(), 1);
}

#[tokio::test]
async fn two_machines_at_one_address_are_refused_and_a_pod_comes_before_them() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("one", external(&["192.0.2.1", "2001:db8::1"]));
    let mut client = mesh.profile(ADDR).await.expect("open");
    mesh.read_profiles(&mut client).await;
    mesh.apply("two", external(&["192.0.2.1", "2001:db8::1"]));
    for (addr, shown) in [
        (ADDR, "192.0.2.1:8080"),
        ("[2001:db8::1]:8080", "[2001:db8::1]:8080"),
    ] {
        let refused = mesh.profile(addr).await.err().expect("two machines");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        assert_eq!(
            refused.message(),
            format!("found 2 externalworkloads with a conflicting ip {shown}")
        );
    }
    // Who is here keeps the last answer until there is one again.
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    mesh.delete(Kind::ExternalWorkload, "one");
    let label = |profile: &ferrule_proto::destination::DestinationProfile| {
        let endpoint = profile.endpoint.clone().expect("somebody");
        let mut labels = endpoint.metric_labels;
        labels.remove("pod").or(labels.remove("external_workload"))
    };
    let told = mesh.read_profiles(&mut client).await;
    assert_eq!(label(&told[0]).as_deref(), Some("two"));
    mesh.apply("pod", meshed("192.0.2.1"));
    let told = mesh.read_profiles(&mut client).await;
    assert_eq!(label(&told[0]).as_deref(), Some("pod"));
    mesh.delete(Kind::Pod, "pod");
    let told = mesh.read_profiles(&mut client).await;
    assert_eq!(label(&told[0]).as_deref(), Some("two"));
}

#[tokio::test]
async fn a_slice_of_names_lists_no_machines() {
    let mut mesh = web(baseline(), vm());
    mesh.apply(
        "s1",
        EndpointSlice {
            address_type: AddressType::Fqdn,
            ..slice("web", [external_endpoint("vm", "192.0.2.1")])
        },
    );
    assert_eq!(told(&mut mesh).await, None);
}
