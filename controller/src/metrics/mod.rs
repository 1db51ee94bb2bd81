//! What the process says in numbers; docs/metrics.md lists it all.
//!
//! Nothing is counted here: each collector reads the counters of its part of
//! the process when it is scraped.

mod build;
mod cluster;
mod format;
mod identity;
mod mesh_tls;
mod runtime;
mod streams;
mod system;
mod webhooks;
mod writer;

pub(crate) use self::format::Format;

use crate::process::Process;
use prometheus_client::{encoding::text::encode, registry::Registry};
use std::sync::Arc;

/// All metrics of the process.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    pub(crate) fn new(process: Arc<Process>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(build::Build));
        registry.register_collector(Box::new(cluster::Cluster(process.clone())));
        registry.register_collector(Box::new(streams::Streams(process.clone())));
        registry.register_collector(Box::new(identity::Authority(process.clone())));
        registry.register_collector(Box::new(mesh_tls::MeshTls(process.clone())));
        registry.register_collector(Box::new(webhooks::Webhooks(process.clone())));
        registry.register_collector(Box::new(runtime::Runtime));
        registry.register_collector(Box::new(system::System(process)));
        Self(registry)
    }

    /// The metrics as they are now.
    pub(crate) fn render(&self, format: Format) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0).expect("a String takes everything");
        match format {
            Format::OpenMetrics => text,
            Format::Text => format::to_text(&text),
        }
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
    async fn metrics() -> Metrics {
        let directory = tempfile::tempdir().expect("a directory");
        let directory = directory.path().to_str().expect("UTF-8");
        let args = ["serve", "--manifests", directory, "--state-dir", directory];
        let flags = Serve::parse_from(args).flags;
        let mut process = Process::new();
        process.discovery = Some(crate::discovery::open(&flags, None).expect("opens").0);
        let identity = crate::identity::Identity::open(&flags, None).await;
        process.identity = Some(identity.expect("opens").0);
        Metrics::new(Arc::new(process))
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
        let text = metrics().await.render(Format::Text);
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
        let text = metrics().await.render(Format::OpenMetrics);
        assert!(text.ends_with("# EOF\n"), "{text}");
        assert!(
            text.contains("\nstream_opened_total{service=\"destination\",method=\"Get\"} 0\n"),
            "{text}"
        );
    }
}
