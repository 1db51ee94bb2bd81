use super::writer::Writer;
use crate::{
    injection::{Injection, Labels},
    process::Process,
};
use ferrule_proxy_injector::AnnotationAt;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// What became of pods and Services that were created, by the names that dashboards
/// know.
#[derive(Debug)]
pub(super) struct Injector(pub(super) Arc<Process>);

impl Collector for Injector {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let injection = self.0.injection.as_deref();
        reviews(injection, &mut writer)?;
        upkeep(injection, &mut writer)
    }
}

fn reviews(injection: Option<&Injection>, writer: &mut Writer<'_>) -> fmt::Result {
    let requests = injection.map(|injection| injection.counts().requests());
    let requests = requests.unwrap_or_default();
    writer.counters(
        "proxy_inject_admission_requests{owner_kind,namespace,annotation_at}",
        "Pods and Services that the injector was asked about",
        requests
            .iter()
            .map(|(labels, count)| (common(labels), *count)),
    )?;
    let responses = injection.map(|injection| injection.counts().responses());
    let responses: Vec<_> = responses
        .unwrap_or_default()
        .into_iter()
        .map(|((labels, skipped), count)| {
            let reasons: Vec<_> = skipped.iter().map(|reason| reason.code()).collect();
            (labels, reasons.join(","), count)
        })
        .collect();
    writer.counters(
        "proxy_inject_admission_responses{owner_kind,namespace,annotation_at,skip,skip_reason}",
        "Pods and Services that the injector changed (skip false), and pods that it did not, \
         with its reasons and commas between. A pod without a proxy that was told its opaque \
         ports was changed",
        responses.iter().map(|(labels, reasons, count)| {
            let [kind, namespace, at] = common(labels);
            let skip = if reasons.is_empty() { "false" } else { "true" };
            let labels = [
                kind,
                namespace,
                at,
                ("skip", skip),
                ("skip_reason", reasons),
            ];
            (labels, *count)
        }),
    )
}

fn common(labels: &Labels) -> [(&'static str, &str); 3] {
    [
        ("owner_kind", labels.owner_kind),
        ("namespace", &labels.namespace),
        (
            "annotation_at",
            labels.annotation_at.map_or("", AnnotationAt::as_str),
        ),
    ]
}

fn upkeep(injection: Option<&Injection>, writer: &mut Writer<'_>) -> fmt::Result {
    let sizes = injection.into_iter().flat_map(Injection::sizes);
    writer.gauges(
        "injector_cache_size{kind}",
        "Namespaces, replicasets and jobs that the injector knows of",
        sizes.map(|(kind, size)| ([("kind", kind)], size)),
    )?;
    writer.counter(
        "injector_events_dropped",
        "Events about injections that nobody was told of: too many at once, or not accepted",
        injection.map_or(0, Injection::events_dropped),
    )?;
    let files = injection.map(Injection::files);
    writer.counter(
        "injector_settings_reloads",
        "How often changed values or trust anchors came into force for new pods",
        files.map_or(0, ferrule_identity::FilesStatus::reloads),
    )?;
    let is_bad = files.is_some_and(|files| files.last_error().is_some());
    writer.gauge(
        "injector_settings_bad",
        "1 while the values or trust anchors cannot be used and the last good ones are in force",
        u32::from(is_bad),
    )
}
