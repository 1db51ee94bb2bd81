//! Restarts workloads whose proxies do not trust all that is published, where somebody
//! has asked for it.
//!
//! A proxy keeps the trust anchors that it was started with. So a new anchor that is
//! added to the bundle, by a rotation or by hand, is trusted by all only once all pods
//! are new.
//!
//! ```text
//! ConfigMap ── Bundle ─┐
//!                      ├─ Census ── laggards ── judge ──► one Restart ── attend ──┐
//! pods ────────────────┘     ▲                                                    │
//!                            └────────────── --restart-interval ──────────────────┘
//! ```
//!
//! There is one rollout at a time in the whole mesh, and the next begins when all pods of
//! the last are ready. One that fails stops all others. What is under way is written on
//! the Lease before the workload is, so that who takes over goes on from there.
//!
//! A restart writes the bundle's hash into the pod template. It is the same as `kubectl
//! rollout restart`, but for the annotation: writing this one twice changes nothing, and
//! tells later for what it was.

mod budget;
mod bundle;
mod choose;
mod events;
mod journal;
mod objects;
mod opt_in;
mod rollout;
mod standings;
mod stats;
mod term;
mod verdict;
mod workload;

pub(crate) use self::stats::{Outcome, Stats};

use self::term::Term;
use crate::lease::Leadership;
use kube::Client;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The Lease under which workloads are restarted. One of its own: statuses are written
/// under Linkerd's, which a Linkerd beside us may hold, and only by who has seen the
/// whole cluster.
pub(crate) const LEASE: &str = ferrule_identity::RESTARTS_LEASE;

/// How workloads are restarted.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The control plane's namespace.
    pub(crate) control_plane: String,
    /// The ConfigMap in it that holds the bundle.
    pub(crate) bundle: String,
    /// How long to wait between the end of a restart and the next.
    pub(crate) interval: Duration,
    /// How long a bundle must have been there before anything is restarted for it.
    pub(crate) settle: Duration,
}

/// Restarts workloads while it leads.
pub(crate) struct Restarts {
    client: Client,
    settings: Settings,
    leadership: Leadership,
    /// For each write.
    timeout: Duration,
    stats: Arc<Stats>,
}

impl Restarts {
    pub(crate) fn new(
        client: Client,
        settings: Settings,
        leadership: Leadership,
        timeout: Duration,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            client,
            settings,
            leadership,
            timeout,
            stats,
        }
    }

    /// Restarts what is to be restarted whenever this replica leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut leadership = self.leadership.clone();
        let lead = async {
            loop {
                let mut term = Term::new(&self);
                leadership.term(term.run()).await;
                self.stats.clear();
            }
        };
        stop.run_until_cancelled(lead).await;
    }
}

async fn within<T>(time: Duration, call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    match timeout(time, call).await {
        Ok(answer) => answer,
        Err(_) => Err(kube::Error::Service(
            format!("the API server does not answer within {time:?}").into(),
        )),
    }
}
