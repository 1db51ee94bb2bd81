use super::Stats;
use crate::flags::Collector;
use opentelemetry_proto::{
    tonic::collector::trace::v1::{
        ExportTraceServiceRequest, trace_service_client::TraceServiceClient,
    },
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{Resource, trace::SpanData};
use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    transport::{Channel, Endpoint},
};

/// Spans that are sent at a time; some 100 KiB.
const BATCH: usize = 512;
/// How long spans are gathered: those of one trace end within moments.
const GATHER: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing is sent to one that did not answer. Meanwhile the queue fills.
const PAUSE: Duration = Duration::from_secs(5);
/// How often it is said that there is none.
const SAY: Duration = Duration::from_secs(60);

/// Sends spans to the collector.
pub(crate) struct Exporter {
    client: TraceServiceClient<Channel>,
    collector: String,
    resource: ResourceAttributesWithSchema,
    spans: mpsc::Receiver<SpanData>,
    stats: Arc<Stats>,
    /// When it was said last that the collector does not take them, until it does.
    said: Option<Instant>,
}

impl Exporter {
    /// Connects when there is something to send.
    pub(super) fn new(
        collector: &Collector,
        resource: &Resource,
        spans: mpsc::Receiver<SpanData>,
        stats: Arc<Stats>,
    ) -> Self {
        let channel = Endpoint::from(collector.uri())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .connect_lazy();
        Self {
            client: TraceServiceClient::new(channel),
            collector: collector.as_str().to_owned(),
            resource: resource.into(),
            spans,
            stats,
            said: None,
        }
    }

    /// Sends what there is until `stop`, and then what still waits.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        while let Some(Some(batch)) = stop.run_until_cancelled(self.batch()).await {
            let pause = if !self.send(batch).await {
                PAUSE
            } else if self.spans.len() < BATCH {
                GATHER
            } else {
                continue;
            };
            stop.run_until_cancelled(sleep(pause)).await;
        }
        self.spans.close();
        while let Some(batch) = self.batch().await {
            if !self.send(batch).await {
                break;
            }
        }
    }

    /// The next spans, once there are some; `None` if none will come any more.
    async fn batch(&mut self) -> Option<Vec<SpanData>> {
        let mut batch = Vec::new();
        let count = self.spans.recv_many(&mut batch, BATCH).await;
        (count > 0).then_some(batch)
    }

    /// Whether the collector has taken them.
    async fn send(&mut self, batch: Vec<SpanData>) -> bool {
        let count = batch.len() as u64;
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let request = ExportTraceServiceRequest { resource_spans };
        match self.client.export(request).await {
            Ok(answer) => {
                let refused = answer.into_inner().partial_success;
                let refused = refused.map_or(0, |refused| refused.rejected_spans);
                let refused = u64::try_from(refused).unwrap_or_default().min(count);
                self.stats.failed.fetch_add(refused, Relaxed);
                self.stats.exported.fetch_add(count - refused, Relaxed);
                if self.said.take().is_some() {
                    tracing::info!(collector = self.collector, "traces are taken again");
                }
                true
            }
            Err(status) => {
                self.stats.failed.fetch_add(count, Relaxed);
                self.complain(&status);
                false
            }
        }
    }

    fn complain(&mut self, status: &Status) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY) {
            self.said = Some(Instant::now());
            tracing::warn!(
                collector = self.collector,
                dropped = self.stats.failed() + self.stats.overflowed(),
                "the collector does not take traces: {}",
                status.message()
            );
        }
    }
}
