//! How the process ends (operations.md 14.3).

use crate::process::Process;
use std::{io, process, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long each step may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    /// Serving on while not ready.
    pub(crate) delay: Duration,
    /// Ending streams.
    pub(crate) window: Duration,
}

/// SIGTERM and SIGINT from the moment it is made.
pub(crate) struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

/// A signal that ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Interrupt,
    #[cfg(unix)]
    Terminate,
}

impl Signal {
    /// What a process that ends by the signal exits with: 128 and its number.
    const fn exit_code(self) -> i32 {
        match self {
            Signal::Interrupt => 130,
            #[cfg(unix)]
            Signal::Terminate => 143,
        }
    }
}

impl Signals {
    #[cfg(unix)]
    pub(crate) fn catch() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(not(unix))]
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }

    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) -> Signal {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
        Signal::Interrupt
    }

    /// From now on a signal ends the process at once.
    pub(crate) fn exit_on_next(mut self) {
        tokio::spawn(async move {
            let signal = self.next().await;
            tracing::warn!(?signal, "exiting at once");
            process::exit(signal.exit_code());
        });
    }
}

/// Sends clients elsewhere: not ready at once, the answers go on for the delay,
/// then connections are told to go (`stop`) while streams end one after another.
pub(crate) async fn drain(process: &Process, drain: Drain, stop: &CancellationToken) {
    process.begin_drain();
    let calls = process.calls();
    let active = calls.iter().map(|(_, calls)| calls.active());
    tracing::info!(
        streams = active.sum::<usize>(),
        delay = ?drain.delay,
        window = ?drain.window,
        "shutting down; a second signal ends the process at once",
    );
    tokio::time::sleep(drain.delay).await;
    stop.cancel();
    let drains = calls.iter().map(|(_, calls)| calls.drain(drain.window));
    futures::future::join_all(drains).await;
}
