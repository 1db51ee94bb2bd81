use super::writer::Writer;
use crate::process::Process;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// What became of the traces of the process' own work.
#[derive(Debug)]
pub(super) struct Traces(pub(super) Arc<Process>);

impl Collector for Traces {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let stats = self.0.traces.as_deref();
        writer.counter(
            "trace_spans_exported",
            "Spans that the trace collector has taken",
            stats.map_or(0, crate::traces::Stats::exported),
        )?;
        let dropped = stats.into_iter().flat_map(|stats| {
            [
                ([("reason", "overflow")], stats.overflowed()),
                ([("reason", "export")], stats.failed()),
            ]
        });
        writer.counters(
            "trace_spans_dropped{reason}",
            "Spans that were dropped: overflow (too many waited for the collector), export (it \
             did not take them); absent without a collector",
            dropped,
        )
    }
}
