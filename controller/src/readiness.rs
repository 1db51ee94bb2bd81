//! Whether clients should be sent here.

use crate::process::Process;
use ferrule_cluster::object::Kind;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often an index that is not synced yet is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long it may take before the log says what is missing, and how often then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a process is not ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// These kinds have not been listed yet.
    Syncing(Vec<Kind>),
    /// It is about to end.
    Draining,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReady::Draining => f.write_str("shutting down"),
            NotReady::Syncing(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.plural()).collect();
                write!(f, "waiting for the first list of {}", kinds.join(", "))
            }
        }
    }
}

/// Whether the process is ready. A watch that breaks later does not change that:
/// the last known state is better than none (operations.md 14.3).
pub(crate) fn check(process: &Process) -> Result<(), NotReady> {
    if process.is_draining() {
        return Err(NotReady::Draining);
    }
    if process.index.is_synced() {
        return Ok(());
    }
    let kinds = Kind::ALL.into_iter();
    Err(NotReady::Syncing(
        kinds
            .filter(|kind| !process.index.is_kind_synced(*kind))
            .collect(),
    ))
}

/// Waits until the world has been listed, and says in the log how that goes.
pub(crate) async fn synced(process: Arc<Process>) {
    let mut complain_at = Instant::now() + PATIENCE;
    while let Err(reason) = check(&process) {
        if Instant::now() >= complain_at {
            tracing::warn!("not ready: {reason}");
            complain_at += PATIENCE;
        }
        tokio::time::sleep(LOOK).await;
    }
    let count = |kind| process.index.count(kind);
    tracing::info!(
        services = count(Kind::Service),
        endpointslices = count(Kind::EndpointSlice),
        pods = count(Kind::Pod),
        after_seconds = process.started.elapsed().as_secs_f64(),
        "ready",
    );
}
