use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::{sync::watch, time::Instant};

/// Whether this process leads, as of now.
#[derive(Clone, Debug)]
pub(crate) struct Leadership {
    name: &'static str,
    /// When the claim ends, if there is one.
    claim: watch::Receiver<Option<Instant>>,
    counts: Arc<Counts>,
    /// What [`changed`](Self::changed) said last.
    said: bool,
}

/// What became of a Lease.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) transitions: AtomicU64,
    pub(super) errors: AtomicU64,
}

/// The claim of a [`Leadership`], for who keeps it.
#[derive(Debug)]
pub(super) struct Claim(watch::Sender<Option<Instant>>);

impl Leadership {
    pub(super) fn new(name: &'static str) -> (Self, Claim, Arc<Counts>) {
        let (claim, claims) = watch::channel(None);
        let counts = Arc::<Counts>::default();
        let leadership = Self {
            name,
            claim: claims,
            counts: counts.clone(),
            said: false,
        };
        (leadership, Claim(claim), counts)
    }

    /// The Lease's name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether this process may write now. To be asked before each write: a claim
    /// that could not be renewed ends by itself.
    pub(crate) fn is_leader(&self) -> bool {
        counts(*self.claim.borrow())
    }

    /// Waits until this process leads if it did not when this was last asked of this
    /// clone (at first: it did not), or no longer does if it did; which of them it is.
    /// May be cancelled.
    pub(crate) async fn changed(&mut self) -> bool {
        loop {
            let claim = *self.claim.borrow_and_update();
            let leads = counts(claim);
            if leads != self.said {
                self.said = leads;
                return leads;
            }
            let ends = async {
                match claim {
                    Some(until) if leads => tokio::time::sleep_until(until).await,
                    _ => std::future::pending().await,
                }
            };
            let renewed = async {
                if self.claim.changed().await.is_err() {
                    // Nobody keeps it any more: the process is about to end.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = ends => {}
                () = renewed => {}
            }
        }
    }

    /// Waits until this process leads, and does the work until it no longer does:
    /// what is under way then is given up.
    pub(crate) async fn term(&mut self, work: impl Future<Output = ()>) {
        while !self.changed().await {}
        tokio::select! {
            _ = self.changed() => {}
            () = work => {}
        }
    }

    /// How often the process began to lead, or ceased to.
    pub(crate) fn transitions(&self) -> u64 {
        self.counts.transitions.load(Relaxed)
    }

    /// How often the Lease could not be read or written.
    pub(crate) fn errors(&self) -> u64 {
        self.counts.errors.load(Relaxed)
    }
}

impl Claim {
    /// Whether it counts now.
    pub(super) fn is_good(&self) -> bool {
        counts(*self.0.borrow())
    }

    /// When it ends.
    pub(super) fn until(&self) -> Option<Instant> {
        *self.0.borrow()
    }

    /// Sets when it ends; `None` for at once.
    pub(super) fn set(&self, until: Option<Instant>) {
        self.0.send_replace(until);
    }
}

fn counts(claim: Option<Instant>) -> bool {
    claim.is_some_and(|until| Instant::now() < until)
}
