use super::{
    Terms,
    leadership::{Claim, Counts, Leadership},
    record::Records,
};
use ferrule_cluster::trace::{Fact, Span};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

/// Keeps one Lease as long as it can.
pub(super) struct Keeper {
    name: &'static str,
    records: Records,
    terms: Terms,
    claim: Claim,
    counts: Arc<Counts>,
    /// Whether it led when that was last looked at.
    led: bool,
    /// Whether it was said that the Lease cannot be had.
    complained: bool,
}

impl Keeper {
    pub(super) fn new(name: &'static str, records: Records, terms: Terms) -> (Self, Leadership) {
        let (leadership, claim, counts) = Leadership::new(name);
        let keeper = Self {
            name,
            records,
            terms,
            claim,
            counts,
            led: false,
            complained: false,
        };
        (keeper, leadership)
    }

    /// Claims and renews until `stop`, and then gives back what is held.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            // Not cancelled: a claim that is under way might land after the release.
            let sent = Instant::now();
            let again = if self.step(sent).await {
                sent + self.terms.renew_after()
            } else {
                Instant::now() + self.terms.retry_after()
            };
            tokio::select! {
                () = sleep_until(again) => {}
                () = stop.cancelled() => break,
            }
        }
        self.claim.set(None);
        self.note();
        let deadline = Instant::now() + self.terms.call_timeout();
        match timeout_at(deadline, self.records.release()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.complain(&error.to_string()),
            Err(_) => self.complain("the API server does not answer"),
        }
    }

    /// Claims or renews; whether that went well.
    async fn step(&mut self, sent: Instant) -> bool {
        let mut deadline = sent + self.terms.call_timeout();
        if let Some(until) = self.claim.until().filter(|_| self.claim.is_good()) {
            // What cannot be renewed in time is said at once.
            deadline = deadline.min(until);
        }
        let name = self.name;
        let span = Span::root("lease claim", || vec![Fact::new("ferrule.lease", name)]);
        let claim = timeout_at(deadline, self.records.claim());
        let claimed = span.clone().during(claim).await;
        span.note(|| Fact::new("ferrule.leads", matches!(claimed, Ok(Ok(true)))));
        drop(span);
        match &claimed {
            Ok(Ok(true)) => {
                self.claim.set(Some(sent + self.terms.lead_for()));
                self.complained = false;
            }
            Ok(Ok(false)) => {
                self.claim.set(None);
                self.complained = false;
            }
            // The claim counts as long as it was made for.
            Ok(Err(error)) => self.failed(&error.to_string()),
            Err(_) => self.failed("the API server does not answer"),
        }
        self.note();
        matches!(claimed, Ok(Ok(true)))
    }

    fn failed(&mut self, error: &str) {
        self.counts.errors.fetch_add(1, Relaxed);
        self.complain(error);
    }

    fn complain(&mut self, error: &str) {
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!(lease = self.name, "cannot read or write the Lease: {error}");
        }
    }

    fn note(&mut self) {
        let leads = self.claim.is_good();
        if leads != self.led {
            self.led = leads;
            self.counts.transitions.fetch_add(1, Relaxed);
            if leads {
                tracing::info!(lease = self.name, "leading: this replica writes");
            } else {
                tracing::info!(lease = self.name, "no longer leading");
            }
        }
    }
}
