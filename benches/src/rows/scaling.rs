//! What one change costs as the streams that hear of it grow.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Findings, changes, check_whole};
use crate::processes::Transport;
use crate::report::Unit;

/// Streams, and how their Service changes meanwhile.
///
/// CPU is counted in hundredths of seconds, so where a change costs little there are many. One is
/// over before the next, unless the API server takes longer than the pause: then two may come
/// together, and messages are off.
struct Step {
    streams: usize,
    changes: usize,
    pause: Duration,
}

impl Step {
    const fn new(streams: usize, changes: usize, pause_ms: u64) -> Self {
        Self {
            streams,
            changes,
            pause: Duration::from_millis(pause_ms),
        }
    }
}

const STEPS: [Step; 5] = [
    Step::new(1, 1_000, 25),
    Step::new(10, 1_000, 25),
    Step::new(100, 500, 50),
    Step::new(REFERENCE, 200, 100),
    Step::new(10_000, 40, 500),
];
/// What the others are compared with.
const REFERENCE: usize = 1_000;
const MOST_CONNECTIONS: usize = 100;
const WARM_UP: usize = 10;
/// "The same per stream", as in `fanout`.
const FLAT: f64 = 1.25;

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let mut costs = Vec::with_capacity(STEPS.len());
    for step in &STEPS {
        costs.push((step.streams as f64, tell(bench, findings, step).await?));
    }
    let cost = |streams: usize| {
        let found = costs.iter().find(|(count, _)| *count == streams as f64);
        found.map_or(f64::NAN, |(_, cost)| *cost)
    };
    // A change costs something however few hear of it: what one stream costs is that, and a
    // stream.
    let one = cost(1);
    let further = |streams: usize| (cost(streams) - one) / (streams - 1) as f64;
    for Step { streams, .. } in &STEPS[1..] {
        let streams = *streams;
        let named = |what: &str| format!("{streams} streams: {what}");
        let each = further(streams);
        let what = named("server CPU a further stream");
        findings.add(&what, Unit::Microseconds, each, None);
        if streams != REFERENCE {
            let message = cost(streams) / streams as f64 * REFERENCE as f64 / cost(REFERENCE);
            let flat = (streams > REFERENCE).then_some(FLAT);
            let what = named("a message, to that of 1,000");
            findings.add(&what, Unit::Times, message, flat);
            let stream = each / further(REFERENCE);
            let what = named("a further stream, to that of 1,000");
            findings.add(&what, Unit::Times, stream, flat);
        }
    }
    Ok(())
}

/// The CPU for one change, in microseconds.
async fn tell(bench: &Bench<'_>, findings: &mut Findings, step: &Step) -> Result<f64> {
    let &Step {
        streams,
        changes,
        pause,
    } = step;
    let server = bench
        .settled(&bench.destination(Transport::Plaintext))
        .await?;
    let mut generator = bench.generator()?;
    let connections = streams.min(MOST_CONNECTIONS);
    let opened = generator
        .open(bench.load(&server, connections, streams, 1))
        .await?;
    let endpoints = bench.world.shape.pods_per_service;
    check_whole(&mut generator, opened.first_bytes.min, endpoints).await?;
    server.settle().await?;
    changes::make(bench.world, &mut generator, streams, WARM_UP, pause).await?;
    let measurement = server.measure(&format!("{}-{streams}", findings.row))?;
    let heard = changes::make(bench.world, &mut generator, streams, changes, pause).await?;
    let used = measurement.end()?;
    let change = used.cpu_seconds / changes as f64 * 1e6;
    let named = |what: &str| format!("{streams} streams: {what}");
    let what = named("server CPU a change");
    findings.add(&what, Unit::Microseconds, change, None);
    let what = named("server CPU a message");
    let each = change / streams as f64;
    findings.add(&what, Unit::Microseconds, each, None);
    for (name, ms) in [("p50", heard.last_ms.p50), ("p99", heard.last_ms.p99)] {
        let what = named(&format!("last stream, {name}"));
        findings.add(&what, Unit::Milliseconds, ms, None);
    }
    let off = heard.off as f64;
    findings.add(&named("messages off"), Unit::Messages, off, 0.0);
    Ok(change)
}
