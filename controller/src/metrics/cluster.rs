use super::writer::Writer;
use crate::process::{Discovery, Process, age};
use ferrule_cluster::{object::Kind, source::ErrorReason};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

/// The source: what is known of the cluster, and how fresh it is.
#[derive(Debug)]
pub(super) struct Cluster(pub(super) Arc<Process>);

impl Collector for Cluster {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let Some(discovery) = &self.0.discovery else {
            return Ok(());
        };
        caches(discovery, &mut writer)?;
        watches(discovery, &mut writer)?;
        writer.gauge(
            "cluster_store_size",
            "Always 0: remote clusters are not followed yet",
            0u32,
        )
    }
}

/// What the index has to do.
#[derive(Debug)]
pub(super) struct Index(pub(super) Arc<Process>);

impl Collector for Index {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        match &self.0.discovery {
            Some(discovery) => index(discovery, &mut writer),
            None => Ok(()),
        }
    }
}

fn caches(discovery: &Discovery, writer: &mut Writer<'_>) -> fmt::Result {
    for kind in Kind::ALL {
        let count = discovery.index.count(kind);
        let sample = [([("cluster", "local")], count)];
        writer.gauges(&cache_size(kind), &format!("{kind} objects known"), sample)?;
    }
    for kind in Kind::ALL {
        let lag = discovery.watches.kind(kind).lag();
        let help = format!("How long after it was written a change of a {kind} was heard of");
        writer.histogram(&informer_lag(kind), &help, lag)?;
    }
    Ok(())
}

fn watches(discovery: &Discovery, writer: &mut Writer<'_>) -> fmt::Result {
    let Discovery { index, watches, .. } = discovery;
    writer.gauges(
        "watch_synced{kind}",
        "1 once the kind has been listed, or is done without; never 0 again",
        Kind::ALL.map(|kind| (of(kind), u32::from(index.is_kind_synced(kind)))),
    )?;
    writer.gauges(
        "watch_connected{kind}",
        "1 while the source of the kind answers",
        Kind::ALL.map(|kind| (of(kind), u32::from(watches.kind(kind).is_connected()))),
    )?;
    writer.gauges(
        "watch_protobuf{kind}",
        "1 while the kind is told in protobuf; in JSON, which custom resources always are, it \
         costs the API server and this process several times as much",
        Kind::ALL.map(|kind| (of(kind), u32::from(watches.kind(kind).is_protobuf()))),
    )?;
    writer.counters(
        "watch_restarts{kind}",
        "How often the list or watch began again after an error",
        Kind::ALL.map(|kind| (of(kind), watches.kind(kind).restarts())),
    )?;
    let errors = Kind::ALL.into_iter().flat_map(|kind| {
        ErrorReason::ALL.into_iter().filter_map(move |reason| {
            let count = watches.kind(kind).errors(reason);
            let labels = [("kind", kind.as_str()), ("reason", reason.as_str())];
            (count > 0).then_some((labels, count))
        })
    });
    writer.counters(
        "watch_errors{kind,reason}",
        "Errors by reason: connection, timeout, unauthorized, forbidden, not_found, expired, \
         throttled, server, malformed, other; those that never occurred are left \
         out. not_found grows every 30-60 s while the kind's CRD is not installed",
        errors,
    )?;
    let ages = Kind::ALL.into_iter().filter_map(|kind| {
        let age = age(watches.kind(kind).last_event_millis())?;
        Some((of(kind), age.as_secs_f64()))
    });
    writer.gauges(
        "watch_age_seconds{kind}",
        "Seconds since the last sign of life of the watch, bookmarks included; absent before \
         the first",
        ages,
    )?;
    let ages = Kind::ALL.into_iter().filter_map(|kind| {
        let age = age(index.applied_millis(kind))?;
        Some((of(kind), age.as_secs_f64()))
    });
    writer.gauges(
        "index_event_age_seconds{kind}",
        "Seconds since the index last took in a change of an object of the kind; absent before \
         the first. Beside watch_age_seconds it tells a quiet cluster from a dead watch",
        ages,
    )?;
    writer.gauge(
        "manifest_problems",
        "Places in the manifests that cannot be read now; always 0 with a cluster",
        watches.problems().len(),
    )
}

fn index(discovery: &Discovery, writer: &mut Writer<'_>) -> fmt::Result {
    let index = &discovery.index;
    writer.counter(
        "index_events",
        "Changes of objects that the index took in",
        index.events.load(Relaxed),
    )?;
    writer.counter(
        "index_batches",
        "Batches in which the index took in changes",
        index.batches.load(Relaxed),
    )?;
    writer.counter(
        "index_busy_seconds",
        "Seconds spent on batches; a rate near 1 means that it is the bottleneck",
        Duration::from_nanos(index.busy_nanos.load(Relaxed)).as_secs_f64(),
    )
}

fn of(kind: Kind) -> [(&'static str, &'static str); 1] {
    [("kind", kind.as_str())]
}

/// The names are the reference's (destination.md 14): all kinds but one in the
/// singular here,
fn cache_size(kind: Kind) -> String {
    match kind {
        Kind::EndpointSlice => "endpointslices_cache_size{cluster}".to_owned(),
        Kind::PolicyHttpRoute => "policyhttproute_cache_size{cluster}".to_owned(),
        kind => format!("{}_cache_size{{cluster}}", kind.as_str().to_lowercase()),
    }
}

/// all but one in the plural here.
fn informer_lag(kind: Kind) -> String {
    match kind {
        Kind::ExternalWorkload => "externalworkload_informer_lag_seconds".to_owned(),
        Kind::PolicyHttpRoute => "policyhttproutes_informer_lag_seconds".to_owned(),
        kind => format!("{}_informer_lag_seconds", kind.plural()),
    }
}
