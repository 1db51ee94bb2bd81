//! A day of a large cluster, as fast as it goes: memory must not grow.
//!
//! The day: 100 Deployments of 100 meshed pods, each rolled out ten times; every third is scaled
//! up by half and down again ten times; 20 more Services come, are asked for and go, ten times;
//! 1,000 streams, opened again twenty times, as proxies do every hour. Ten releases a day and a
//! Deployment is what busy teams do: it replaces each pod ten times, which is 200,000 changes of
//! endpoints and, with those of scaling, over half a million events. An API server writes several
//! hundred objects a second, so here is one that only sends what it would have sent
//! ([`crate::feed`]); it is the server as it is that reads, and the streams are real.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::time::sleep;

use super::{Bench, Findings};
use crate::feed::{Deployment, Deployments, Feed};
use crate::processes::{Ferrule, Generator, MIB, Setup, Source, Transport};
use crate::protocol::{Asked, Open};
use crate::report::Unit;

const PARTS: usize = 10;
const DEPLOYMENTS: usize = 100;
const PODS: usize = 100;
/// Deployments that are rolled out at the same time.
const TOGETHER: usize = 5;
/// One in so many is scaled,
const SCALED: usize = 3;
/// to so many pods.
const SCALED_PODS: usize = PODS + PODS / 2;
/// Services that come and go.
const PASSING: usize = 20;
const PASSING_PODS: usize = 5;
const STREAMS: usize = 1_000;
const CONNECTIONS: usize = 100;
/// Views that nobody follows are kept a minute, and some seconds until they are looked at.
const QUIET: Duration = Duration::from_secs(80);
const SAMPLES: Duration = Duration::from_millis(500);
/// Within this, memory has not grown.
const GROWTH: f64 = 1.1;

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let feed = Feed::start().await?;
    let mut deployments = Deployments::new(feed.store.clone(), bench.world.size).await;
    let mut day = Day {
        lasting: Vec::with_capacity(DEPLOYMENTS),
        generators: [bench.generator()?, bench.generator()?],
        opened: 0,
        messages: 0,
    };
    for number in 0..DEPLOYMENTS {
        day.lasting.push(deployments.create(number, PODS).await);
    }
    let setup = Setup {
        source: Source::Cluster {
            kubeconfig: feed.kubeconfig(),
        },
        ..bench.destination(Transport::Plaintext)
    };
    let server = bench.settled(&setup).await?;
    findings.resident("resident before", &server, None).await?;
    let (events, changes) = (feed.store.events(), deployments.changes());

    let measurement = server.measure(&findings.row)?;
    let (mut seconds, mut first, mut highest) = (0.0, None, 0);
    for part in 0..PARTS {
        let began = Instant::now();
        let most = tokio::select! {
            passed = day.pass(&server, &mut deployments) => passed.map(|()| None),
            sampled = sample(&server, &mut highest) => sampled.map(Some),
        }?;
        debug_assert!(most.is_none(), "samples are taken without end");
        seconds += began.elapsed().as_secs_f64();
        let now = server.memory()?.now as f64 / MIB;
        eprintln!("  part {}: {now:.1} MiB", part + 1);
        if part == 0 {
            first = Some(Remains::of(&server, findings, "after a tenth").await?);
        }
    }
    let cpu = measurement.so_far()?.cpu_seconds;
    let end = Remains::of(&server, findings, "after the day").await?;
    findings.memory("highest", highest, None);

    let events = (feed.store.events() - events) as f64;
    let changes = (deployments.changes() - changes) as f64;
    findings.add("events", Unit::Count, events, None);
    findings.add("endpoints that came or went", Unit::Count, changes, None);
    findings.add("streams opened", Unit::Count, day.opened as f64, None);
    findings.add("messages told", Unit::Count, day.messages as f64, None);
    findings.add("events a second", Unit::PerSecond, events / seconds, None);
    let each = cpu / events * 1e6;
    findings.add("server CPU an event", Unit::Microseconds, each, None);
    if let Some(first) = first {
        let times = end.resident / first.resident;
        findings.add("growth: resident", Unit::Times, times, GROWTH);
        let times = end.heap / first.heap;
        findings.add("growth: heap in use", Unit::Times, times, GROWTH);
    }
    Ok(())
}

/// Keeps the most that was resident, without end.
async fn sample(server: &Ferrule, highest: &mut u64) -> Result<std::convert::Infallible> {
    loop {
        *highest = server.memory()?.now.max(*highest);
        sleep(SAMPLES).await;
    }
}

/// Bytes, once all is quiet.
struct Remains {
    resident: f64,
    heap: f64,
}

impl Remains {
    async fn of(server: &Ferrule, findings: &mut Findings, what: &str) -> Result<Self> {
        sleep(QUIET).await;
        findings.resident(what, server, None).await?;
        Ok(Self {
            resident: server.memory()?.now as f64,
            heap: server.heap().await? as f64,
        })
    }
}

/// What goes through the day.
struct Day {
    lasting: Vec<Deployment>,
    /// Each has half of the streams.
    generators: [Generator; 2],
    opened: usize,
    messages: usize,
}

impl Day {
    /// A tenth of it.
    async fn pass(&mut self, server: &Ferrule, deployments: &mut Deployments) -> Result<()> {
        let mut passing = Vec::with_capacity(PASSING);
        for number in DEPLOYMENTS..DEPLOYMENTS + PASSING {
            passing.push(deployments.create(number, PASSING_PODS).await);
        }
        let all = self.lasting.iter().chain(&passing);
        let authorities: Vec<_> = all.map(Deployment::authority).collect();
        for half in 0..2 {
            let at = half * DEPLOYMENTS / 2;
            let lasting = &mut self.lasting[at..at + DEPLOYMENTS / 2];
            let change = async {
                for group in lasting.chunks_mut(TOGETHER) {
                    deployments.roll_out(group).await;
                    for deployment in group.iter_mut().step_by(SCALED) {
                        deployments.scale(deployment, SCALED_PODS).await;
                        deployments.scale(deployment, PODS).await;
                    }
                }
                Ok(())
            };
            let come_back = async {
                let mut messages = 0;
                for generator in &mut self.generators {
                    messages += generator.told(0, Duration::ZERO).await?.messages;
                    let load = load(server, authorities.clone());
                    let opened = generator.open(load).await?;
                    ensure!(opened.ended.count == 0, "streams ended: {opened:?}");
                }
                Ok(messages)
            };
            let ((), messages) = tokio::try_join!(change, come_back)?;
            self.messages += messages;
            self.opened += STREAMS;
        }
        for deployment in passing {
            deployments.delete(deployment).await;
        }
        Ok(())
    }
}

fn load(server: &Ferrule, authorities: Vec<String>) -> Open {
    Open {
        server: server.destination(),
        tls: None,
        connections: CONNECTIONS / 2,
        streams: STREAMS / 2,
        asked: Asked::Endpoints {
            authorities,
            contexts: Deployments::contexts(),
        },
        connect_first: true,
        gives_up: false,
        follow: true,
        timeout_ms: 60_000,
    }
}
