//! What one stream and one connection weigh, as differences between servers of which each has
//! seen one load only.

use anyhow::Result;

use super::{Bench, Findings};
use crate::processes::Transport;
use crate::report::Unit;

/// Connections, and streams in all.
const BASE: [usize; 2] = [100, 1_000];
const MORE_STREAMS: [usize; 2] = [100, 10_000];
const MORE_CONNECTIONS: [usize; 2] = [1_000, 1_000];

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let base = weigh(bench, findings, BASE).await?;
    let more_streams = weigh(bench, findings, MORE_STREAMS).await?;
    let more_connections = weigh(bench, findings, MORE_CONNECTIONS).await?;
    let mut each = |what: &str, more: Weight, count: usize| {
        let kib = |more: u64, base: u64| (more as f64 - base as f64) / count as f64 / 1024.0;
        let resident = kib(more.resident, base.resident);
        findings.add(&format!("{what}: resident"), Unit::Kib, resident, None);
        let heap = kib(more.heap, base.heap);
        findings.add(&format!("{what}: heap in use"), Unit::Kib, heap, None);
    };
    each("a stream", more_streams, MORE_STREAMS[1] - BASE[1]);
    each(
        "a connection",
        more_connections,
        MORE_CONNECTIONS[0] - BASE[0],
    );
    Ok(())
}

/// Bytes, once settled.
#[derive(Clone, Copy)]
struct Weight {
    resident: u64,
    heap: u64,
}

async fn weigh(
    bench: &Bench<'_>,
    findings: &mut Findings,
    [connections, streams]: [usize; 2],
) -> Result<Weight> {
    let server = bench
        .settled(&bench.destination(Transport::Plaintext))
        .await?;
    let mut generator = bench.generator()?;
    generator
        .open(bench.load(&server, connections, streams, 1))
        .await?;
    server.settle().await?;
    let what = format!("{streams} streams on {connections} connections");
    findings.resident(&what, &server, None).await?;
    Ok(Weight {
        resident: server.memory()?.now,
        heap: server.heap().await?,
    })
}
