//! One change, and all streams of a Service to tell it to.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Findings, changes, check_whole};
use crate::processes::Transport;
use crate::report::Unit;

const CONNECTIONS: usize = 100;
const FEW: usize = 1_000;
const ALL: usize = 10_000;
/// So that one change is over before the next.
const PAUSE: Duration = Duration::from_secs(1);
/// CPU is counted in hundredths of seconds: of so many changes it is fine enough.
const CHANGES: usize = 20;
const WARM_UP: usize = 4;
/// "The same per stream", with what ten milliseconds of few streams come to.
const FLAT: f64 = 1.25;

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let few = fan_out(bench, findings, FEW, [None, None]).await?;
    let all = fan_out(bench, findings, ALL, [Some(25.0), Some(0.4)]).await?;
    findings.add(
        "CPU a stream, 10,000 to 1,000",
        Unit::Times,
        all / few,
        FLAT,
    );
    Ok(())
}

/// The CPU for a stream and a change, in microseconds.
async fn fan_out(
    bench: &Bench<'_>,
    findings: &mut Findings,
    streams: usize,
    [cpu_target, last_target]: [Option<f64>; 2],
) -> Result<f64> {
    let server = bench
        .settled(&bench.destination(Transport::Plaintext))
        .await?;
    let mut generator = bench.generator()?;
    let opened = generator
        .open(bench.load(&server, CONNECTIONS, streams, 1))
        .await?;
    let endpoints = bench.world.shape.pods_per_service;
    check_whole(&mut generator, opened.first_bytes.min, endpoints).await?;
    server.settle().await?;
    changes::make(bench.world, &mut generator, streams, WARM_UP, PAUSE).await?;
    let measurement = server.measure(&format!("fanout-{streams}"))?;
    let heard = changes::make(bench.world, &mut generator, streams, CHANGES, PAUSE).await?;
    let used = measurement.end()?;
    let cpu = used.cpu_seconds / (streams * CHANGES) as f64 * 1e6;
    let named = |what: &str| format!("{streams} streams: {what}");
    findings.add(&named("CPU a stream"), Unit::Microseconds, cpu, cpu_target);
    findings.add(
        &named("last stream, p50"),
        Unit::Seconds,
        heard.last_ms.p50 / 1e3,
        None,
    );
    findings.add(
        &named("last stream"),
        Unit::Seconds,
        heard.last_ms.max / 1e3,
        last_target,
    );
    findings.add(
        &named("messages off"),
        Unit::Messages,
        heard.off as f64,
        0.0,
    );
    findings.memory(&named("peak resident"), used.memory.peak, None);
    Ok(cpu)
}
