use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// What became of spans.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(super) exported: AtomicU64,
    pub(super) overflowed: AtomicU64,
    pub(super) failed: AtomicU64,
}

impl Stats {
    /// Spans that the collector has taken.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Relaxed)
    }

    /// Spans for which there was no room.
    pub(crate) fn overflowed(&self) -> u64 {
        self.overflowed.load(Relaxed)
    }

    /// Spans that the collector has not taken.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }
}

/// Where spans wait that have ended.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    stats: Arc<Stats>,
}

impl Queue {
    pub(super) fn new(spans: mpsc::Sender<SpanData>, stats: Arc<Stats>) -> Self {
        Self { spans, stats }
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.stats.overflowed.fetch_add(1, Relaxed);
        }
    }

    // The exporter sends what waits when the process ends.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
