use super::writer::Writer;
use crate::{api_client::ApiRequests, process::Process};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// Requests to the API server, by the names of Linkerd's clients (destination.md
/// 14).
#[derive(Debug)]
pub(super) struct Requests(pub(super) Arc<Process>);

const CLIENT: (&str, &str) = ("client", "k8s");

impl Collector for Requests {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let none = ApiRequests::default();
        let requests = self.0.api_requests.as_deref().unwrap_or(&none);
        let mut writer = Writer::new(encoder);
        let answered = requests.answered();
        let each = || {
            answered.iter().map(|(method, code, latency)| {
                let labels = [CLIENT, ("code", &**code), ("method", *method)];
                (labels, latency)
            })
        };
        writer.counters(
            "http_client_requests{client,code,method}",
            "Requests to the Kubernetes API that were answered",
            each().map(|(labels, latency)| (labels, latency.count)),
        )?;
        writer.histograms(
            "http_client_request_latency_seconds{client,code,method}",
            "How long answers of the Kubernetes API took to begin; a watch's begins at once and \
             goes on",
            each().map(|(labels, latency)| (labels, latency.clone())),
        )?;
        writer.gauges(
            "http_client_in_flight_requests{client}",
            "Requests to the Kubernetes API whose answer has not begun",
            [([CLIENT], requests.in_flight())],
        )?;
        writer.counters(
            "http_client_errors{client,method}",
            "Requests to the Kubernetes API without an answer",
            requests.failed().into_iter().map(|(method, count)| {
                let labels = [CLIENT, ("method", method)];
                (labels, count)
            }),
        )
    }
}
