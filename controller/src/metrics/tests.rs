use super::*;
use crate::flags::ServeFlags;
use clap::Parser;
use std::{collections::BTreeSet, fs, path::Path};

#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    flags: ServeFlags,
}

/// A process without a cluster that has these roles and their parts, but for the
/// injector's, which need one.
async fn process(roles: &[Role]) -> Arc<Process> {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().to_str().expect("UTF-8");
    let args = ["serve", "--manifests", directory, "--state-dir", directory];
    let flags = Serve::parse_from(args).flags;
    let mut process = Process::new(roles);
    if process.has(Role::Destination) || process.has(Role::Policy) {
        process.discovery = Some(crate::discovery::open(&flags, None).expect("opens").0);
    }
    if process.has(Role::Identity) {
        let identity = crate::identity::Identity::open(&flags, None, None).await;
        process.identity = Some(identity.expect("opens").0);
    }
    Arc::new(process)
}

const ALL: [Role; 4] = [
    Role::Destination,
    Role::Policy,
    Role::Identity,
    Role::ProxyInjector,
];

/// The names on the lines that begin so.
fn names<'a>(text: &'a str, begin: &str) -> BTreeSet<&'a str> {
    text.lines()
        .filter_map(|line| line.strip_prefix(begin))
        .map(|rest| rest.split_whitespace().next().expect("a name"))
        .collect()
}

/// `make docs` writes it.
#[tokio::test]
async fn the_page_of_metrics_is_what_is_registered() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
    let written = fs::read_to_string(path).expect("the page");
    let tables = reference::tables(parts(&process(&ALL).await, Census::default()));
    let page = reference::page(&written, &tables);
    if std::env::var_os("FERRULE_WRITE_DOCS").is_some() {
        fs::write(Path::new(path), &page).expect("the page is written");
        return;
    }
    assert!(
        page == written,
        "docs/metrics.md is not what is registered: run `make docs`"
    );
}

#[tokio::test]
async fn a_scrape_has_every_metric_of_the_page_with_help() {
    let process = process(&ALL).await;
    let text = scrape(&process, Format::Text).await;
    let typed = names(&text, "# TYPE ");
    assert_eq!(typed, names(&text, "# HELP "));
    for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
        assert!(line.split(' ').count() > 3, "{line}");
    }
    let tables = reference::tables(parts(&process, Census::default()));
    let documented = tables.iter().flat_map(|table| &table.metrics);
    let documented: Vec<_> = documented.map(|metric| &*metric.name).collect();
    let names: BTreeSet<_> = documented.iter().copied().collect();
    assert_eq!(names.len(), documented.len(), "one is there twice");
    assert_eq!(typed, names);
}

#[tokio::test]
async fn a_process_tells_of_its_roles_alone() {
    for (role, theirs, others) in [
        (
            Role::Destination,
            "watch_age_seconds",
            "issuer_cert_ttl_seconds",
        ),
        (
            Role::Policy,
            "resource_status_pending",
            "certificates_issued_total",
        ),
        (Role::Identity, "certificates_issued_total", "views"),
        (
            Role::ProxyInjector,
            "injector_settings_bad",
            "stream_active",
        ),
        (
            Role::Destination,
            "webhook_requests_total",
            "resource_status_pending",
        ),
        (Role::Identity, "process_open_fds", "webhook_requests_total"),
    ] {
        let text = scrape(&process(&[role]).await, Format::Text).await;
        let typed = names(&text, "# TYPE ");
        assert!(typed.contains(theirs), "{role:?} lacks {theirs}");
        assert!(!typed.contains(others), "{role:?} has {others}");
    }
}

#[tokio::test]
async fn open_metrics_ends_with_its_mark() {
    let text = scrape(&process(&ALL).await, Format::OpenMetrics).await;
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(
        text.contains("\nstream_bytes_sent_total{service=\"destination\",method=\"Get\"} 0\n"),
        "{text}"
    );
}
