//! The rows of the table: each takes a cluster of a shape, a server of its own, and measures.

mod certify;
mod changes;
mod churn;
mod fanout;
mod inject;
mod memory;
mod open;
mod policy;
mod reconnect;
mod resident;
mod rollout;
mod scaling;
mod start;
mod storm;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::mesh::Mesh;
use crate::processes::{Ferrule, Generator, MIB, Program, Setup, Source, Transport};
use crate::protocol::{Asked, Open, Opened};
use crate::report::{Finding, Unit};
use crate::world::{Shape, World};

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// The size of the binary, and what is resident without any object.
    Empty,
    /// 500 streams at once on a Service of 5,000 pods, and then its changes.
    GetStorm,
    /// The same over mesh TLS, a connection each.
    TlsGetStorm,
    /// 1,000 streams over 100 Services of 100 pods.
    Many,
    /// The same over mesh TLS, a connection each.
    TlsMany,
    /// One change to 1,000 and to 10,000 streams.
    Fanout,
    /// One change to 1 stream, 10, 100, 1,000 and 10,000.
    Scaling,
    /// 1,000 pods replaced at 50 a second, with 2,000 streams.
    Rollout,
    /// 5,000 connections at once.
    Reconnect,
    /// The same over mesh TLS.
    TlsReconnect,
    /// Certificates: tokens reviewed by the API server, checked by its keys, and by a key of
    /// the server itself; what a signature alone costs.
    Certify,
    /// Pods that are injected: a typical one, and a very large one.
    Inject,
    /// What a stream, a connection and an endpoint weigh.
    Memory,
    /// What is resident with 10,000 pods in 1,000 Services.
    Idle,
    /// A day of changes in a large cluster, and whether memory grows.
    Churn,
    /// From start to ready with these.
    Start,
    /// 10,000 AuthorizationPolicies with their Servers and routes: what they weigh, and changes
    /// to 1,000 streams.
    Policy,
    /// 100,000 pods in 10,000 Services: resident, with 10,000 streams, start to ready.
    Large,
}

impl Row {
    pub(crate) const ALL: &[Self] = &[
        Self::Empty,
        Self::Churn,
        Self::GetStorm,
        Self::TlsGetStorm,
        Self::Many,
        Self::TlsMany,
        Self::Fanout,
        Self::Scaling,
        Self::Reconnect,
        Self::TlsReconnect,
        Self::Certify,
        Self::Inject,
        Self::Memory,
        Self::Rollout,
        Self::Idle,
        Self::Start,
        // What it puts into the cluster stays there.
        Self::Policy,
        Self::Large,
    ];

    /// The cluster it is measured in.
    pub(crate) fn shape(self) -> Shape {
        match self {
            // What churns is not in the API server.
            Self::Empty | Self::Churn | Self::Inject => Shape::EMPTY,
            Self::GetStorm | Self::TlsGetStorm => Shape::ONE_SERVICE,
            Self::Certify => Shape::HUNDRED_PODS,
            Self::Many
            | Self::TlsMany
            | Self::Fanout
            | Self::Scaling
            | Self::Reconnect
            | Self::TlsReconnect
            | Self::Memory => Shape::HUNDRED_SERVICES,
            Self::Rollout => Shape::ONE_DEPLOYMENT,
            Self::Idle | Self::Start | Self::Policy => Shape::THOUSAND_SERVICES,
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
            Self::GetStorm => storm::measure(bench, &mut findings, &storm::PLAINTEXT).await,
            Self::TlsGetStorm => storm::measure(bench, &mut findings, &storm::MESH_TLS).await,
            Self::Many => open::many(bench, &mut findings).await,
            Self::TlsMany => open::tls_many(bench, &mut findings).await,
            Self::Fanout => fanout::measure(bench, &mut findings).await,
            Self::Churn => churn::measure(bench, &mut findings).await,
            Self::Scaling => scaling::measure(bench, &mut findings).await,
            Self::Rollout => rollout::measure(bench, &mut findings).await,
            Self::Reconnect => reconnect::measure(bench, &mut findings, Transport::Plaintext).await,
            Self::TlsReconnect => {
                reconnect::measure(bench, &mut findings, Transport::MeshTls).await
            }
            Self::Certify => certify::measure(bench, &mut findings).await,
            Self::Inject => inject::measure(bench, &mut findings).await,
            Self::Memory => memory::measure(bench, &mut findings).await,
            Self::Idle => resident::idle(bench, &mut findings).await,
            Self::Start => start::measure(bench, &mut findings, 2.0).await,
            Self::Policy => policy::measure(bench, &mut findings).await,
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
    pub(crate) mesh: &'a Mesh,
    /// Threads of the generator.
    pub(crate) threads: usize,
    /// Zones that clients are in.
    pub(crate) zones: usize,
}

impl Bench<'_> {
    fn generator(&self) -> Result<Generator> {
        Generator::start(self.threads)
    }

    /// A server of these roles in the row's cluster, spoken to in plaintext.
    fn plaintext(&self, roles: &'static str) -> Setup<'_> {
        Setup {
            roles,
            source: Source::Cluster {
                kubeconfig: self.world.kubeconfig(),
            },
            transport: Transport::Plaintext,
            mesh: None,
            local_tokens: false,
            injector: None,
        }
    }

    /// Such a server that gives certificates, its own too; spoken to by mesh TLS.
    fn meshed(&self, roles: &'static str) -> Setup<'_> {
        Setup {
            transport: Transport::MeshTls,
            mesh: Some(self.mesh),
            ..self.plaintext(roles)
        }
    }

    /// What tells proxies endpoints. Its certificate is from the same process.
    fn destination(&self, transport: Transport) -> Setup<'_> {
        match transport {
            Transport::Plaintext => self.plaintext("destination"),
            Transport::MeshTls => self.meshed("destination,identity"),
        }
    }

    fn start(&self, setup: &Setup<'_>) -> Result<Ferrule> {
        Ferrule::start(self.program, setup)
    }

    async fn settled(&self, setup: &Setup<'_>) -> Result<Ferrule> {
        Ferrule::settled(self.program, setup).await
    }

    /// The endpoints of the first `services` Services, for clients in so many zones.
    fn endpoints(&self, services: usize, zones: usize) -> Asked {
        Asked::Endpoints {
            authorities: self.world.authorities(services),
            contexts: self.world.contexts(zones),
        }
    }

    /// Streams over the first `services` Services; connections are made before the clock starts.
    fn load(&self, server: &Ferrule, connections: usize, streams: usize, services: usize) -> Open {
        let tls = match server.transport() {
            Transport::Plaintext => None,
            Transport::MeshTls => Some(self.mesh.to_destination()),
        };
        Open {
            server: server.destination(),
            tls,
            connections,
            streams,
            asked: self.endpoints(services, self.zones),
            connect_first: true,
            gives_up: false,
            follow: false,
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

    /// How long the handshakes took, where there are any: from before the first connects.
    fn connected(&mut self, setup: &Setup<'_>, opened: &Opened) {
        if setup.transport == Transport::MeshTls {
            let seconds = opened.connect_ms.max / 1e3;
            self.add("before: TLS connections up", Unit::Seconds, seconds, None);
        }
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
