//! Kinds that a CRD defines: it may be absent, older, or installed later.

use super::*;
use std::{
    io,
    sync::{Mutex, PoisonError},
};
use tracing::subscriber::DefaultGuard;

const VERSIONS: [&str; 4] = ["v1beta3", "v1beta2", "v1beta1", "v1alpha1"];

impl Server {
    async fn of_servers() -> Self {
        let mut server = Self::of_kind(Kind::Server);
        server.tell_version("33").await;
        server
    }

    /// None of these versions is served.
    async fn refuse_versions(&mut self, versions: &[&str]) {
        for version in versions {
            self.refuse(&path(version), 404).await;
        }
    }

    async fn list_servers(&mut self, version: &str) -> Sending {
        let list = json!({
            "kind": "ServerList", "apiVersion": format!("policy.linkerd.io/{version}"),
            "metadata": {"resourceVersion": "10"},
            "items": [{"metadata": {"name": "s", "namespace": "ns"}, "spec": {"port": 80, "podSelector": {}}}],
        });
        self.answer(&format!("{} limit=500", path(version)), &list)
            .await;
        self.expect(&["relisting Server", "applied ns/s", "synced Server"])
            .await;
        self.answer("limit=1", &list).await;
        self.answer_watch(&format!("{} watch=true", path(version)))
            .await
    }
}

fn path(version: &str) -> String {
    format!("/apis/policy.linkerd.io/{version}/servers")
}

#[tokio::test(start_paused = true)]
async fn an_older_version_is_taken_at_once_where_the_newest_is_not_served() {
    let mut server = Server::of_servers().await;
    let started = Instant::now();
    server.refuse_versions(&VERSIONS[..2]).await;
    let watch = server.list_servers("v1beta1").await;
    assert!(started.elapsed() < Duration::from_secs(1));
    let errors = server
        .stats
        .kind(Kind::Server)
        .errors(ErrorReason::NotFound);
    assert_eq!(errors, 0, "that a version is not served is no error");
    // It stays with that version when the watch ends.
    drop(watch);
    server.answer(&path("v1beta1"), &page(&[], 11, None)).await;
    let watch = server.answer_watch(&path("v1beta1")).await;
    // The mesh is upgraded, and the old version is no longer served.
    drop(watch);
    server.refuse(&path("v1beta1"), 404).await;
    server.refuse(&path("v1beta1"), 404).await;
    server.refuse_versions(&VERSIONS[3..]).await;
    // Nothing is lost meanwhile: a list replaces what was known.
    server
        .expect(&["unavailable: the API server does not serve servers.policy.linkerd.io"])
        .await;
    server.list_servers("v1beta3").await;
}

#[tokio::test(start_paused = true)]
async fn a_crd_that_is_installed_later_is_seen_within_seconds_and_its_absence_said_once() {
    let (log, _guard) = Log::begin();
    let mut server = Server::of_servers().await;
    let absent = Duration::from_secs(600);
    let started = Instant::now();
    while started.elapsed() < absent {
        server.refuse_versions(&VERSIONS).await;
    }
    // Installed now, in one of its versions.
    let installed = Instant::now();
    server.refuse_versions(&VERSIONS[..1]).await;
    server
        .expect(&[
            "unavailable: the API server does not serve servers.policy.linkerd.io at v1beta3, \
             v1beta2, v1beta1, v1alpha1: install the CRD",
        ])
        .await;
    let _watch = server.list_servers("v1beta2").await;
    assert!(installed.elapsed() <= Duration::from_secs(6));
    let said = log.lines_with("does not serve");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(" INFO "), "{said:?}");
    assert!(said[0].contains("until then every port has its workload's default policy"));
    let louder = |line: &String| line.contains("WARN") || line.contains("ERROR");
    assert!(!log.lines_with("").iter().any(louder), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn a_custom_kind_that_is_forbidden_is_said_loudly() {
    let (log, _guard) = Log::begin();
    let mut server = Server::of_servers().await;
    for _ in 0..3 {
        server.refuse(&path("v1beta3"), 403).await;
    }
    server
        .expect(&["unavailable: servers.policy.linkerd.io may not be read"])
        .await;
    let _watch = server.list_servers("v1beta3").await;
    let said = log.lines_with("may not be read");
    assert!(said.len() == 1 && said[0].contains("ERROR"), "{said:?}");
}

/// What is logged by the thread of a test, while the guard lives.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_max_level(tracing::Level::DEBUG)
            .with_ansi(false)
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn lines_with(&self, text: &str) -> Vec<String> {
        let lines = self.text();
        let found = lines.lines().filter(|line| line.contains(text));
        found.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
