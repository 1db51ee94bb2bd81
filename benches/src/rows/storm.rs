//! A large Service asked for by many at once, and then changing under them.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Findings, changes, check_whole};
use crate::processes::{Ferrule, Generator, Transport};
use crate::report::Unit;

/// How the streams come, and what that may take.
pub(super) struct Storm {
    transport: Transport,
    connections: usize,
    full_seconds: f64,
    cpu_seconds: f64,
    peak_mib: f64,
    update_p50_ms: f64,
    update_p99_ms: f64,
}

pub(super) const PLAINTEXT: Storm = Storm {
    transport: Transport::Plaintext,
    connections: 10,
    full_seconds: 2.0,
    cpu_seconds: 1.2,
    peak_mib: 60.0,
    update_p50_ms: 3.0,
    update_p99_ms: 15.0,
};

/// The CPU is with that of the handshakes. The streams are opened when those are done, all at
/// once: that is hardest on the memory.
pub(super) const MESH_TLS: Storm = Storm {
    transport: Transport::MeshTls,
    connections: STREAMS,
    full_seconds: 4.0,
    cpu_seconds: 2.0,
    peak_mib: 80.0,
    update_p50_ms: 8.0,
    update_p99_ms: 30.0,
};

const STREAMS: usize = 500;
/// Ten changes a second.
const PAUSE: Duration = Duration::from_millis(100);
const WARM_UP: usize = 20;
const CHANGES: usize = 200;

pub(super) async fn measure(
    bench: &Bench<'_>,
    findings: &mut Findings,
    storm: &Storm,
) -> Result<()> {
    let setup = bench.destination(storm.transport);
    let server = bench.settled(&setup).await?;
    findings.resident("resident before", &server, None).await?;
    let mut generator = bench.generator()?;

    let measurement = server.measure(&findings.row)?;
    let load = bench.load(&server, storm.connections, STREAMS, 1);
    let opened = generator.open(load).await?;
    let used = measurement.end()?;
    let endpoints = bench.world.shape.pods_per_service;
    check_whole(&mut generator, opened.first_bytes.min, endpoints).await?;
    findings.connected(&setup, &opened);
    let full = opened.first_ms.max / 1e3;
    findings.add("500 streams full", Unit::Seconds, full, storm.full_seconds);
    let half = opened.first_ms.p50 / 1e3;
    findings.add("half of them", Unit::Seconds, half, None);
    let cpu = used.cpu_seconds;
    findings.add("server CPU", Unit::Seconds, cpu, storm.cpu_seconds);
    findings.memory("peak resident", used.memory.peak, storm.peak_mib);
    let answer = opened.first_bytes.p50 / 1024.0;
    findings.add("a stream's answer", Unit::Kib, answer, None);
    server.settle().await?;
    findings.resident("resident after", &server, None).await?;
    update(bench, findings, storm, &server, &mut generator).await
}

async fn update(
    bench: &Bench<'_>,
    findings: &mut Findings,
    storm: &Storm,
    server: &Ferrule,
    generator: &mut Generator,
) -> Result<()> {
    changes::make(bench.world, generator, STREAMS, WARM_UP, PAUSE).await?;
    let measurement = server.measure(&format!("{}-update", findings.row))?;
    let heard = changes::make(bench.world, generator, STREAMS, CHANGES, PAUSE).await?;
    let used = measurement.end()?;
    for (what, measured, target) in [
        ("p50", heard.each_ms.p50, storm.update_p50_ms),
        ("p99", heard.each_ms.p99, storm.update_p99_ms),
    ] {
        let what = format!("update: PATCH to stream, {what}");
        findings.add(&what, Unit::Milliseconds, measured, target);
    }
    let slowest = heard.each_ms.max;
    findings.add("update: the slowest", Unit::Milliseconds, slowest, None);
    let off = heard.off as f64;
    findings.add("update: messages off", Unit::Messages, off, 0.0);
    let messages = (STREAMS * CHANGES) as f64;
    let each = used.cpu_seconds / messages * 1e6;
    let what = "update: server CPU a message";
    findings.add(what, Unit::Microseconds, each, None);
    Ok(())
}
