//! `GetProfile` of a pod by its hostname under a Service (destination.md section
//! 11.4).

use crate::{
    profiles::{is_bare, now, pod_of},
    support::*,
};
use ferrule_cluster::{
    object::{Endpoint, EndpointSlice, Kind, ObjectKey, Phase, Pod, Target},
    source::Event,
};
use std::net::SocketAddr;
use tonic::Code;

const DB_0: &str = "db-0.db.ns.svc.cluster.local:80";

/// An endpoint that has its pod's name for a hostname.
fn named(pod: &str, address: &str) -> Endpoint {
    Endpoint {
        hostname: Some(pod.into()),
        ..endpoint(pod, address)
    }
}

fn of_db(endpoints: impl IntoIterator<Item = Endpoint>) -> EndpointSlice {
    slice("db", endpoints)
}

/// A mesh where pod `db-0` is known by its hostname, and a stream that was told it.
async fn told() -> (TestMesh, ProfileClient) {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("db", service());
    mesh.apply("db-0", meshed("10.0.0.1"));
    mesh.apply("s1", of_db([named("db-0", "10.0.0.1")]));
    let mut client = mesh.profile(DB_0).await.expect("open");
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "db-0");
    (mesh, client)
}

#[tokio::test]
async fn s115_a_pod_by_its_hostname() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("db", service());
    mesh.apply("db-0", meshed("10.0.0.1"));
    let mut named = endpoint("db-0", "10.0.0.1");
    named.hostname = Some("db-0".into());
    let mut address = endpoint("-", "10.0.0.9");
    address.hostname = Some("gw".into());
    address.target = Target::Address;
    let mut missing = endpoint("db-1", "10.0.0.2");
    missing.hostname = Some("db-1".into());
    mesh.apply("s1", slice("db", [unready(named), address, missing]));
    let profile = now(&mut mesh, "db-0.db.ns.svc.cluster.local:80").await;
    assert_eq!(pod_of(&profile), "db-0");
    let socket = profile.endpoint.and_then(|endpoint| endpoint.addr);
    let socket = SocketAddr::try_from(socket.expect("set")).expect("valid");
    assert_eq!(socket.to_string(), "10.0.0.1:80", "the port as asked for");
    let none = |hostname: &str| {
        format!("no pod found in EndpointSlices of Service ns/db for hostname {hostname}")
    };
    for (hostname, code, message) in [
        ("db-9", Code::NotFound, none("db-9")),
        ("gw", Code::NotFound, none("gw")),
        ("db-1", Code::Unknown, "pod \"db-1\" not found".to_owned()),
    ] {
        let path = format!("{hostname}.db.ns.svc.cluster.local:80");
        let refused = mesh.profile(&path).await.err().expect("no pod");
        assert_eq!((refused.code(), refused.message()), (code, &*message));
    }
    // Nor is a Service needed: the slices name its pods.
    mesh.delete(Kind::Service, "db");
    assert_eq!(
        pod_of(&now(&mut mesh, "db-0.db.ns.svc.cluster.local:80").await),
        "db-0"
    );
}

#[tokio::test]
async fn ruling_3_a_hostname_under_a_service_that_does_not_exist_is_unknown() {
    let mut mesh = TestMesh::new(baseline());
    // Nor does a slice make it one that lists no such pod.
    mesh.apply("s1", slice("gone", [named("db-1", "10.0.0.2")]));
    for service in ["nope", "gone"] {
        let path = format!("db-0.{service}.ns.svc.cluster.local:80");
        let refused = mesh.profile(&path).await.err().expect("no Service");
        let words = format!("service \"{service}\" not found");
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::Unknown, &*words)
        );
    }
}

#[tokio::test]
async fn a_hostnames_pod_that_changes_is_told() {
    let mut mesh = TestMesh::new(baseline());
    mesh.apply("db", service());
    mesh.apply("db-0", meshed("10.0.0.1"));
    let mut named = endpoint("db-0", "10.0.0.1");
    named.hostname = Some("db-0".into());
    mesh.apply("s1", slice("db", [named]));
    let mut client = mesh
        .profile("db-0.db.ns.svc.cluster.local:80")
        .await
        .expect("open");
    mesh.read_profiles(&mut client).await;
    mesh.feed(applied(
        ObjectKey::new(NS, "db-0"),
        unmeshed("10.0.0.1").into(),
    ));
    mesh.publish();
    let told = mesh.read_profiles(&mut client).await;
    assert!(
        told[0]
            .endpoint
            .as_ref()
            .expect("set")
            .tls_identity
            .is_none()
    );
}

#[tokio::test]
async fn a_hostname_whose_pod_goes_after_its_endpoint_is_bare() {
    let (mut mesh, mut client) = told().await;
    mesh.apply("s1", of_db([]));
    // The pod is there, though the name is no longer its.
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    let refused = mesh.profile(DB_0).await.err().expect("no pod");
    assert_eq!(refused.code(), Code::NotFound);
    mesh.delete(Kind::Pod, "db-0");
    is_bare(&mesh.read_profiles(&mut client).await[0], "10.0.0.1:80");
}

#[tokio::test]
async fn a_hostname_whose_pod_goes_with_its_endpoint_or_before_is_bare() {
    for pod_first in [false, true] {
        let (mut mesh, mut client) = told().await;
        mesh.feed(Event::Deleted(Kind::Pod, ObjectKey::new(NS, "db-0")));
        if pod_first {
            mesh.publish();
        }
        mesh.apply("s1", of_db([]));
        let told = mesh.read_profiles(&mut client).await;
        assert_eq!(told.len(), 1);
        is_bare(&told[0], "10.0.0.1:80");
    }
}

#[tokio::test]
async fn a_hostname_without_a_pod_is_whoever_has_its_last_address() {
    let (mut mesh, mut client) = told().await;
    mesh.delete(Kind::Pod, "db-0");
    mesh.apply("s1", of_db([]));
    mesh.apply("other", meshed("10.0.0.1"));
    let newest = mesh.read_profiles(&mut client).await.pop().expect("news");
    assert_eq!(pod_of(&newest), "other");
    assert_eq!(newest, now(&mut mesh, "10.0.0.1:80").await);
    // A pod of that name that has no address yet is no answer,
    let waiting = Pod {
        phase: Phase::Pending,
        ..pod(&[], template())
    };
    mesh.apply("s1", of_db([named("db-0", "10.0.0.2")]));
    mesh.apply("db-0", waiting);
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    // until it has,
    mesh.apply("db-0", meshed("10.0.0.2"));
    assert_eq!(pod_of(&mesh.read_profiles(&mut client).await[0]), "db-0");
    // and what had its address before is nothing to it any more.
    mesh.delete(Kind::Pod, "other");
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    mesh.apply("s1", of_db([]));
    mesh.delete(Kind::Pod, "db-0");
    is_bare(&mesh.read_profiles(&mut client).await[0], "10.0.0.2:80");
}

#[tokio::test]
async fn a_hostname_under_a_service_that_goes_with_its_slices_is_bare() {
    let (mut mesh, mut client) = told().await;
    mesh.delete(Kind::Service, "db");
    mesh.delete(Kind::EndpointSlice, "s1");
    assert_eq!(mesh.read_profiles(&mut client).await, []);
    mesh.delete(Kind::Pod, "db-0");
    is_bare(&mesh.read_profiles(&mut client).await[0], "10.0.0.1:80");
}
