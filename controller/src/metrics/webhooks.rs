use super::{
    identity::timestamp,
    writer::{NONE, Writer},
};
use crate::{
    process::Process,
    webhooks::{self, Outcomes},
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// What API servers asked, and the certificate that they see.
#[derive(Debug)]
pub(super) struct Webhooks(pub(super) Arc<Process>);

impl Collector for Webhooks {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let webhooks = self.0.webhooks.as_deref();
        reviews(webhooks, &mut writer)?;
        certificate(webhooks, &mut writer)
    }
}

fn reviews(webhooks: Option<&webhooks::Webhooks>, writer: &mut Writer<'_>) -> fmt::Result {
    let outcomes: Vec<(_, Outcomes)> = webhooks
        .into_iter()
        .flat_map(webhooks::Webhooks::outcomes)
        .collect();
    let requests = outcomes.iter().flat_map(|(webhook, outcomes)| {
        [
            ("allowed", outcomes.allowed.count),
            ("denied", outcomes.denied.count),
            ("unreadable", outcomes.unreadable),
            ("failed", outcomes.failed),
        ]
        .map(|(outcome, count)| ([("webhook", *webhook), ("outcome", outcome)], count))
    });
    writer.counters(
        "webhook_requests{webhook,outcome}",
        "Requests to a webhook, by what became of them: allowed, denied, unreadable (no review) \
         or failed (what is needed for an answer could not be found out): for the last two the \
         API server does as the webhook's failure policy says",
        requests,
    )?;
    let durations = outcomes.iter().flat_map(|(webhook, outcomes)| {
        [("true", &outcomes.allowed), ("false", &outcomes.denied)]
            .map(|(allowed, took)| ([("webhook", *webhook), ("allowed", allowed)], took.clone()))
    });
    writer.histograms(
        "webhook_admission_seconds{webhook,allowed}",
        "How long it took to decide about a review, from its last byte on",
        durations,
    )
}

fn certificate(webhooks: Option<&webhooks::Webhooks>, writer: &mut Writer<'_>) -> fmt::Result {
    let expiry = webhooks.into_iter().flat_map(|webhooks| {
        let not_after = webhooks.certificate().not_after().map(timestamp);
        let names = webhooks.names();
        names.filter_map(move |name| Some(([("webhook", name)], not_after?)))
    });
    writer.gauges(
        "webhook_cert_expiry_timestamp_seconds{webhook}",
        "When the certificate that API servers see expires, in seconds since 1970",
        expiry,
    )?;
    let authority = webhooks.and_then(|webhooks| webhooks.authority()?.not_after());
    writer.gauges(
        "webhook_ca_expiry_timestamp_seconds",
        "When the authority that Ferrule keeps for its webhooks expires, in seconds since 1970; \
         replaced after two thirds of its life, absent where the certificate comes from files",
        authority.map(|not_after| (NONE, timestamp(not_after))),
    )?;
    let status = webhooks.map(|webhooks| webhooks.certificate().status());
    writer.counter(
        "webhook_cert_reloads",
        "How often a changed certificate of the webhooks came into force",
        status.map_or(0, ferrule_identity::FilesStatus::reloads),
    )?;
    writer.counter(
        "webhook_cert_reload_failures",
        "How often changed files of the webhooks could not be used; what was good stays in force",
        status.map_or(0, ferrule_identity::FilesStatus::failures),
    )?;
    let is_bad = status.is_some_and(|status| status.last_error().is_some());
    writer.gauge(
        "webhook_cert_files_bad",
        "1 while the webhooks' files cannot be used and the last good certificate is in force",
        u32::from(is_bad),
    )
}
