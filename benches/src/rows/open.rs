//! Many Services, each asked for by some.

use anyhow::Result;

use super::{Bench, Findings, check_whole};
use crate::processes::Transport;
use crate::{protocol::Open, report::Unit};

const STREAMS: usize = 1_000;

/// Who asks, and what the answers may take.
struct Crowd {
    transport: Transport,
    connections: usize,
    /// Zones that clients are in.
    zones: usize,
    seconds: f64,
    mib: Option<f64>,
}

/// Once with clients in one zone, which the target is for, and once in as many as there are:
/// what is told depends on the client's zone, so each has views of its own.
pub(super) async fn many(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let crowd = |zones, mib| Crowd {
        transport: Transport::Plaintext,
        connections: 10,
        zones,
        seconds: 0.3,
        mib,
    };
    ask(bench, findings, "one zone", &crowd(1, Some(40.0))).await?;
    let what = format!("{} zones", bench.zones);
    ask(bench, findings, &what, &crowd(bench.zones, None)).await
}

/// The time is with that of the handshakes.
pub(super) async fn tls_many(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let crowd = Crowd {
        transport: Transport::MeshTls,
        connections: STREAMS,
        zones: 1,
        seconds: 1.0,
        mib: None,
    };
    ask(bench, findings, "one zone", &crowd).await
}

async fn ask(bench: &Bench<'_>, findings: &mut Findings, what: &str, crowd: &Crowd) -> Result<()> {
    let shape = bench.world.shape;
    let server = bench.settled(&bench.destination(crowd.transport)).await?;
    findings.resident("resident before", &server, None).await?;
    let mut generator = bench.generator()?;
    let measurement = server.measure(&findings.row)?;
    let load = Open {
        asked: bench.endpoints(shape.services, crowd.zones),
        connect_first: crowd.transport == Transport::Plaintext,
        ..bench.load(&server, crowd.connections, STREAMS, shape.services)
    };
    let opened = generator.open(load).await?;
    let used = measurement.end()?;
    let endpoints = shape.pods_per_service;
    check_whole(&mut generator, opened.first_bytes.min, endpoints).await?;
    let named = |rest: &str| format!("{what}: {rest}");
    let seconds = opened.first_ms.max / 1e3;
    let answered = named("1,000 streams answered");
    findings.add(&answered, Unit::Seconds, seconds, crowd.seconds);
    let cpu = used.cpu_seconds;
    findings.add(&named("server CPU"), Unit::Seconds, cpu, None);
    findings.memory(&named("peak resident"), used.memory.peak, crowd.mib);
    server.settle().await?;
    findings
        .resident(&named("resident after"), &server, crowd.mib)
        .await
}
