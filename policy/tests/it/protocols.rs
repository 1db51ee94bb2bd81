//! policy.md section 11, outbound: protocol selection.

use crate::support::*;
use ferrule_cluster::object::Service;
use ferrule_policy::PolicySettings;
use ferrule_proto::outbound::{HttpRoute, OpaqueRoute, OutboundPolicy, proxy_protocol::Kind};

/// What kind a policy is, after checking that its routes are the default ones.
fn kind(policy: &OutboundPolicy) -> &'static str {
    let opaque = |routes: &[OpaqueRoute]| {
        assert_eq!(routes[0].metadata, default_metadata("opaq"));
    };
    let http = |routes: &[HttpRoute]| {
        assert!(routes.len() == 1 && routes[0].metadata == default_metadata("http"));
    };
    match policy
        .protocol
        .as_ref()
        .and_then(|protocol| protocol.kind.as_ref())
    {
        Some(Kind::Detect(_)) => "detect",
        Some(Kind::Opaque(policy)) => {
            opaque(&policy.routes);
            "opaque"
        }
        Some(Kind::Http1(policy)) => {
            http(&policy.routes);
            assert!(policy.failure_accrual.is_none());
            "http1"
        }
        Some(Kind::Http2(policy)) => {
            http(&policy.routes);
            assert!(policy.failure_accrual.is_none());
            "http2"
        }
        other => panic!("{other:?}"),
    }
}

async fn of(mesh: &mut TestMesh, port: u16) -> &'static str {
    let by_address = mesh.policy(addr(&format!("10.96.0.1:{port}"))).await;
    let by_name = mesh.policy(authority(&format!("web.ns.svc:{port}"))).await;
    assert_eq!(by_address.as_ref().ok(), by_name.as_ref().ok());
    kind(&by_name.expect("known"))
}

#[tokio::test]
async fn s84_85_an_app_protocol_decides_and_beats_the_annotation() {
    for (app_protocol, expected) in [
        (Some("http"), "http1"),
        (Some("HTTP"), "http1"),
        (Some("kubernetes.io/h2c"), "http2"),
        // Ruling 2: its profile is not opaque, so its policy may not be either.
        (Some("grpc"), "http2"),
        (Some("linkerd.io/opaque"), "opaque"),
        (Some("linkerd.io/tcp"), "opaque"),
        (Some("XMPP"), "opaque"),
        (Some("https"), "opaque"),
        (None, "detect"),
    ] {
        for opaque_ports in [None, Some("80")] {
            let mut mesh = TestMesh::new(PolicySettings::default());
            mesh.apply(
                "web",
                Service {
                    ports: [service_port(80, app_protocol)].into(),
                    opaque_ports: opaque_ports.map(ports),
                    ..service(&["10.96.0.1"])
                },
            );
            let expected = match (app_protocol, opaque_ports) {
                (None, Some(_)) => "opaque",
                _ => expected,
            };
            assert_eq!(of(&mut mesh, 80).await, expected, "{app_protocol:?}");
        }
    }
}

#[tokio::test]
async fn s86_the_meshs_opaque_ports_hold_where_no_annotation_says_which_are() {
    let mysql = |opaque_ports: Option<&str>| Service {
        ports: [service_port(3306, None)].into(),
        opaque_ports: opaque_ports.map(ports),
        ..service(&["10.96.0.1"])
    };
    let mut mesh = TestMesh::new(PolicySettings::default());
    assert_eq!(
        kind(
            &mesh
                .policy(authority("web.ns.svc:3306"))
                .await
                .expect("known")
        ),
        "opaque",
        "also for one that is not there yet"
    );
    mesh.apply("web", mysql(None));
    assert_eq!(of(&mut mesh, 3306).await, "opaque");
    mesh.apply("web", mysql(Some("")));
    assert_eq!(of(&mut mesh, 3306).await, "detect");
}

#[tokio::test]
async fn a_namespaces_opaque_ports_hold_for_services_without_their_own() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", service(&["10.96.0.1"]));
    let mut by_address = mesh.watch(addr("10.96.0.1:80")).await.expect("known");
    let mut by_name = mesh.watch(authority("web.ns.svc")).await.expect("known");
    let mut both = || {
        [by_address.read(), by_name.read()].map(|told| {
            let kinds: Vec<_> = told.iter().map(kind).collect();
            kinds
        })
    };
    assert_eq!(both(), [["detect"], ["detect"]]);
    mesh.apply_in("", NS, namespace(Some("80")));
    assert_eq!(both(), [["opaque"], ["opaque"]]);
    mesh.apply_in("", NS, namespace(Some("80,81")));
    assert_eq!(both(), [[""; 0], [""; 0]], "not news");
    mesh.apply(
        "web",
        Service {
            opaque_ports: Some(ports("1")),
            ..service(&["10.96.0.1"])
        },
    );
    assert_eq!(both(), [["detect"], ["detect"]]);
}
