use super::writer::Writer;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::fmt;

/// Which Ferrule this is.
#[derive(Debug)]
pub(super) struct Build;

impl Collector for Build {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        Writer::new(encoder).gauges(
            "build_info{version}",
            "1, with the version of this binary",
            [(labels, 1u32)],
        )
    }
}
