use super::writer::Writer;
use crate::{process::Process, restarts::Outcome};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// Pods that do not trust all trust anchors, and restarts of their workloads.
#[derive(Debug)]
pub(super) struct Restarts(pub(super) Arc<Process>);

impl Collector for Restarts {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let stats = &self.0.restarts;
        let laggards = stats.laggards();
        let samples = laggards.iter().map(|((namespace, kind), pods)| {
            let labels = [("namespace", namespace.as_str()), ("owner_kind", kind)];
            (labels, *pods)
        });
        writer.gauges(
            "trust_anchor_laggard_pods{namespace,owner_kind}",
            "Pods whose proxies do not trust all trust anchors that are published",
            samples,
        )?;
        let samples = Outcome::ALL.map(|outcome| {
            let labels = [("result", outcome.as_str())];
            (labels, stats.restarts(outcome))
        });
        writer.counters(
            "trust_anchor_restarts{result}",
            "Workloads that were restarted for trust anchors, by what came of it",
            samples,
        )?;
        writer.gauge(
            "trust_anchor_restarts_waiting",
            "Workloads that would be restarted for trust anchors if they could be now",
            stats.waiting(),
        )?;
        writer.gauge(
            "trust_anchor_restarts_stuck",
            "1 while nothing is restarted because the rollout of the last has failed",
            u64::from(stats.is_stuck()),
        )
    }
}
