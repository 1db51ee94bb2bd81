//! Random operations on a real API server, faults among them, while proxies that
//! are fast, slow or asleep hold streams: once all is quiet, every one of them has
//! been told what a fresh stream is told, by this process and by a new one.
//!
//! What the property test of `destination/` cannot show is that the API server,
//! its watches and their failures are as its histories suppose. A run prints its
//! seed; `FERRULE_RANDOM_SEED` repeats its operations (not their timing), and
//! `FERRULE_RANDOM_OPERATIONS` makes it longer. Seeds that have found something are
//! replayed by every run: see `REPLAYED`.
//!
//! Nodes change, go and come back with the rest, and are at the end what they were at
//! the start: a client's zone is read when its stream is opened (D25), so only a
//! stream from the start may be compared, and one that was opened later is opened anew.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod client;
mod dice;
mod objects;

use self::{
    client::{Client, Process, Question, Speed},
    dice::Dice,
    objects::{HOST_PORT, HOSTS, OUTSIDE, Objects},
};
use anyhow::{Context as _, ensure};
use ferrule_test_cluster::{Cluster, Component, Options, PATIENCE};
use ferrule_tests::Ferrule;
use std::{str::FromStr, time::Duration};
use tokio::time::{Instant, sleep};

/// So that a run is some fifteen seconds of operations.
const OPERATIONS: usize = 2_000;
/// As long as anything may take.
const QUIET: Duration = PATIENCE.saturating_mul(2);
/// With both families, though the chart leaves IPv6 off.
const FLAGS: [&str; 3] = [
    "--roles=destination,policy",
    "--policy-addr=127.0.0.1:0",
    "--enable-ipv6",
];
/// Times at which something happens to the API server, as shares of a run, and what;
/// where nothing is said, chance decides. At least once watches break, what they were
/// to go on from is forgotten, and connections hang.
const FAULTS: [(f64, Option<Fault>); 4] = [
    (0.2, Some(Fault::Forget)),
    (0.45, None),
    (0.6, Some(Fault::Pause)),
    (0.85, None),
];
/// Seeds that found something once. To add one: the number that the failing run
/// printed, and a comment that says what was wrong.
const REPLAYED: [u64; 0] = [];

/// What happens to the API server for a while.
#[derive(Clone, Copy)]
enum Fault {
    /// It is killed.
    Kill,
    /// It is killed, and nothing is left of the past when it comes back.
    Forget,
    /// It stops where it stands.
    Pause,
}

fn variable<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_stream_ends_up_with_what_a_fresh_one_is_told() -> anyhow::Result<()> {
    let seed = variable("FERRULE_RANDOM_SEED").unwrap_or_else(dice::seed);
    let operations = variable("FERRULE_RANDOM_OPERATIONS").unwrap_or(OPERATIONS);
    println!("FERRULE_RANDOM_SEED={seed} FERRULE_RANDOM_OPERATIONS={operations}");
    run(seed, operations)
        .await
        .with_context(|| format!("with FERRULE_RANDOM_SEED={seed}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeds_that_found_something_once_find_it_no_more() -> anyhow::Result<()> {
    for seed in REPLAYED {
        println!("FERRULE_RANDOM_SEED={seed}");
        run(seed, OPERATIONS)
            .await
            .with_context(|| format!("with FERRULE_RANDOM_SEED={seed}"))?;
    }
    Ok(())
}

async fn run(seed: u64, operations: usize) -> anyhow::Result<()> {
    let mut dice = Dice::new(seed);
    let mut cluster = Cluster::start(Options::default()).await?;
    let objects = Objects::create(&mut cluster).await?;
    // It would mend what is broken here on purpose.
    cluster.kill(Component::ControllerManager);
    let ferrule = Ferrule::start_with(cluster.kubeconfig(), &FLAGS).await?;
    ferrule.ready().await?;
    let process = Process::connect(&ferrule).await?;
    let clients: Vec<_> = questions(&objects)
        .into_iter()
        .map(|question| {
            let speed = dice.pick(&Speed::ALL);
            Client::start(process.clone(), question, speed)
        })
        .collect();

    // From here on nodes change.
    while !clients.iter().all(Client::has_asked) {
        sleep(Duration::from_millis(10)).await;
    }

    let faults = FAULTS.map(|(share, fault)| ((share * operations as f64) as usize, fault));
    for number in 0..operations {
        objects
            .change(&mut dice)
            .await
            .with_context(|| format!("operation {number}"))?;
        if let Some((_, given)) = faults.iter().find(|(at, _)| *at == number) {
            let fault = given.unwrap_or_else(|| dice.pick(&[Fault::Kill, Fault::Pause]));
            fault.happen(&mut cluster, &mut dice).await?;
        }
    }
    objects.restore_nodes().await?;
    let restarts = ferrule.metric("watch_restarts_total{kind=\"Pod\"}").await?;
    ensure!(
        restarts.is_some_and(|restarts| restarts >= 1.0),
        "the faults were none: {restarts:?}"
    );
    let expired = expired(&ferrule).await?;
    ensure!(expired > 0.0, "no watch had to begin anew");
    println!("{expired} watches found their version expired");

    for client in &clients {
        client.catch_up();
    }
    let fresh = Ferrule::start_with(cluster.kubeconfig(), &FLAGS).await?;
    fresh.ready().await?;
    let deadline = Instant::now() + QUIET;
    loop {
        let differences = differences(&ferrule, &fresh, &clients).await?;
        if differences.is_empty() {
            break;
        }
        ensure!(
            Instant::now() < deadline,
            "{} of {} streams were told something else:\n{}",
            differences.len(),
            clients.len(),
            differences.join("\n")
        );
        sleep(Duration::from_millis(500)).await;
    }
    let told = clients.iter().map(Client::messages).sum::<usize>();
    let with_endpoints = clients.iter().filter(|client| client.told().is_something());
    let with_endpoints = with_endpoints.count();
    println!("{told} messages, {with_endpoints} streams with an answer");
    ensure!(
        with_endpoints >= clients.len() / 4,
        "hardly anything is left to be told"
    );
    Ok(())
}

impl Fault {
    async fn happen(self, cluster: &mut Cluster, dice: &mut Dice) -> anyhow::Result<()> {
        let away = Duration::from_millis(dice.below(3_000) as u64);
        match self {
            Self::Kill | Self::Forget => cluster.kill(Component::ApiServer),
            Self::Pause => cluster.pause(Component::ApiServer)?,
        }
        sleep(away).await;
        match self {
            Self::Kill => cluster.restart(Component::ApiServer).await,
            Self::Forget => {
                cluster.forget_history().await?;
                cluster.restart(Component::ApiServer).await
            }
            Self::Pause => cluster.resume(Component::ApiServer),
        }
    }
}

/// How many watches of all kinds were to go on from a version that is no more.
async fn expired(ferrule: &Ferrule) -> anyhow::Result<f64> {
    let (_, text) = ferrule.admin("/metrics").await?;
    let counts = text.lines().filter_map(|line| {
        let series = line.strip_prefix("watch_errors_total{")?;
        let count = series.split_once("reason=\"expired\"}")?.1;
        count.trim().parse::<f64>().ok()
    });
    Ok(counts.sum())
}

/// What is asked by somebody each: every way of asking for every Service, and for
/// addresses that are, were or will be somebody's; and the policy of all of these.
fn questions(objects: &Objects) -> Vec<Question> {
    let [a, b] = objects.namespaces();
    let contexts = [
        format!(r#"{{"ns":"{a}","nodeName":"n0"}}"#),
        format!(r#"{{"ns":"{b}","nodeName":"n1"}}"#),
        String::new(),
    ];
    let mut questions = Vec::new();
    for service in objects.services() {
        for context in &contexts {
            for port in [80, 81, 5432] {
                let path = format!("{service}:{port}");
                questions.push(Question::get(&path, context));
                questions.push(Question::profile(&path, context));
            }
        }
        let hostname = format!("h1.{service}:80");
        questions.push(Question::get(&hostname, &contexts[0]));
        questions.push(Question::profile(&hostname, &contexts[0]));
    }
    for host in HOSTS {
        for port in [HOST_PORT, 5432] {
            let path = format!("{host}:{port}");
            questions.push(Question::profile(&path, &contexts[0]));
        }
    }
    for address in objects.addresses() {
        for port in [8080, 5432] {
            questions.push(Question::profile(
                &format!("{address}:{port}"),
                &contexts[0],
            ));
        }
    }
    for workload in objects.workloads() {
        for port in [8080, 5432] {
            questions.push(Question::port(&workload, port));
        }
    }
    for client in [format!("{a}:pod-0"), format!("{b}:pod-0")] {
        for service in objects.services() {
            for port in [80, 5432] {
                let path = format!("{service}:{port}");
                questions.push(Question::target(&path, &client));
            }
        }
        for address in OUTSIDE {
            questions.push(Question::target(&format!("{address}:80"), &client));
        }
    }
    questions
}

/// The streams that were told something else than a fresh one of the same process
/// or of another.
async fn differences(
    ferrule: &Ferrule,
    fresh: &Ferrule,
    clients: &[Client],
) -> anyhow::Result<Vec<String>> {
    let (same, other) = (
        Process::connect(ferrule).await?,
        Process::connect(fresh).await?,
    );
    let compare = clients.iter().map(async |client| {
        let (same, other) = tokio::join!(client.difference(&same), client.difference(&other));
        let told = client.told();
        if same.is_some() || other.is_some() {
            client.look_where_it_is();
        }
        [("a fresh stream", same), ("a new process", other)]
            .into_iter()
            .filter_map(|(who, fresh)| Some((who, fresh?)))
            .map(|(who, fresh)| format!("{client}\n  was told {told:?}\n  {who} {fresh:?}"))
            .collect::<Vec<_>>()
    });
    let found = futures::future::join_all(compare).await;
    Ok(found.into_iter().flatten().collect())
}
