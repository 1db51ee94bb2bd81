use super::writer::Writer;
use crate::{lease::Leadership, process::Process};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// Which of several replicas writes.
#[derive(Debug)]
pub(super) struct Leases(pub(super) Arc<Process>);

impl Collector for Leases {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let leases = &self.0.leases;
        let each = || {
            leases
                .iter()
                .map(|lease| ([("lease", lease.name())], lease))
        };
        writer.gauges(
            "leader{lease}",
            "1 while this replica is the one that writes",
            each().map(|(labels, lease)| (labels, u32::from(lease.is_leader()))),
        )?;
        let count =
            |of: fn(&Leadership) -> u64| each().map(move |(labels, lease)| (labels, of(lease)));
        writer.counters(
            "lease_transitions{lease}",
            "How often this replica began to lead, or ceased to",
            count(Leadership::transitions),
        )?;
        writer.counters(
            "lease_errors{lease}",
            "How often the Lease could not be read or written; a replica that cannot renew \
             ceases to write by itself",
            count(Leadership::errors),
        )
    }
}
