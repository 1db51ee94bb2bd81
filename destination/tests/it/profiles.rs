//! destination.md section 20.7: profiles of Services.

use crate::support::*;
use ferrule_cluster::object::{Kind, PodTemplate, PortSet, Service, ServicePort};
use ferrule_proto::{
    destination::DestinationProfile,
    meta::{Resource, metadata::Kind as Meta},
};
use std::net::SocketAddr;
use tonic::Code;

const WEB: &str = "web.ns.svc.cluster.local:80";
const FQN: &str = "web.ns.svc.cluster.local";

fn at(ips: &[&str]) -> Service {
    Service {
        cluster_ips: ips.iter().map(|text| ip(text)).collect(),
        ..service()
    }
}

pub(crate) async fn now(mesh: &mut TestMesh, path: &str) -> DestinationProfile {
    let mut client = mesh.profile(path).await.expect(path);
    let told = mesh.read_profiles(&mut client).await;
    assert_eq!(told.len(), 1, "{path}");
    told.into_iter().next().expect("one")
}

fn is_default(profile: &DestinationProfile) {
    assert_eq!(profile.fully_qualified_name, FQN);
    let budget = profile.retry_budget.as_ref().expect("always");
    assert_eq!(
        (budget.retry_ratio, budget.min_retries_per_second),
        (0.2, 10)
    );
    assert_eq!(budget.ttl.as_ref().map(|ttl| ttl.seconds), Some(10));
    let resource =
        |meta: &Option<ferrule_proto::meta::Metadata>| match meta.clone().and_then(|m| m.kind) {
            Some(Meta::Resource(resource)) => resource,
            other => panic!("{other:?}"),
        };
    let parent = resource(&profile.parent_ref);
    assert_eq!(
        (
            &*parent.group,
            &*parent.kind,
            &*parent.name,
            &*parent.namespace,
            parent.port
        ),
        ("core", "Service", "web", "ns", 80)
    );
    let expected = Resource {
        group: "linkerd.io".into(),
        ..Resource::default()
    };
    assert_eq!(resource(&profile.profile_ref), expected);
    assert!(profile.endpoint.is_none() && profile.routes.is_empty());
}

pub(crate) fn is_bare(profile: &DestinationProfile, addr: &str) {
    let endpoint = profile.endpoint.as_ref().expect("an endpoint");
    let socket: SocketAddr = endpoint.addr.expect("set").try_into().expect("valid");
    assert_eq!(socket.to_string(), addr);
    assert!(endpoint.metric_labels.is_empty());
    assert!(endpoint.tls_identity.is_none() && endpoint.protocol_hint.is_none());
    assert_eq!(profile.fully_qualified_name, "");
}

pub(crate) fn pod_of(profile: &DestinationProfile) -> &str {
    &profile
        .endpoint
        .as_ref()
        .expect("an endpoint")
        .metric_labels["pod"]
}

#[tokio::test]
async fn s86_87_a_service_by_name_and_by_its_cluster_ips() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("web", at(&["10.96.0.1", "fd00::1"]));
    for path in [WEB, "10.96.0.1:80", "[fd00::1]:80"] {
        let profile = now(&mut mesh, path).await;
        is_default(&profile);
        assert!(!profile.opaque_protocol);
    }
}

#[tokio::test]
async fn s88_a_port_that_is_not_declared_has_an_empty_profile_until_it_is() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("web", at(&["10.96.0.1"]));
    let mut client = mesh.profile("10.96.0.1:81").await.expect("open");
    assert_eq!(
        mesh.read_profiles(&mut client).await,
        [DestinationProfile::default()]
    );
    // Ruling 1: an open stream is told what a fresh one would be.
    mesh.apply(
        "web",
        Service {
            ports: [service_port("", 81)].into(),
            ..at(&["10.96.0.1"])
        },
    );
    let told = mesh.read_profiles(&mut client).await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].fully_qualified_name, FQN);
}

#[tokio::test]
async fn s89_to_91_what_has_no_profile_is_refused() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply(
        "ext",
        Service {
            external_name: true,
            ..service()
        },
    );
    mesh.apply("one", at(&["10.96.0.1"]));
    mesh.apply("two", at(&["10.96.0.1"]));
    for (path, code, message) in [
        (
            "nope.ns.svc.cluster.local:80",
            Code::Unknown,
            "service \"nope\" not found",
        ),
        (
            ".ns.svc.cluster.local:80",
            Code::Unknown,
            "service \"\" not found",
        ),
        (
            "web.ns:80",
            Code::InvalidArgument,
            "invalid service \"web.ns\": ",
        ),
        (
            "web:http",
            Code::InvalidArgument,
            "invalid authority: \"web:http\": ",
        ),
        (
            "ext.ns.svc.cluster.local:80",
            Code::InvalidArgument,
            "Invalid authority: ext.ns.svc.cluster.local:80",
        ),
        (
            "10.96.0.1:80",
            Code::FailedPrecondition,
            "found 2 services with conflicting cluster IP 10.96.0.1",
        ),
    ] {
        let status = mesh.profile(path).await.err().expect(path);
        assert_eq!(status.code(), code, "{path}");
        assert!(
            status.message().starts_with(message),
            "{path}: {}",
            status.message()
        );
    }
    let unlisted = now(&mut mesh, "ext.ns.svc.cluster.local:9").await;
    assert_eq!(unlisted, DestinationProfile::default());
}

#[tokio::test]
async fn s95_96_a_services_opaque_ports() {
    let mut mesh = TestMesh::new(baseline());
    let opaque = |set: PortSet| Service {
        opaque_ports: Some(set),
        ..service()
    };
    mesh.apply("web", opaque(ports("80")));
    let mut client = mesh.profile(WEB).await.expect("open");
    assert!(mesh.read_profiles(&mut client).await[0].opaque_protocol);
    mesh.apply("web", service());
    assert!(!mesh.read_profiles(&mut client).await[0].opaque_protocol);
    // An unrelated port is not news.
    mesh.apply("web", opaque(ports("81")));
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    let mysql = Service {
        ports: [service_port("", 3306)].into(),
        ..service()
    };
    mesh.apply("db", mysql.clone());
    assert!(
        now(&mut mesh, "db.ns.svc.cluster.local:3306")
            .await
            .opaque_protocol
    );
    mesh.apply(
        "db",
        Service {
            opaque_ports: Some(PortSet::default()),
            ..mysql
        },
    );
    assert!(
        !now(&mut mesh, "db.ns.svc.cluster.local:3306")
            .await
            .opaque_protocol
    );
}

#[tokio::test]
async fn ruling_2_an_http_app_protocol_makes_a_port_not_opaque() {
    let mut mesh = TestMesh::new(baseline());
    let port = ServicePort {
        app_protocol: Some("http".into()),
        ..service_port("", 3306)
    };
    mesh.apply(
        "web",
        Service {
            ports: [port].into(),
            ..service()
        },
    );
    assert!(
        !now(&mut mesh, "web.ns.svc.cluster.local:3306")
            .await
            .opaque_protocol
    );
}

#[tokio::test]
async fn s97_104_pods_do_not_matter_to_a_services_profile() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[]);
    let mut client = mesh.profile(WEB).await.expect("open");
    mesh.read_profiles(&mut client).await;
    mesh.apply(
        "a",
        pod(
            &["10.0.0.1"],
            PodTemplate {
                opaque_ports: Some(ports("80,8080")),
                ..template()
            },
        ),
    );
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read_profiles(&mut client).await, []);
}

#[tokio::test]
async fn s103_a_service_that_goes_leaves_its_stream_open() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply(
        "web",
        Service {
            opaque_ports: Some(ports("80")),
            ..at(&["10.96.0.1"])
        },
    );
    let mut by_name = mesh.profile(WEB).await.expect("open");
    let mut by_ip = mesh.profile("10.96.0.1:80").await.expect("open");
    mesh.read_profiles(&mut by_name).await;
    mesh.read_profiles(&mut by_ip).await;
    mesh.delete(Kind::Service, "web");
    let told = mesh.read_profiles(&mut by_name).await;
    assert!(told.len() == 1 && !told[0].opaque_protocol);
    assert_eq!(
        mesh.profile(WEB).await.err().map(|s| s.code()),
        Some(Code::Unknown)
    );
    // The address is nobody's now.
    is_bare(&mesh.read_profiles(&mut by_ip).await[0], "10.96.0.1:80");
}
