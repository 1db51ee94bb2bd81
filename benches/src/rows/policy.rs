//! A mesh with many policies: what they weigh, and how soon a change of them is with the proxies.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::changes::Heard;
use super::{Bench, Findings, changes, start};
use crate::processes::{Ferrule, Generator, Setup};
use crate::protocol::{Asked, Open, PolicySubject};
use crate::report::Unit;
use crate::world::{Change, Target, World};

/// Each is a connection, a stream about its own port and one about the same Service: as many pods
/// as the first namespace has.
const PROXIES: usize = 1_000;
/// So that one change is over before the next.
const PAUSE: Duration = Duration::from_millis(250);
/// Even, as changes go to and fro.
const WARM_UP: usize = 10;
const CHANGES: usize = 100;
/// A route that is new is written twice more.
const NEW_PAUSE: Duration = Duration::from_millis(500);
const NEW: usize = 50;

pub(super) async fn measure(bench: &Bench<'_>, findings: &mut Findings) -> Result<()> {
    let setup = bench.plaintext("destination,policy");
    bench.world.define_policies().await?;
    let server = bench.settled(&setup).await?;
    findings.resident("resident before", &server, None).await?;
    let before = server.heap().await?;
    drop(server);

    let (objects, routes) = bench.world.create_policies().await?;
    accept(bench, findings, &setup, routes).await?;
    start::starts(bench, findings, &setup, None).await?;
    let (listed, bytes) = bench.world.list_policies().await?;
    let what = "the API server alone, listing policies";
    findings.add(what, Unit::Seconds, listed.as_secs_f64(), None);
    findings.memory("their JSON", bytes as u64, None);

    let server = bench.settled(&setup).await?;
    findings.resident("idle: resident", &server, None).await?;
    let more = server.heap().await? as f64 - before as f64;
    let each = more / objects as f64 / 1024.0;
    findings.add("idle: heap an object", Unit::Kib, each, None);

    let mut generator = bench.generator()?;
    open(bench, findings, &server, &mut generator).await?;
    let world = bench.world;
    let mut row = Row {
        findings,
        server: &server,
        generator: &mut generator,
    };
    let change = |number| world.authorize(Target::Namespace, number);
    row.tell("AuthorizationPolicy of a namespace", PROXIES, change)
        .await?;
    let change = |number| world.authorize(Target::Server, number);
    let of_one = world.shape.pods_per_service;
    row.tell("AuthorizationPolicy of a Server", of_one, change)
        .await?;
    row.tell("HTTPRoute", PROXIES, |number| world.reroute(number))
        .await?;
    row.tell_new(world).await?;
    server.settle().await?;
    findings.resident("resident after", &server, None).await
}

/// Has the statuses written that make routes take effect.
async fn accept(
    bench: &Bench<'_>,
    findings: &mut Findings,
    setup: &Setup<'_>,
    routes: usize,
) -> Result<()> {
    let mut server = bench.start(setup)?;
    server.ready().await?;
    let before = server.cpu_seconds()?;
    let written = server.statuses(u64::try_from(routes)?).await?.as_secs_f64();
    let cpu = (server.cpu_seconds()? - before) / routes as f64 * 1e6;
    let what = format!("{routes} statuses written");
    findings.add(&what, Unit::Seconds, written, None);
    findings.add("server CPU a status", Unit::Microseconds, cpu, None);
    Ok(())
}

/// Opens the streams.
async fn open(
    bench: &Bench<'_>,
    findings: &mut Findings,
    server: &Ferrule,
    generator: &mut Generator,
) -> Result<()> {
    let subjects = vec![
        PolicySubject::Port(World::workload_port()),
        PolicySubject::Address(bench.world.address().await?),
    ];
    let streams = PROXIES * subjects.len();
    let measurement = server.measure("policy-open")?;
    let load = Open {
        server: server.policy(),
        tls: None,
        connections: PROXIES,
        streams,
        asked: Asked::Policies {
            workloads: bench.world.workloads(PROXIES),
            subjects,
        },
        connect_first: true,
        gives_up: false,
        follow: false,
        timeout_ms: 60_000,
    };
    let opened = generator.open(load).await?;
    let used = measurement.end()?;
    let more = generator.later(1, Duration::from_secs(1)).await?;
    ensure!(more.is_empty(), "policies change though nothing does");
    let named = |what: &str| format!("{streams} streams: {what}");
    let seconds = opened.first_ms.max / 1e3;
    findings.add(&named("answered"), Unit::Seconds, seconds, None);
    findings.add(&named("server CPU"), Unit::Seconds, used.cpu_seconds, None);
    let kib = opened.first_bytes.max / 1024.0;
    findings.add(&named("the largest answer"), Unit::Kib, kib, None);
    findings.memory(&named("peak resident"), used.memory.peak, None);
    server.settle().await?;
    findings.resident(&named("resident"), server, None).await
}

/// What changes are made with.
struct Row<'a> {
    findings: &'a mut Findings,
    server: &'a Ferrule,
    generator: &'a mut Generator,
}

impl Row<'_> {
    /// Makes changes that each are a message to `streams` of the streams.
    async fn tell<F: Future<Output = Result<Change>>>(
        &mut self,
        what: &str,
        streams: usize,
        change: impl Fn(usize) -> F,
    ) -> Result<()> {
        let generator = &mut *self.generator;
        changes::record(generator, streams, WARM_UP, PAUSE, &change).await?;
        let name = what.to_lowercase().replace(' ', "-");
        let measurement = self.server.measure(&format!("policy-{name}"))?;
        let heard = changes::record(generator, streams, CHANGES, PAUSE, &change).await?;
        let used = measurement.end()?;
        let heard = Heard::of(&heard, streams);
        self.findings.told(what, streams, &heard);
        let each = used.cpu_seconds / CHANGES as f64 * 1e3;
        let what = format!("{what}, {streams} streams: server CPU a change");
        self.findings.add(&what, Unit::Milliseconds, each, None);
        Ok(())
    }

    /// A route that comes takes effect when its status has been written; then it goes.
    async fn tell_new(&mut self, world: &World) -> Result<()> {
        let route = |number| world.route(number);
        let generator = &mut *self.generator;
        changes::record(generator, PROXIES, WARM_UP, NEW_PAUSE, route).await?;
        let heard = changes::record(generator, PROXIES, NEW * 2, NEW_PAUSE, route).await?;
        let new: Vec<_> = heard.into_iter().step_by(2).collect();
        let what = "HTTPRoute that is new";
        self.findings.told(what, PROXIES, &Heard::of(&new, PROXIES));
        Ok(())
    }
}

impl Findings {
    fn told(&mut self, what: &str, streams: usize, heard: &Heard) {
        let named = |rest: &str| format!("{what}, {streams} streams: {rest}");
        for (rest, ms) in [
            ("PATCH to stream, p50", heard.each_ms.p50),
            ("PATCH to stream, p99", heard.each_ms.p99),
            ("last stream, p50", heard.last_ms.p50),
            ("last stream, p99", heard.last_ms.p99),
        ] {
            self.add(&named(rest), Unit::Milliseconds, ms, None);
        }
        let off = heard.off as f64;
        self.add(&named("messages off"), Unit::Messages, off, 0.0);
    }
}
