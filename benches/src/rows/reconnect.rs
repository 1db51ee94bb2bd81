//! Every proxy of a cluster comes back at once.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use super::{Bench, Findings};
use crate::processes::{Ferrule, Generator, MIB, Transport};
use crate::protocol::{Open, Opened};
use crate::report::Unit;

const PROXIES: usize = 5_000;
const SECONDS: f64 = 5.0;
const MORE_MIB: f64 = 220.0;
const BACK: f64 = 1.2;
/// After this the allocator has given back what it will.
const AFTERWARDS: Duration = Duration::from_secs(15);
/// Views nobody follows are kept a minute, and some seconds until they are looked at.
const LINGER: Duration = Duration::from_secs(90);

pub(super) async fn measure(
    bench: &Bench<'_>,
    findings: &mut Findings,
    transport: Transport,
) -> Result<()> {
    let server = bench.settled(&bench.destination(transport)).await?;
    let before = server.memory()?.now;
    findings
        .resident("resident without connections", &server, None)
        .await?;
    let mut crowd = Crowd {
        server: &server,
        before,
        generator: bench.generator()?,
        load: Open {
            connect_first: false,
            ..bench.load(&server, PROXIES, PROXIES, bench.world.shape.services)
        },
    };

    // A server that is new: all connect, and nothing is there yet to answer from.
    crowd.come(findings, "all connect").await?;
    let connected = server.settle().await?.now;
    findings.resident("connected", &server, None).await?;
    let each = (connected as f64 - before as f64) / PROXIES as f64 / 1024.0;
    findings.add("a connection with its stream", Unit::Kib, each, None);

    // And one that was there: their connections end at the same moment.
    crowd.come(findings, "all reconnect").await?;
    sleep(AFTERWARDS).await;
    let what = "15 s later, of what it was connected";
    crowd.remains(findings, what, connected, Some(BACK))?;
    if transport == Transport::MeshTls {
        // Proxies do not wait for ever: what is still in the queue by then comes again.
        crowd.load.gives_up = true;
        let what = "all reconnect, giving up after 1 s";
        let opened = crowd.come(findings, what).await?;
        let given_up = opened.given_up as f64;
        findings.add("attempts given up", Unit::Count, given_up, None);
    }

    crowd.generator.close().await?;
    sleep(AFTERWARDS).await;
    let what = "all gone: 15 s later, of what it was";
    crowd.remains(findings, what, before, None)?;
    sleep(LINGER - AFTERWARDS).await;
    let what = "all gone: 90 s later, of what it was";
    crowd.remains(findings, what, before, Some(BACK))?;
    findings
        .resident("all gone: 90 s later", &server, None)
        .await
}

/// The proxies, and the server that they come to.
struct Crowd<'a> {
    server: &'a Ferrule,
    /// Bytes that were resident without them.
    before: u64,
    generator: Generator,
    load: Open,
}

impl Crowd<'_> {
    /// All come, in place of those that are there.
    async fn come(&mut self, findings: &mut Findings, what: &str) -> Result<Opened> {
        let name = what.replace([' ', ','], "-");
        let measurement = self.server.measure(&format!("{}-{name}", findings.row))?;
        let opened = self.generator.open(self.load.clone()).await?;
        let used = measurement.end()?;
        let named = |rest: &str| format!("{what}: {rest}");
        // Nobody says how long it may take those who lose their patience.
        let [seconds, mib] = [SECONDS, MORE_MIB].map(|most| (!self.load.gives_up).then_some(most));
        let answered = opened.first_ms.max / 1e3;
        findings.add(&named("answered"), Unit::Seconds, answered, seconds);
        let half = opened.first_ms.p50 / 1e3;
        findings.add(&named("half of them"), Unit::Seconds, half, None);
        let cpu = used.cpu_seconds;
        findings.add(&named("server CPU"), Unit::Seconds, cpu, None);
        let more = (used.memory.peak as f64 - self.before as f64) / MIB;
        findings.add(&named("peak, more"), Unit::Mib, more, mib);
        Ok(opened)
    }

    /// What is resident now, compared with `bytes`.
    fn remains(
        &self,
        findings: &mut Findings,
        what: &str,
        bytes: u64,
        target: Option<f64>,
    ) -> Result<()> {
        let times = self.server.memory()?.now as f64 / bytes as f64;
        findings.add(what, Unit::Times, times, target);
        Ok(())
    }
}
