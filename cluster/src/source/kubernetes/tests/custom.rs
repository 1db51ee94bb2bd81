//! Kinds that a CRD defines: it may be absent, older, or installed later.

use super::{server::Sending, *};
use std::{cell::RefCell, io, sync::Once};

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

const ABSENT: &str = "unavailable: the API server does not serve servers.policy.linkerd.io at \
                      v1beta3, v1beta2, v1beta1, v1alpha1: install the CRD";

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_absent_is_asked_for_rarely_and_seen_soon_after_its_crd_is_installed() {
    let log = Log::begin();
    let mut server = Server::of_servers().await;
    server.serves(Some("before"));
    let started = Instant::now();
    let mut tries = 0;
    while started.elapsed() < Duration::from_secs(600) {
        server.refuse_versions(&VERSIONS).await;
        tries += 1;
    }
    // Twice as long each time, then each 30 to 60 s.
    assert!((15..=35).contains(&tries), "{tries}");
    let asked = server.asked_what_it_serves();
    assert!((120..=260).contains(&asked), "{asked}");
    // Something is installed, which is not this.
    server.serves(Some("another"));
    let changed = Instant::now();
    for _ in 0..5 {
        server.refuse_versions(&VERSIONS).await;
    }
    assert!(changed.elapsed() <= Duration::from_secs(9));
    while changed.elapsed() < Duration::from_secs(300) {
        server.refuse_versions(&VERSIONS).await;
    }
    // It is, in one of its versions.
    server.serves(Some("installed"));
    let installed = Instant::now();
    server.refuse_versions(&VERSIONS[..1]).await;
    server.expect(&[ABSENT]).await;
    let _watch = server.list_servers("v1beta2").await;
    assert!(installed.elapsed() <= Duration::from_secs(6));
    let said = log.lines_with("does not serve");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(" INFO "), "{said:?}");
    assert!(said[0].contains("until then every port has its workload's default policy"));
    let louder = |line: &String| line.contains("WARN") || line.contains("ERROR");
    assert!(!log.lines_with("").iter().any(louder), "{}", log.text());
    // Nobody asks who has nothing to wait for.
    let asked = server.asked_what_it_serves();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(server.asked_what_it_serves(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_say_what_it_serves_is_asked_for_the_kind_itself() {
    let mut server = Server::of_servers().await;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(300) {
        server.refuse_versions(&VERSIONS).await;
    }
    let installed = Instant::now();
    server.expect(&[ABSENT]).await;
    let _watch = server.list_servers("v1beta3").await;
    assert!(installed.elapsed() <= Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn a_crd_that_another_server_knows_first_is_waited_for() {
    let mut server = Server::of_servers().await;
    server.serves(Some("before"));
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(300) {
        server.refuse_versions(&VERSIONS).await;
    }
    server.serves(Some("installed"));
    let installed = Instant::now();
    for _ in 0..4 {
        server.refuse_versions(&VERSIONS).await;
    }
    server.expect(&[ABSENT]).await;
    let _watch = server.list_servers("v1beta3").await;
    assert!(installed.elapsed() <= Duration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn a_custom_kind_that_is_forbidden_is_said_loudly() {
    let log = Log::begin();
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

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What is logged by the thread of a test.
#[derive(Clone, Copy)]
struct Log;

impl Log {
    /// One subscriber for the threads of all tests: what a thread without one logs
    /// first would never be logged by others either.
    fn begin() -> Self {
        static SUBSCRIBER: Once = Once::new();
        SUBSCRIBER.call_once(|| {
            let subscriber = tracing_subscriber::fmt()
                .with_writer(|| Self)
                .with_max_level(tracing::Level::DEBUG)
                .with_ansi(false)
                .finish();
            tracing::subscriber::set_global_default(subscriber).expect("there is no other");
        });
        LOGGED.with_borrow_mut(Vec::clear);
        Self
    }

    fn text(self) -> String {
        LOGGED.with_borrow(|logged| String::from_utf8_lossy(logged).into_owned())
    }

    fn lines_with(self, text: &str) -> Vec<String> {
        let lines = self.text();
        let found = lines.lines().filter(|line| line.contains(text));
        found.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
