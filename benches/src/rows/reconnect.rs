//! Every proxy of a cluster comes back at once.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::{Bench, Findings};
use crate::processes::MIB;
use crate::protocol::Open;
use crate::report::Unit;

const PROXIES: usize = 5_000;
/// After this the allocator has given back what it will.
const AFTERWARDS: Duration = Duration::from_secs(15);
/// Views nobody follows are kept a minute, and some seconds until they are looked at.
const LINGER: Duration = Duration::from_secs(90);

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let server = bench.settled().await?;
    let before = server.memory()?.now;
    findings
        .resident("resident without connections", &server, None)
        .await?;
    let mut generator = bench.generator()?;
    let load = Open {
        connect_first: false,
        ..bench.load(&server, PROXIES, PROXIES, bench.world.shape.services)
    };

    // A server that is new: all connect, and nothing is there yet to answer from.
    let measurement = server.measure("reconnect-first")?;
    let opened = generator.open(load.clone()).await?;
    let used = measurement.end()?;
    let mib = |bytes: u64| bytes as f64 / MIB;
    findings.add(
        "all connect: answered",
        Unit::Seconds,
        opened.first_ms.max / 1e3,
        5.0,
    );
    findings.add(
        "all connect: half of them",
        Unit::Seconds,
        opened.first_ms.p50 / 1e3,
        None,
    );
    findings.add(
        "all connect: server CPU",
        Unit::Seconds,
        used.cpu_seconds,
        None,
    );
    let more = mib(used.memory.peak) - mib(before);
    findings.add("all connect: peak, more", Unit::Mib, more, 220.0);
    let connected = server.settle().await?.now;
    findings.resident("connected", &server, None).await?;

    // And one that was there: their connections end at the same moment.
    let measurement = server.measure("reconnect-again")?;
    let opened = generator.open(load).await?;
    let used = measurement.end()?;
    findings.add(
        "all reconnect: answered",
        Unit::Seconds,
        opened.first_ms.max / 1e3,
        5.0,
    );
    findings.add(
        "all reconnect: half of them",
        Unit::Seconds,
        opened.first_ms.p50 / 1e3,
        None,
    );
    findings.add(
        "all reconnect: server CPU",
        Unit::Seconds,
        used.cpu_seconds,
        None,
    );
    let more = mib(used.memory.peak) - mib(before);
    findings.add("all reconnect: peak, more", Unit::Mib, more, 220.0);
    sleep(AFTERWARDS).await;
    let again = mib(server.memory()?.now) / mib(connected);
    findings.add(
        "15 s later, of what it was connected",
        Unit::Times,
        again,
        1.2,
    );

    generator.close().await?;
    sleep(AFTERWARDS).await;
    let left = mib(server.memory()?.now) / mib(before);
    findings.add(
        "all gone: 15 s later, of what it was",
        Unit::Times,
        left,
        None,
    );
    sleep(LINGER - AFTERWARDS).await;
    let left = mib(server.memory()?.now) / mib(before);
    findings.add(
        "all gone: 90 s later, of what it was",
        Unit::Times,
        left,
        1.2,
    );
    findings
        .resident("all gone: 90 s later", &server, None)
        .await
}
