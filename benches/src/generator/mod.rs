//! The load: proxies that ask and count, in a process of their own, so that what is measured of
//! the server is the server's alone.
//!
//! Nothing is decoded, but for addresses where a row asks for them: what tells a full answer from a
//! part of one is the bytes of the first gRPC message, and that none follows while the cluster is
//! quiet.

mod addresses;
mod call;
mod certify;
mod connections;
mod dialer;
mod messages;
mod requests;
mod reviews;
#[cfg(test)]
mod server;
mod tally;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::{Instant, sleep};

use crate::protocol::{Command, Later, Report, Told};
use connections::Connections;

const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Be proxies: read commands (JSON lines) from stdin, answer with reports on stdout.
#[derive(Debug, Args)]
pub(crate) struct Generate {
    /// Threads that read.
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

impl Generate {
    /// Obeys until stdin ends.
    ///
    /// # Errors
    ///
    /// When a command cannot be read or obeyed, or a report not be written.
    pub(crate) fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.threads)
            .enable_all()
            .build()?;
        let done = runtime.block_on(async { tokio::spawn(obey()).await? });
        runtime.shutdown_background();
        done
    }
}

async fn obey() -> Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut stdout = tokio::io::stdout();
    let mut connections = None;
    while let Some(line) = lines.next_line().await? {
        let command = serde_json::from_str(&line)
            .with_context(|| format!("expected a command as JSON, got {line:?}"))?;
        let report = match command {
            Command::Open(open) => {
                // Those there are go first, and nobody waits for them to be gone.
                drop(connections.take());
                let opened = connections.insert(Connections::open(open).await?);
                Report::Opened(opened.tally.opened())
            }
            Command::Later { count, timeout_ms } => {
                let timeout = Duration::from_millis(timeout_ms);
                Report::Later(later(connections.as_ref(), count, timeout).await)
            }
            Command::Told { count, timeout_ms } => {
                let timeout = Duration::from_millis(timeout_ms);
                Report::Told(told(connections.as_ref(), count, timeout).await)
            }
            Command::Close => {
                drop(connections.take());
                Report::Closed
            }
            Command::Certify(order) => Report::Certified(certify::certify(order).await?),
            Command::Review(order) => Report::Reviewed(reviews::review(order).await?),
        };
        let mut line = serde_json::to_vec(&report)?;
        line.push(b'\n');
        stdout.write_all(&line).await?;
        stdout.flush().await?;
    }
    Ok(())
}

async fn told(connections: Option<&Connections>, count: usize, timeout: Duration) -> Told {
    let Some(Connections { tally, .. }) = connections else {
        return Told::default();
    };
    let deadline = Instant::now() + timeout;
    while tally.tellings() < count && Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
    }
    tally.take_told()
}

async fn later(connections: Option<&Connections>, count: usize, timeout: Duration) -> Later {
    let Some(Connections { tally, .. }) = connections else {
        return Later::default();
    };
    let deadline = Instant::now() + timeout;
    while tally.unreported() < count && Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
    }
    tally.take_later()
}
