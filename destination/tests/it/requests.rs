//! destination.md section 20.1, and what refuses a stream.

use crate::support::*;
use ferrule_cluster::{
    object::{Kind, Service},
    source::Event,
};
use ferrule_destination::Mesh;
use tonic::Code;

const WEB: &str = "web.ns.svc.cluster.local:80";

#[tokio::test]
async fn s1_to_3_a_name_with_and_without_a_port_is_the_service() {
    for path in [
        WEB,
        "web.ns.svc.cluster.local",
        "web.ns.svc.cluster.local:+80",
    ] {
        let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
        let mut client = mesh.get(path).await.expect(path);
        assert_eq!(
            mesh.read(&mut client).await,
            [add(&["10.0.0.1:8080"])],
            "{path}"
        );
    }
}

#[tokio::test]
async fn s4_to_9_what_is_no_service_is_refused_in_the_requests_words() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    mesh.apply(
        "ext",
        Service {
            external_name: true,
            ..service()
        },
    );
    for (path, code, message) in [
        (
            "web.ns:80",
            Code::InvalidArgument,
            "Invalid authority: web.ns:80",
        ),
        (
            "web.ns.svc.cluster.local.:80",
            Code::InvalidArgument,
            "Invalid authority: web.ns.svc.cluster.local.:80",
        ),
        (
            "x.y.web.ns.svc.cluster.local:80",
            Code::InvalidArgument,
            "Invalid authority: x.y.web.ns.svc.cluster.local:80",
        ),
        (
            "linkerd.io",
            Code::InvalidArgument,
            "Invalid authority: linkerd.io",
        ),
        ("", Code::InvalidArgument, "Invalid authority: "),
        (
            "web.ns.svc.cluster.local:0",
            Code::InvalidArgument,
            "Invalid authority: web.ns.svc.cluster.local:0",
        ),
        (
            "web.ns.svc.cluster.local:http",
            Code::InvalidArgument,
            "Invalid authority: web.ns.svc.cluster.local:http",
        ),
        (
            "web.ns.svc.cluster.local:70000",
            Code::InvalidArgument,
            "Invalid authority: web.ns.svc.cluster.local:70000",
        ),
        (
            "web.ns.svc.cluster.local:",
            Code::InvalidArgument,
            "Invalid authority: web.ns.svc.cluster.local:",
        ),
        ("::1", Code::InvalidArgument, "Invalid authority: ::1"),
        ("[::1]", Code::InvalidArgument, "Invalid authority: [::1]"),
        (
            "10.0.0.1:80",
            Code::InvalidArgument,
            "IP queries not supported by Get API: host=10.0.0.1",
        ),
        (
            "[2001:db8::1]:80",
            Code::InvalidArgument,
            "IP queries not supported by Get API: host=2001:db8::1",
        ),
        (
            "nope.ns.svc.cluster.local:80",
            Code::NotFound,
            "Service nope.ns not found",
        ),
        (
            ".ns.svc.cluster.local:80",
            Code::NotFound,
            "Service .ns not found",
        ),
        (
            "WEB.ns.svc.cluster.local:80",
            Code::NotFound,
            "Service WEB.ns not found",
        ),
        (
            "web.ns.SVC.cluster.local:80",
            Code::InvalidArgument,
            "Invalid authority: web.ns.SVC.cluster.local:80",
        ),
        (
            "ext.ns.svc.cluster.local:80",
            Code::InvalidArgument,
            "Invalid authority: ext.ns.svc.cluster.local:80",
        ),
    ] {
        let status = mesh.get(path).await.err().expect(path);
        assert_eq!((status.code(), status.message()), (code, message));
    }
}

#[tokio::test]
async fn s19_any_context_token_is_accepted() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    for token in [
        "ns:foo",
        "{\"ns\":\"foo\",\"nodeName\":\"n1\"}\n",
        "123fa-test",
        "{",
    ] {
        let mut client = mesh.get_as(WEB, token).await.expect(token);
        assert_eq!(
            mesh.read(&mut client).await,
            [add(&["10.0.0.1:8080"])],
            "{token}"
        );
    }
}

#[tokio::test]
async fn nothing_is_answered_before_every_required_kind_is_listed() {
    let mut mesh = TestMesh::unsynced(Mesh::default());
    for kind in [Kind::Service, Kind::EndpointSlice] {
        mesh.feed(Event::Relisting(kind));
        mesh.feed(Event::Synced(kind));
    }
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_required()) {
        mesh.feed(Event::Unavailable(kind, "forbidden".into()));
    }
    // Pods are never done without.
    mesh.feed(Event::Unavailable(Kind::Pod, "forbidden".into()));
    mesh.apply("web", service());
    for path in [WEB, "nope.ns.svc.cluster.local:80"] {
        assert_eq!(
            mesh.get(path).await.err().map(|s| s.code()),
            Some(Code::Unavailable)
        );
        assert_eq!(
            mesh.profile(path).await.err().map(|s| s.code()),
            Some(Code::Unavailable)
        );
    }
    // What can never be right is refused at once.
    assert_eq!(
        mesh.get("x").await.err().map(|s| s.code()),
        Some(Code::InvalidArgument)
    );
    mesh.feed(Event::Relisting(Kind::Pod));
    mesh.feed(Event::Synced(Kind::Pod));
    mesh.publish();
    assert!(mesh.get(WEB).await.is_ok());
}
