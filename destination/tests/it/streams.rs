//! destination.md section 20.5 and scenario 118, as ruling 6 amends them: a stream has
//! no queue that could overflow, and nobody is cut off for being slow.

use crate::support::*;

/// More than the reference's queue takes.
const CHANGES: u8 = 120;

#[tokio::test]
async fn s73_who_does_not_read_passes_over_what_was_between_and_stays() {
    let mut mesh = TestMesh::new(baseline()).with_web(&[("a", "10.0.0.1")]);
    let path = "web.ns.svc.cluster.local:80";
    let mut slow = mesh.get(path).await.expect("open");
    assert_eq!(mesh.read(&mut slow).await, [add(&["10.0.0.1:8080"])]);
    for n in 1..=CHANGES {
        let (name, ip) = (format!("b{n}"), format!("10.0.1.{n}"));
        mesh.apply(&name, meshed(&ip));
        let endpoints = [endpoint("a", "10.0.0.1"), endpoint(&name, &ip)];
        mesh.apply("s1", slice("web", endpoints));
    }
    let newest = format!("10.0.1.{CHANGES}:8080");
    let told = mesh.read(&mut slow).await;
    // All that there is, and that what it may hold of the rest is gone.
    assert!(told.len() <= 2, "{told:?}");
    assert_eq!(told[0], add(&["10.0.0.1:8080", &newest]));
    let mut fresh = mesh.get(path).await.expect("open");
    mesh.read(&mut fresh).await;
    assert_eq!(slow.endpoints, fresh.endpoints);
    // It goes on.
    mesh.apply("s1", slice("web", [endpoint("a", "10.0.0.1")]));
    assert_eq!(mesh.read(&mut slow).await, [remove(&[&newest])]);
}

#[tokio::test]
async fn s118_who_does_not_read_a_profile_is_told_the_newest_and_stays() {
    let mut mesh = TestMesh::new(baseline());
    let addr = "10.0.0.1:8080";
    mesh.apply("a", meshed("10.0.0.1"));
    let mut slow = mesh.profile(addr).await.expect("open");
    mesh.read_profiles(&mut slow).await;
    for n in 0..=CHANGES {
        let known = if n % 2 == 0 { unmeshed } else { meshed };
        mesh.apply("a", known("10.0.0.1"));
    }
    let told = mesh.read_profiles(&mut slow).await;
    let mut fresh = mesh.profile(addr).await.expect("open");
    assert_eq!(told, mesh.read_profiles(&mut fresh).await);
    assert_eq!(told.len(), 1);
    mesh.apply("a", meshed("10.0.0.1"));
    assert_eq!(mesh.read_profiles(&mut slow).await.len(), 1);
}
