//! A large Service asked for by many at once, and then changing under them.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Findings, changes, check_whole};
use crate::report::Unit;

const CONNECTIONS: usize = 10;
const STREAMS: usize = 500;
/// Ten changes a second.
const PAUSE: Duration = Duration::from_millis(100);
const WARM_UP: usize = 20;
const CHANGES: usize = 200;

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let server = bench.settled().await?;
    findings.resident("resident before", &server, None).await?;
    let mut generator = bench.generator()?;

    let measurement = server.measure("get-storm")?;
    let opened = generator
        .open(bench.load(&server, CONNECTIONS, STREAMS, 1))
        .await?;
    let used = measurement.end()?;
    let endpoints = bench.world.shape.pods_per_service;
    check_whole(&mut generator, opened.first_bytes.min, endpoints).await?;
    findings.add(
        "500 streams full",
        Unit::Seconds,
        opened.first_ms.max / 1e3,
        2.0,
    );
    findings.add(
        "half of them",
        Unit::Seconds,
        opened.first_ms.p50 / 1e3,
        None,
    );
    findings.add("server CPU", Unit::Seconds, used.cpu_seconds, 1.2);
    findings.memory("peak resident", used.memory.peak, 60.0);
    findings.add(
        "a stream's answer",
        Unit::Kib,
        opened.first_bytes.p50 / 1024.0,
        None,
    );
    server.settle().await?;
    findings.resident("resident after", &server, None).await?;

    changes::make(bench.world, &mut generator, STREAMS, WARM_UP, PAUSE).await?;
    let measurement = server.measure("update")?;
    let heard = changes::make(bench.world, &mut generator, STREAMS, CHANGES, PAUSE).await?;
    let used = measurement.end()?;
    findings.add(
        "update: PATCH to stream, p50",
        Unit::Milliseconds,
        heard.each_ms.p50,
        3.0,
    );
    findings.add(
        "update: PATCH to stream, p99",
        Unit::Milliseconds,
        heard.each_ms.p99,
        15.0,
    );
    findings.add(
        "update: the slowest",
        Unit::Milliseconds,
        heard.each_ms.max,
        None,
    );
    findings.add(
        "update: messages off",
        Unit::Messages,
        heard.off as f64,
        0.0,
    );
    let messages = (STREAMS * CHANGES) as f64;
    let each = used.cpu_seconds / messages * 1e6;
    findings.add(
        "update: server CPU a message",
        Unit::Microseconds,
        each,
        None,
    );
    Ok(())
}
