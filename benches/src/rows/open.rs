//! Many Services, each asked for by some.

use anyhow::Result;

use super::{Bench, Findings, check_whole};
use crate::{protocol::Open, report::Unit};

const CONNECTIONS: usize = 10;
const STREAMS: usize = 1_000;

/// Once with clients in one zone, which the target is for, and once in as many as there are:
/// what is told depends on the client's zone, so each has views of its own.
pub(super) async fn many(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    ask(bench, findings, 1, "one zone", 40.0).await?;
    ask(
        bench,
        findings,
        bench.zones,
        &format!("{} zones", bench.zones),
        None,
    )
    .await
}

async fn ask(
    bench: &Bench<'_>,
    findings: &mut Findings,
    zones: usize,
    what: &str,
    target_mib: impl Into<Option<f64>>,
) -> Result<()> {
    let shape = bench.world.shape;
    let target_mib = target_mib.into();
    let server = bench.settled().await?;
    findings.resident("resident before", &server, None).await?;
    let mut generator = bench.generator()?;
    let measurement = server.measure("many")?;
    let load = Open {
        contexts: bench.world.contexts(zones),
        ..bench.load(&server, CONNECTIONS, STREAMS, shape.services)
    };
    let opened = generator.open(load).await?;
    let used = measurement.end()?;
    check_whole(
        &mut generator,
        opened.first_bytes.min,
        shape.pods_per_service,
    )
    .await?;
    let seconds = opened.first_ms.max / 1e3;
    findings.add(
        &format!("{what}: 1,000 streams answered"),
        Unit::Seconds,
        seconds,
        0.3,
    );
    findings.add(
        &format!("{what}: server CPU"),
        Unit::Seconds,
        used.cpu_seconds,
        None,
    );
    findings.memory(
        &format!("{what}: peak resident"),
        used.memory.peak,
        target_mib,
    );
    server.settle().await?;
    findings
        .resident(&format!("{what}: resident after"), &server, target_mib)
        .await
}
