//! The rows of the table: each takes a cluster of a shape, a server of its own, and measures.

mod changes;
mod fanout;
mod memory;
mod open;
mod reconnect;
mod resident;
mod start;
mod storm;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::processes::{Ferrule, Generator, MIB, Program};
use crate::protocol::Open;
use crate::report::{Finding, Unit};
use crate::world::{Shape, World};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// The size of the binary, and what is resident without any object.
    Empty,
    /// 500 streams at once on a Service of 5,000 pods, and then its changes.
    GetStorm,
    /// 1,000 streams over 100 Services of 100 pods.
    Many,
    /// One change to 1,000 and to 10,000 streams.
    Fanout,
    /// 5,000 connections at once.
    Reconnect,
    /// What a stream, a connection and an endpoint weigh.
    Memory,
    /// What is resident with 10,000 pods in 1,000 Services.
    Idle,
    /// From start to ready with these.
    Start,
    /// 100,000 pods in 10,000 Services: resident, with 10,000 streams, start to ready.
    Large,
}

impl Row {
    pub(crate) const ALL: &[Self] = &[
        Self::Empty,
        Self::GetStorm,
        Self::Many,
        Self::Fanout,
        Self::Reconnect,
        Self::Memory,
        Self::Idle,
        Self::Start,
        Self::Large,
    ];

    /// The cluster it is measured in.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Empty => Shape::EMPTY,
            Self::GetStorm => Shape::ONE_SERVICE,
            Self::Many | Self::Fanout | Self::Reconnect | Self::Memory => Shape::HUNDRED_SERVICES,
            Self::Idle | Self::Start => Shape::THOUSAND_SERVICES,
            Self::Large => Shape::LARGE,
        }
    }

    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    pub(crate) async fn measure(self, bench: &Bench<'_>) -> Result<Vec<Finding>> {
        let mut findings = Findings {
            row: self.name(),
            list: Vec::new(),
        };
        match self {
            Self::Empty => resident::empty(bench, &mut findings).await,
            Self::GetStorm => storm::measure(bench, &mut findings).await,
            Self::Many => open::many(bench, &mut findings).await,
            Self::Fanout => fanout::measure(bench, &mut findings).await,
            Self::Reconnect => reconnect::measure(bench, &mut findings).await,
            Self::Memory => memory::measure(bench, &mut findings).await,
            Self::Idle => resident::idle(bench, &mut findings).await,
            Self::Start => start::measure(bench, &mut findings, 2.0).await,
            Self::Large => {
                resident::large(bench, &mut findings).await?;
                start::measure(bench, &mut findings, 12.0).await
            }
        }?;
        Ok(findings.list)
    }
}

/// What a row is measured with.
pub(crate) struct Bench<'a> {
    pub(crate) program: &'a Program,
    pub(crate) world: &'a World,
    /// Threads of the generator.
    pub(crate) threads: usize,
    /// Zones that clients are in.
    pub(crate) zones: usize,
}

impl Bench<'_> {
    fn generator(&self) -> Result<Generator> {
        Generator::start(self.threads)
    }

    fn start(&self) -> Result<Ferrule> {
        Ferrule::start(self.program, self.world.kubeconfig())
    }

    async fn settled(&self) -> Result<Ferrule> {
        Ferrule::settled(self.program, self.world.kubeconfig()).await
    }

    /// Streams over the first `services` Services; connections are made before the clock starts.
    fn load(&self, server: &Ferrule, connections: usize, streams: usize, services: usize) -> Open {
        Open {
            server: server.address(),
            connections,
            streams,
            authorities: self.world.authorities(services),
            contexts: self.world.contexts(self.zones),
            connect_first: true,
            timeout_ms: 60_000,
        }
    }
}

/// The findings of one row.
struct Findings {
    row: String,
    list: Vec<Finding>,
}

impl Findings {
    fn add(&mut self, what: &str, unit: Unit, measured: f64, target: impl Into<Option<f64>>) {
        let finding = Finding {
            row: self.row.clone(),
            what: what.to_owned(),
            unit,
            measured,
            target: target.into(),
        };
        eprintln!("  {what}: {} {:?}", finding.measured, finding.unit);
        self.list.push(finding);
    }

    /// What is resident now, and how much of it the program uses.
    async fn resident(
        &mut self,
        what: &str,
        server: &Ferrule,
        target_mib: impl Into<Option<f64>>,
    ) -> Result<()> {
        self.memory(what, server.memory()?.now, target_mib);
        self.memory(&format!("{what}: heap in use"), server.heap().await?, None);
        Ok(())
    }

    fn memory(&mut self, what: &str, bytes: u64, target_mib: impl Into<Option<f64>>) {
        self.add(what, Unit::Mib, bytes as f64 / MIB, target_mib);
    }
}

/// Fails when the answers are too small to be whole, or more comes though nothing has changed:
/// then what was measured was not all of the work.
async fn check_whole(generator: &mut Generator, first_bytes: f64, endpoints: usize) -> Result<()> {
    /// An endpoint with its labels is several times that.
    const LEAST_BYTES: usize = 100;
    let patience = std::time::Duration::from_secs(1);
    let more = generator.later(1, patience).await?;
    let whole = more.is_empty() && first_bytes >= (endpoints * LEAST_BYTES) as f64;
    whole.then_some(()).with_context(|| {
        format!(
            "the first message of a stream has {first_bytes} bytes and {} messages follow: \
             that is not the whole set of {endpoints} endpoints at once",
            more.len()
        )
    })
}
