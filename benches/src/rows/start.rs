//! From the start of the process to its first answer.

use anyhow::Result;

use super::{Bench, Findings};
use crate::processes::{Setup, Transport};
use crate::quantiles::Quantiles;
use crate::report::Unit;

const STARTS: usize = 3;

/// `target` is in seconds.
pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings, target: f64) -> Result<()> {
    let setup = bench.destination(Transport::Plaintext);
    starts(bench, findings, &setup, target).await?;
    let (listed, bytes) = bench.world.list("/api/v1/pods").await?;
    let listed = listed.as_secs_f64();
    findings.add(
        "the API server alone, listing pods",
        Unit::Seconds,
        listed,
        None,
    );
    findings.memory("their JSON", bytes as u64, None);
    Ok(())
}

/// Starts such a server again and again; `target` is in seconds.
pub(super) async fn starts(
    bench: &Bench<'_>,
    findings: &mut Findings,
    setup: &Setup<'_>,
    target: impl Into<Option<f64>>,
) -> Result<()> {
    let (mut times, mut cpus, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let mut server = bench.start(setup)?;
        times.push(server.ready().await?.as_secs_f64());
        cpus.push(server.cpu_seconds()?);
        let memory = server.settle().await?;
        ratios.push(memory.peak as f64 / memory.now as f64);
    }
    let [times, cpus, ratios] = [times, cpus, ratios].map(Quantiles::of);
    findings.add(
        "start to ready, median of 3",
        Unit::Seconds,
        times.p50,
        target,
    );
    findings.add("start to ready, slowest", Unit::Seconds, times.max, None);
    findings.add("start to ready: server CPU", Unit::Seconds, cpus.p50, None);
    findings.add(
        "start: peak to settled, worst",
        Unit::Times,
        ratios.max,
        1.5,
    );
    Ok(())
}
