//! What is resident when nothing happens.

use std::fs;

use anyhow::Result;

use super::{Bench, Findings};
use crate::processes::{Setup, Transport};
use crate::report::Unit;

const LARGE_CONNECTIONS: usize = 1_000;
const LARGE_STREAMS: usize = 10_000;

pub(super) async fn empty(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let bytes = fs::metadata(&bench.program.path)?.len();
    findings.add("binary", Unit::Megabytes, bytes as f64 / 1e6, 30.0);
    let destination = bench.destination(Transport::Plaintext);
    resident(bench, findings, "resident", &destination, 20.0).await?;
    let all = bench.meshed("destination,policy,identity");
    resident(bench, findings, "with all roles", &all, 20.0).await
}

pub(super) async fn idle(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let destination = bench.destination(Transport::Plaintext);
    resident(bench, findings, "resident", &destination, 60.0).await?;
    let both = bench.plaintext("destination,policy");
    resident(bench, findings, "with policy", &both, 60.0).await
}

pub(super) async fn large(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let destination = bench.destination(Transport::Plaintext);
    resident(bench, findings, "resident", &destination, 150.0).await?;
    let server = bench.settled(&destination).await?;
    let mut generator = bench.generator()?;
    let services = bench.world.shape.services;
    let measurement = server.measure("large-streams")?;
    let opened = generator
        .open(bench.load(&server, LARGE_CONNECTIONS, LARGE_STREAMS, services))
        .await?;
    let used = measurement.end()?;
    findings.add(
        "10,000 streams answered",
        Unit::Seconds,
        opened.first_ms.max / 1e3,
        None,
    );
    findings.memory("10,000 streams: peak", used.memory.peak, None);
    server.settle().await?;
    findings
        .resident("10,000 streams: resident", &server, 250.0)
        .await?;
    Ok(())
}

async fn resident(
    bench: &Bench<'_>,
    findings: &mut Findings,
    what: &str,
    setup: &Setup<'_>,
    target_mib: f64,
) -> Result<()> {
    let server = bench.settled(setup).await?;
    findings.resident(what, &server, target_mib).await?;
    let anonymous = server.memory()?.anonymous;
    findings.memory(&format!("{what}: of it anonymous"), anonymous, None);
    Ok(())
}
