//! `ferrule-bench run`: clusters one after another, and in each the rows that need it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::{env, os::unix::process::CommandExt as _};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::mesh::Mesh;
use crate::processes::Program;
use crate::report::{Circumstances, Results};
use crate::rows::{Bench, Row};
use crate::world::{PodSize, World, ZONES};

/// etcd refuses to grow beyond 2 GiB unless told otherwise, and reads this.
const ETCD_QUOTA: (&str, &str) = ("ETCD_QUOTA_BACKEND_BYTES", "8589934592");

/// Measure the release `ferrule` against a real API server.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// What to measure; everything but `large` unless told.
    rows: Vec<Row>,
    /// `large` too: creating its 100,000 pods takes minutes.
    #[arg(long)]
    large: bool,
    /// The server; the `ferrule` beside this program unless told.
    #[arg(long, value_name = "FILE")]
    ferrule: Option<PathBuf>,
    /// Write the results here as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Profile the server in each row, with perf, into this folder.
    #[arg(long, value_name = "FOLDER")]
    perf: Option<PathBuf>,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// In how many zones the clients are, up to three.
    #[arg(long, default_value_t = ZONES)]
    zones: usize,
    /// How large pods are; `large` in minutes needs lean ones.
    #[arg(long, value_enum, default_value_t)]
    pods: PodSize,
    /// A further argument for the server.
    #[arg(
        long = "server-arg",
        value_name = "ARGUMENT",
        allow_hyphen_values = true
    )]
    server_arguments: Vec<String>,
    /// A variable of the server's environment.
    #[arg(long = "server-env", value_name = "NAME=VALUE")]
    server_environment: Vec<String>,
}

impl Run {
    /// Measures and prints.
    ///
    /// # Errors
    ///
    /// When a row could not be measured; one that misses its target is no error.
    pub(crate) fn run(self) -> Result<()> {
        if env::var_os(ETCD_QUOTA.0).is_none() {
            // The cluster's processes inherit the environment, which cannot be changed from
            // within without unsafe code.
            let arguments = env::args_os().skip(1);
            let error = Command::new(env::current_exe()?)
                .args(arguments)
                .env(ETCD_QUOTA.0, ETCD_QUOTA.1)
                .exec();
            return Err(error).context("cannot start again with etcd's quota raised");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        let outcome = runtime.block_on(async {
            let (mut interrupt, mut terminate) = (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
            );
            // Whatever ends this drops, and so stops, what was started.
            tokio::select! {
                results = self.measure() => results,
                _ = interrupt.recv() => bail!("interrupted"),
                _ = terminate.recv() => bail!("terminated"),
            }
        });
        runtime.shutdown_background();
        let results = outcome?;
        println!("{results}");
        if let Some(file) = &self.json {
            fs::write(file, serde_json::to_vec_pretty(&results)?)
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        ensure!(
            results.failures.is_empty(),
            "not every row could be measured"
        );
        Ok(())
    }

    async fn measure(&self) -> Result<Results> {
        let program = self.program()?;
        ensure!(
            (1..=ZONES).contains(&self.zones),
            "--zones is from 1 to {ZONES}"
        );
        let mesh = Mesh::create()?;
        let mut results = Results {
            circumstances: Circumstances::now(),
            findings: Vec::new(),
            failures: Vec::new(),
        };
        let mut rows = self.rows().into_iter().peekable();
        while let Some(first) = rows.peek().copied() {
            eprintln!(
                "{} services of {} pods",
                first.shape().services,
                first.shape().pods_per_service
            );
            let world = World::create(first.shape(), self.pods).await?;
            let bench = Bench {
                program: &program,
                world: &world,
                mesh: &mesh,
                threads: self.threads,
                zones: self.zones,
            };
            while let Some(row) = rows.next_if(|row| row.shape() == first.shape()) {
                eprintln!("{}", row.name());
                match row.measure(&bench).await {
                    Ok(findings) => results.findings.extend(findings),
                    Err(error) => {
                        eprintln!("  {error:#}");
                        results.failures.push((row.name(), format!("{error:#}")));
                    }
                }
            }
        }
        Ok(results)
    }

    /// In the order in which they share clusters.
    fn rows(&self) -> Vec<Row> {
        let is_wanted = |row: Row| match row {
            Row::Large => self.large || self.rows.contains(&row),
            _ => self.rows.is_empty() || self.rows.contains(&row),
        };
        Row::ALL
            .iter()
            .copied()
            .filter(|row| is_wanted(*row))
            .collect()
    }

    fn program(&self) -> Result<Program> {
        let path = match &self.ferrule {
            Some(path) => path.clone(),
            None => env::current_exe()?.with_file_name("ferrule"),
        };
        ensure!(
            path.is_file(),
            "there is no {}: build it with `cargo build --release -p ferrule-controller`, or name it with --ferrule",
            path.display()
        );
        Ok(Program {
            path: path.canonicalize()?,
            arguments: self.server_arguments.clone(),
            environment: self.server_environment.clone(),
            perf: self.perf.clone(),
        })
    }
}
