//! A Deployment of 1,000 pods that is rolled out while 2,000 streams listen.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::{interval, sleep};

use super::{Bench, Findings, check_whole};
use crate::processes::Transport;
use crate::protocol::{Open, Told, ToldEndpoint};
use crate::quantiles::Quantiles;
use crate::report::Unit;
use crate::world::{CONCURRENCY, Replaced, Rollout};

const STREAMS: usize = 2_000;
const CONNECTIONS: usize = 40;
/// 50 pods a second.
const PACE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);
/// What was freed is given back by then, and 90 s after the storm views that nobody follows would
/// be, too.
const AFTER: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(90)];

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let server = bench
        .settled(&bench.destination(Transport::Plaintext))
        .await?;
    let mut generator = bench.generator()?;
    let load = Open {
        follow: true,
        ..bench.load(&server, CONNECTIONS, STREAMS, 1)
    };
    let opened = generator.open(load).await?;
    let endpoints = bench.world.shape.pods_per_service;
    check_whole(&mut generator, opened.first_bytes.min, endpoints).await?;
    let early = generator.told(1, Duration::ZERO).await?.messages;
    ensure!(
        early == 0,
        "{early} messages came before there was a change"
    );
    server.settle().await?;
    let before = server.memory()?.now;
    findings.resident("resident before", &server, None).await?;

    let rollout = Rollout::begin(bench.world).await?;
    let measurement = server.measure(&findings.row)?;
    let began = Instant::now();
    let replaced = roll_out(&rollout).await?;
    let written = began.elapsed();
    let told = generator.told(STREAMS * replaced.len(), PATIENCE).await?;
    let used = measurement.end()?;

    findings.add(
        "1,000 pods replaced",
        Unit::Seconds,
        written.as_secs_f64(),
        None,
    );
    let heard = heard(&replaced, &told);
    for (what, of) in [("median", heard.median_ms), ("last", heard.last_ms)] {
        for (name, measured) in [("p50", of.p50), ("p99", of.p99)] {
            let what = format!("PATCH to the {what} stream, {name}");
            findings.add(&what, Unit::Milliseconds, measured, None);
        }
    }
    let untold = heard.untold as f64;
    findings.add("endpoints not told", Unit::Count, untold, 0.0);
    let messages = told.messages as f64;
    let each = messages / STREAMS as f64;
    findings.add("messages a stream", Unit::Messages, each, None);
    let bytes = (told.bytes - opened.bytes) as f64 / STREAMS as f64 / 1024.0;
    findings.add("bytes a stream", Unit::Kib, bytes, None);
    findings.add("server CPU", Unit::Seconds, used.cpu_seconds, None);
    let each = used.cpu_seconds / messages * 1e6;
    findings.add("server CPU a message", Unit::Microseconds, each, None);
    findings.memory("peak resident", used.memory.peak, None);

    let over = Instant::now();
    for after in AFTER {
        sleep(after.saturating_sub(over.elapsed())).await;
        let seconds = after.as_secs();
        let times = server.memory()?.now as f64 / before as f64;
        let what = format!("{seconds} s later, of what it was");
        findings.add(&what, Unit::Times, times, None);
    }
    let what = format!("{} s later", AFTER[1].as_secs());
    findings.resident(&what, &server, None).await
}

/// Replaces every pod, as fast as it should be or as the API server can.
async fn roll_out(rollout: &Rollout<'_>) -> Result<Vec<Replaced>> {
    let ticks = stream::unfold(interval(PACE), async |mut ticks| {
        ticks.tick().await;
        Some(((), ticks))
    });
    stream::iter(0..rollout.len())
        .zip(ticks)
        .map(|(number, ())| rollout.replace(number))
        .buffer_unordered(CONCURRENCY)
        .try_collect()
        .await
}

/// How the streams heard of the pods.
struct Heard {
    /// From the answer to a pod's PATCH to the middle stream that was told.
    median_ms: Quantiles,
    /// The same to the last.
    last_ms: Quantiles,
    /// How many times a stream was not told of a pod.
    untold: usize,
}

fn heard(replaced: &[Replaced], told: &Told) -> Heard {
    let told: HashMap<IpAddr, &ToldEndpoint> = told
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.address.into(), endpoint))
        .collect();
    let mut heard = Heard {
        median_ms: Quantiles::default(),
        last_ms: Quantiles::default(),
        untold: 0,
    };
    let (mut medians, mut lasts) = (Vec::new(), Vec::new());
    for Replaced { address, change } in replaced {
        let since = |time: u64| (time as f64 - change.answered as f64) / 1e6;
        let streams = told.get(address).map_or(0, |endpoint| {
            medians.push(since(endpoint.median));
            lasts.push(since(endpoint.last));
            endpoint.streams
        });
        heard.untold += STREAMS.saturating_sub(streams);
    }
    heard.median_ms = Quantiles::of(medians);
    heard.last_ms = Quantiles::of(lasts);
    heard
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Change;

    #[test]
    fn each_pod_is_timed_from_its_own_patch_and_streams_without_it_are_counted() {
        let replaced = |last: u8, answered| Replaced {
            address: [10, 0, 0, last].into(),
            change: Change { sent: 0, answered },
        };
        let endpoint = |last: u8, streams, median, last_at| ToldEndpoint {
            address: [10, 0, 0, last].into(),
            streams,
            median,
            last: last_at,
        };
        let told = Told {
            endpoints: vec![
                endpoint(1, STREAMS, 12_000_000, 15_000_000),
                endpoint(2, STREAMS - 3, 21_000_000, 30_000_000),
                // One that was there before, told again.
                endpoint(9, 5, 1, 1),
            ],
            ..Told::default()
        };
        let replaced = [
            replaced(1, 10_000_000),
            replaced(2, 20_000_000),
            replaced(3, 0),
        ];
        let heard = heard(&replaced, &told);
        assert_eq!((heard.median_ms.min, heard.median_ms.max), (1.0, 2.0));
        assert_eq!((heard.last_ms.min, heard.last_ms.max), (5.0, 10.0));
        assert_eq!(heard.untold, 3 + STREAMS);
    }
}
