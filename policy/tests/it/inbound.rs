//! policy.md section 11, inbound: the default server of a port.

use crate::{support::*, told::*};
use ferrule_cluster::object::{DefaultPolicy, Kind as ObjectKind, Phase, PodTemplate};
use ferrule_policy::{PolicySettings, parse_networks};
use ferrule_proto::inbound::{Server, proxy_protocol::Kind};
use tonic::Code;

fn with_default(default_policy: DefaultPolicy) -> PolicySettings {
    PolicySettings {
        default_policy,
        ..PolicySettings::default()
    }
}

async fn server(settings: PolicySettings, template: PodTemplate, port: u32) -> Server {
    let mut mesh = TestMesh::new(settings);
    mesh.apply("web", pod(template));
    mesh.port("ns:web", port).await.expect("known")
}

#[tokio::test]
async fn s4_a_plain_pod_lets_everybody_in_on_any_port() {
    let server = server(PolicySettings::default(), template(), 1234).await;
    assert_eq!(name(&server), "all-unauthenticated");
    assert_eq!(networks(authz(&server)), ["0.0.0.0/0", "::/0"]);
    assert_eq!(permit(authz(&server)), &unauthenticated());
    let [route] = routes(&server) else {
        panic!("{server:?}");
    };
    assert_eq!(route.metadata, default_metadata("default"));
    assert!(route.hosts.is_empty() && route.authorizations.is_empty());
    let [rule] = &route.rules[..] else {
        panic!("{route:?}");
    };
    assert_eq!(
        format!("{:?}", rule.matches[0].path),
        r#"Some(PathMatch { kind: Some(Prefix("/")) })"#
    );
    assert!(rule.matches.len() == 1 && rule.matches[0].method.is_none());
}

#[tokio::test]
async fn s8_to_11_each_policy_lets_in_whom_its_name_says() {
    const ANY: &[&str] = &["0.0.0.0/0", "::/0"];
    // In the order of the flag.
    const CLUSTER: &[&str] = &[
        "10.0.0.0/8",
        "100.64.0.0/10",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fd00::/8",
    ];
    for (policy, expected) in [
        (
            DefaultPolicy::AllUnauthenticated,
            Some((ANY, unauthenticated())),
        ),
        (DefaultPolicy::AllAuthenticated, Some((ANY, any_identity()))),
        (
            DefaultPolicy::ClusterUnauthenticated,
            Some((CLUSTER, unauthenticated())),
        ),
        (
            DefaultPolicy::ClusterAuthenticated,
            Some((CLUSTER, any_identity())),
        ),
        (DefaultPolicy::Deny, None),
        (DefaultPolicy::Audit, Some((ANY, unauthenticated()))),
    ] {
        let annotated = PodTemplate {
            default_policy: Some(policy),
            ..template()
        };
        let by_mesh = server(with_default(policy), template(), 80).await;
        let by_pod = server(with_default(DefaultPolicy::AllAuthenticated), annotated, 80).await;
        assert_eq!(by_mesh, by_pod, "the annotation counts before the mesh's");
        assert_eq!(name(&by_mesh), policy.as_str());
        assert_eq!(routes(&by_mesh).len(), 1, "{policy}");
        match expected {
            Some((nets, allowed)) => {
                assert_eq!(networks(authz(&by_mesh)), nets, "{policy}");
                assert_eq!(permit(authz(&by_mesh)), &allowed, "{policy}");
            }
            None => assert!(by_mesh.authorizations.is_empty()),
        }
    }
}

#[tokio::test]
async fn networks_are_told_with_the_bits_of_the_host() {
    let settings = PolicySettings {
        cluster_networks: parse_networks("10.0.0.1/24").expect("literal"),
        ..with_default(DefaultPolicy::ClusterUnauthenticated)
    };
    let server = server(settings, template(), 80).await;
    assert_eq!(networks(authz(&server)), ["10.0.0.1/24"]);
}

#[tokio::test]
async fn a_cluster_without_networks_lets_nobody_in_instead_of_breaking_the_port() {
    let settings = PolicySettings {
        cluster_networks: Vec::new(),
        ..with_default(DefaultPolicy::ClusterUnauthenticated)
    };
    let server = server(settings, template(), 80).await;
    assert_eq!(name(&server), "cluster-unauthenticated");
    assert!(server.authorizations.is_empty());
}

#[tokio::test]
async fn s12_13_ports_that_require_an_identity_have_the_stricter_policy() {
    let strict = || PodTemplate {
        require_identity_ports: ports("80,8080-8090"),
        ..template()
    };
    for (policy, port, expected) in [
        (
            DefaultPolicy::ClusterUnauthenticated,
            8085,
            "cluster-authenticated",
        ),
        (
            DefaultPolicy::ClusterUnauthenticated,
            81,
            "cluster-unauthenticated",
        ),
        (DefaultPolicy::AllUnauthenticated, 80, "all-authenticated"),
        (
            DefaultPolicy::AllUnauthenticated,
            8091,
            "all-unauthenticated",
        ),
        (DefaultPolicy::AllAuthenticated, 80, "all-authenticated"),
        (
            DefaultPolicy::ClusterAuthenticated,
            80,
            "cluster-authenticated",
        ),
        (DefaultPolicy::Audit, 80, "audit"),
        (DefaultPolicy::Deny, 80, "deny"),
    ] {
        let server = server(with_default(policy), strict(), port).await;
        assert_eq!(name(&server), expected, "{policy} {port}");
        if expected.ends_with("-authenticated") {
            assert_eq!(permit(authz(&server)), &any_identity());
        }
    }
}

#[tokio::test]
async fn s14_to_16_a_pods_own_opaque_ports_are_not_looked_into() {
    let annotated = |text: &str| PodTemplate {
        opaque_ports: Some(ports(text)),
        ..template()
    };
    for (template, port, opaque) in [
        (annotated("3306"), 3306, true),
        (annotated("3306"), 80, false),
        // The mesh's list is for Services; the injector writes it on pods.
        (template(), 3306, false),
        (annotated(""), 3306, false),
    ] {
        let server = server(PolicySettings::default(), template, port).await;
        assert_eq!(matches!(kind(&server), Kind::Opaque(_)), opaque, "{port}");
        assert_eq!(networks(authz(&server)), ["0.0.0.0/0", "::/0"]);
    }
}

#[tokio::test]
async fn s17_an_edited_pod_is_told_once_where_it_matters() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", pod(template()));
    let mut web = mesh.watch_port("ns:web", 80).await.expect("known");
    let mut db = mesh.watch_port("ns:web", 3306).await.expect("known");
    assert_eq!((web.read().len(), db.read().len()), (1, 1));
    let opaque = PodTemplate {
        opaque_ports: Some(ports("3306")),
        ..template()
    };
    mesh.apply("web", pod(opaque.clone()));
    assert_eq!(web.read(), [], "equal policies are not told");
    assert!(matches!(kind(&db.read()[0]), Kind::Opaque(_)));
    let denied = PodTemplate {
        default_policy: Some(DefaultPolicy::Deny),
        ..opaque
    };
    mesh.apply("web", pod(denied.clone()));
    assert_eq!((web.read().len(), db.read().len()), (1, 1));
    // What policy does not read changes nothing.
    let mut running = pod(PodTemplate {
        service_account: "other".into(),
        ..denied
    });
    running.phase = Phase::Running;
    mesh.apply("web", running);
    assert_eq!((web.read(), db.read()), (vec![], vec![]));
    assert_eq!((web.ended, db.ended), (None, None));
}

#[tokio::test]
async fn s18_a_deleted_pod_ends_its_streams_and_a_new_one_is_found() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", pod(template()));
    mesh.apply("other", pod(template()));
    let mut web = mesh.watch_port("ns:web", 80).await.expect("known");
    let mut unread = mesh.watch_port("ns:web", 81).await.expect("known");
    let mut other = mesh.watch_port("ns:other", 80).await.expect("known");
    web.read();
    mesh.delete(ObjectKind::Pod, "web");
    assert_eq!((web.read(), web.ended), (vec![], Some(Code::Ok)));
    assert_eq!((unread.read().len(), unread.ended), (1, Some(Code::Ok)));
    assert_eq!((other.read().len(), other.ended), (1, None));
    let status = mesh.port("ns:web", 80).await.expect_err("gone");
    assert_eq!(status.code(), Code::NotFound);
    mesh.apply("web", pod(template()));
    assert!(mesh.port("ns:web", 80).await.is_ok());
}

#[tokio::test]
async fn a_pod_that_leaves_the_mesh_ends_its_streams() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("web", pod(template()));
    let mut web = mesh.watch_port("ns:web", 80).await.expect("known");
    mesh.apply(
        "web",
        pod(PodTemplate {
            control_plane: None,
            ..template()
        }),
    );
    assert_eq!((web.read().len(), web.ended), (1, Some(Code::Ok)));
}
