//! What the process says in numbers; docs/metrics.md lists it all.
//!
//! Nothing is counted here: each collector reads the counters of its part of
//! the process when it is scraped.

mod api_requests;
mod build;
mod cluster;
mod format;
mod identity;
mod injection;
mod leases;
mod mesh_tls;
mod restarts;
mod runtime;
mod statuses;
mod streams;
mod system;
mod views;
mod webhooks;
mod writer;

pub(crate) use self::format::Format;

use crate::process::Process;
use ferrule_destination::Census;
use prometheus_client::{collector::Collector, encoding::text::encode, registry::Registry};
use std::sync::Arc;

/// All metrics of the process as they are now.
pub(crate) async fn scrape(process: &Arc<Process>, format: Format) -> String {
    let census = views::census(process).await;
    let process = process.clone();
    // Thousands of views are some milliseconds of work, which streams need not
    // wait for.
    let rendered = tokio::task::spawn_blocking(move || render(&process, census, format));
    rendered.await.unwrap_or_default()
}

fn render(process: &Arc<Process>, census: Census, format: Format) -> String {
    let mut registry = Registry::default();
    let collectors: [Box<dyn Collector>; 14] = [
        Box::new(build::Build),
        Box::new(cluster::Cluster(process.clone())),
        Box::new(streams::Streams(process.clone())),
        Box::new(views::Views::new(process.clone(), census)),
        Box::new(api_requests::Requests(process.clone())),
        Box::new(identity::Authority(process.clone())),
        Box::new(mesh_tls::MeshTls(process.clone())),
        Box::new(webhooks::Webhooks(process.clone())),
        Box::new(injection::Injector(process.clone())),
        Box::new(leases::Leases(process.clone())),
        Box::new(statuses::Statuses(process.clone())),
        Box::new(restarts::Restarts(process.clone())),
        Box::new(runtime::Runtime),
        Box::new(system::System(process.clone())),
    ];
    for collector in collectors {
        registry.register_collector(collector);
    }
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes everything");
    match format {
        Format::OpenMetrics => text,
        Format::Text => format::to_text(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::ServeFlags;
    use clap::Parser;
    use std::collections::BTreeSet;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        flags: ServeFlags,
    }

    /// The metrics of a process with every role, without a cluster.
    async fn metrics(format: Format) -> String {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path().to_str().expect("UTF-8");
        let args = ["serve", "--manifests", directory, "--state-dir", directory];
        let flags = Serve::parse_from(args).flags;
        let mut process = Process::new();
        process.discovery = Some(crate::discovery::open(&flags, None).expect("opens").0);
        let identity = crate::identity::Identity::open(&flags, None, None).await;
        process.identity = Some(identity.expect("opens").0);
        scrape(&Arc::new(process), format).await
    }

    /// The names on the lines that begin so.
    fn names<'a>(text: &'a str, begin: &str) -> BTreeSet<&'a str> {
        text.lines()
            .filter_map(|line| line.strip_prefix(begin))
            .map(|rest| rest.split_whitespace().next().expect("a name"))
            .collect()
    }

    #[tokio::test]
    async fn every_metric_has_help_and_stands_in_the_documentation() {
        let text = metrics(Format::Text).await;
        let typed = names(&text, "# TYPE ");
        assert_eq!(typed, names(&text, "# HELP "));
        for line in text.lines().filter(|line| line.starts_with("# HELP ")) {
            assert!(line.split(' ').count() > 3, "{line}");
        }
        let documented = include_str!("../../../docs/metrics.md");
        let documented: BTreeSet<_> = documented
            .lines()
            .filter_map(|line| line.strip_prefix("| `"))
            .filter_map(|rest| rest.split(['`', '{']).next())
            .collect();
        assert_eq!(typed, documented);
    }

    #[tokio::test]
    async fn open_metrics_ends_with_its_mark() {
        let text = metrics(Format::OpenMetrics).await;
        assert!(text.ends_with("# EOF\n"), "{text}");
        assert!(
            text.contains("\nstream_bytes_sent_total{service=\"destination\",method=\"Get\"} 0\n"),
            "{text}"
        );
    }
}
