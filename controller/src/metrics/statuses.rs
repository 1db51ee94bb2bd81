use super::writer::Writer;
use crate::process::Process;
use ferrule_policy::Outbox;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// The statuses of routes, EgressNetworks and rate limits: what is to be written, and
/// what was, by names that Linkerd's users know (policy.md 9.5).
#[derive(Debug)]
pub(super) struct Statuses(pub(super) Arc<Process>);

impl Collector for Statuses {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let discovery = self.0.discovery.as_ref();
        let outbox = discovery.and_then(|discovery| discovery.outbox.as_deref());
        self.patches(&mut writer)?;
        queue(outbox, self.0.status_writes.begun(), &mut writer)?;
        writer.counter(
            "resource_status_patch_drops",
            "Objects that waited when the replica ceased to lead",
            self.0.status_writes.dropped(),
        )?;
        unmet(outbox, &mut writer)
    }
}

impl Statuses {
    fn patches(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let stats = &self.0.status_writes;
        for (name, help, count) in [
            (
                "resource_status_patches",
                "Statuses that were written",
                stats.patches(),
            ),
            (
                "resource_status_unchanged",
                "Objects that were read and found to say what they should",
                stats.unchanged(),
            ),
            (
                "resource_status_patch_conflicts",
                "Patches of an object that somebody else wrote meanwhile; tried again at once",
                stats.conflicts(),
            ),
            (
                "resource_status_patch_api_errors",
                "Requests of the status writer that failed; tried again within 10 s",
                stats.errors(),
            ),
            (
                "resource_status_patch_timeouts",
                "Requests of the status writer that were not answered within --patch-timeout-ms",
                stats.timeouts(),
            ),
        ] {
            writer.counter(name, help, count)?;
        }
        writer.histogram(
            "resource_status_patch_duration_seconds",
            "How long it took to write a status",
            stats.durations(),
        )
    }
}

/// What waits. There is no queue that could overflow: an object waits once.
fn queue(outbox: Option<&Outbox>, begun: u64, writer: &mut Writer<'_>) -> fmt::Result {
    writer.gauge(
        "resource_status_pending",
        "Objects whose status is not yet what it should be, whoever writes it",
        outbox.map_or(0, Outbox::len) as u64,
    )?;
    writer.counter(
        "resource_status_patch_enqueues",
        "How often something else was to be said of an object",
        outbox.map_or(0, Outbox::put_count),
    )?;
    writer.counter(
        "resource_status_patch_enqueue_overflows",
        "Always 0: an object waits once, with what is to be said of it now",
        0_u64,
    )?;
    writer.counter(
        "resource_status_patch_dequeues",
        "How often it was an object's turn to be read and written",
        begun,
    )
}

fn unmet(outbox: Option<&Outbox>, writer: &mut Writer<'_>) -> fmt::Result {
    let unmet = outbox.map(Outbox::unmet).unwrap_or_default();
    let samples = unmet.iter().map(|(unmet, count)| {
        let labels = [
            ("kind", unmet.kind.as_str()),
            ("type", &*unmet.condition),
            ("reason", &*unmet.reason),
        ];
        (labels, *count as u64)
    });
    writer.gauges(
        "resource_status_conditions_unmet{kind,type,reason}",
        "Conditions that do not hold of objects, by what keeps them from taking effect",
        samples,
    )
}
