//! Who writes: one replica of several, by a Kubernetes Lease (operations.md 14.2).
//!
//! Readers need none of this. A writer asks [`Leases`] for its [`Leadership`] and
//! looks at it before each write. Times follow from the Lease's duration, 30 s
//! unless told otherwise:
//!
//! ```text
//!   0 s      10 s           20 s             30 s
//!   ├─────────┼──────────────┼────────────────┤
//!   claimed   renewed        our claim ends   others may claim
//! ```
//!
//! A claim counts from before its request was sent, on the monotonic clock, and ends
//! a third early: by then a write that was begun as a leader and that takes at most
//! [`Terms::call_timeout`] has landed or failed. Others claim when the Lease has not
//! changed for its whole duration by *their* clock since they saw it, so clocks that
//! differ do no harm. Every write names the version that was read; of two that claim
//! at once, one gets a conflict and looks again.
//!
//! An API server that does not answer ends a leadership, and nothing else: the
//! process serves on and claims again when it can.

mod keeper;
mod leadership;
mod record;

pub(crate) use self::leadership::Leadership;

use self::{keeper::Keeper, record::Records};
use kube::Client;
use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a shutdown waits for Leases to be given back; who does not get to it
/// lets them expire.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// What all Leases of the process have in common.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// The control plane's namespace: the Leases are there.
    pub(crate) namespace: String,
    /// The Deployment in it that owns the Leases made here, if it is known: they go
    /// when it does.
    pub(crate) deployment: Option<String>,
    /// How long a claim keeps others away, in whole seconds, at least 3.
    pub(crate) duration: Duration,
}

impl Terms {
    /// How old a claim is when it is renewed.
    fn renew_after(&self) -> Duration {
        self.duration / 3
    }

    /// How old a claim is when it no longer counts for its holder.
    fn lead_for(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// How long to wait before looking again at what somebody else holds, or after
    /// an error.
    fn retry_after(&self) -> Duration {
        self.duration / 15
    }

    /// The most that a request may take, also one that a leader makes: what is sent
    /// before a claim ends lands before another's begins.
    pub(crate) fn call_timeout(&self) -> Duration {
        self.duration / 3
    }
}

/// The Leases that this process wants to hold.
pub(crate) struct Leases {
    client: Client,
    terms: Terms,
    /// The host's name, which is a pod's, and some chance: a container that is
    /// restarted in its pod is somebody else.
    holder: String,
    stop: CancellationToken,
    keepers: JoinSet<()>,
    led: Vec<Leadership>,
}

impl Leases {
    pub(crate) fn new(client: Client, terms: Terms, host: &str) -> Self {
        // A fresh hasher's keys are the standard library's only source of chance.
        let chance = RandomState::new().hash_one(()) as u32;
        Self {
            client,
            terms,
            holder: format!("{host}_{chance:08x}"),
            stop: CancellationToken::new(),
            keepers: JoinSet::new(),
            led: Vec::new(),
        }
    }

    /// From now on tries to hold the Lease of this name, and goes on trying. Of
    /// several who do, one leads.
    #[allow(dead_code, reason = "the webhooks' certificate is next to need it")]
    pub(crate) fn lead(&mut self, name: &'static str) -> Leadership {
        self.lead_after(name, std::future::ready(()))
    }

    /// The same, but holds off until something has happened.
    pub(crate) fn lead_after(
        &mut self,
        name: &'static str,
        event: impl Future<Output = ()> + Send + 'static,
    ) -> Leadership {
        let records = Records::new(&self.client, &self.terms, name, &self.holder);
        let (keeper, leadership) = Keeper::new(name, records, self.terms.clone());
        let stop = self.stop.clone();
        self.keepers.spawn(async move {
            if stop.run_until_cancelled(event).await.is_some() {
                keeper.run(stop).await;
            }
        });
        self.led.push(leadership.clone());
        leadership
    }

    /// What holds for all of them.
    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What was asked for so far.
    pub(crate) fn led(&self) -> &[Leadership] {
        &self.led
    }

    /// Ends all leaderships at once, and gives the Leases back, so that another
    /// replica need not wait for them to expire.
    pub(crate) async fn release(&mut self) {
        self.stop.cancel();
        let released = async { while self.keepers.join_next().await.is_some() {} };
        if tokio::time::timeout(RELEASE_TIMEOUT, released)
            .await
            .is_err()
        {
            tracing::warn!("Leases could not be given back in time; they will expire");
        }
    }
}

#[cfg(test)]
mod tests;
