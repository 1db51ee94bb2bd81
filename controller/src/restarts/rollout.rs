//! The one rollout that is under way.

use super::{
    Outcome,
    choose::in_vain,
    events::Reason,
    journal::Entry,
    term::{Next, Term, since},
    workload::{Look as _, Progress, Workload},
};
use ferrule_identity::RestartState;
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked at, and once it has failed.
pub(super) const LOOK: Duration = Duration::from_secs(2);
const LOOK_FAILED: Duration = Duration::from_secs(5);
/// By then a write that nobody answered has been done, or never will be.
const WRITTEN: Duration = Duration::from_secs(30);

impl Term<'_> {
    /// Waits for the end of a rollout.
    pub(super) async fn attend(&mut self, mut entry: Entry) -> kube::Result<Next> {
        let found = self
            .objects
            .get(entry.kind, &entry.namespace, &entry.name)
            .await?;
        let found = found.filter(|workload| workload.uid().as_ref() == Some(&entry.uid));
        let Some(workload) = found else {
            tracing::info!("{entry} is gone");
            return self.close(entry).await;
        };
        let progress = workload.progress(entry.kind);
        self.stands(&entry, RestartState::Restarting, None);
        if workload.restarted_for() != Some(&entry.bundle) {
            return self.disowned(entry, &workload, progress).await;
        }
        let has_failed = match progress {
            Progress::Complete => return self.finish(entry, &workload).await,
            Progress::Failed => true,
            Progress::Underway => self.is_late(&entry, &workload),
        };
        if has_failed && !entry.failed {
            entry.fail();
            self.write(entry.clone()).await?;
            self.stats.count(Outcome::Failed);
            let text = "its restart for the trust anchors does not end: nothing else is \
                        restarted until all of its pods are up to date and ready";
            self.tell_restart(&entry, Reason::Stuck, text).await;
        }
        self.stats.set_stuck(entry.failed);
        if entry.failed {
            self.stands(&entry, RestartState::Stuck, Some("all others wait for it"));
        }
        Ok(Next::In(if entry.failed { LOOK_FAILED } else { LOOK }))
    }

    /// What is rolled out is not what was written: it was not written, or somebody has
    /// taken it back.
    async fn disowned(
        &mut self,
        entry: Entry,
        workload: &Workload,
        progress: Progress,
    ) -> kube::Result<Next> {
        let is_over = match progress {
            Progress::Complete => true,
            // Somebody else's rollout, and its failure is theirs.
            Progress::Underway | Progress::Failed => {
                !entry.failed && self.is_late(&entry, workload)
            }
        };
        if is_over && since(entry.begun) >= WRITTEN {
            tracing::info!("the restart of {entry} was not begun, or was taken back");
            return self.close(entry).await;
        }
        self.stats.set_stuck(entry.failed);
        Ok(Next::In(LOOK))
    }

    fn stands(&mut self, entry: &Entry, state: RestartState, because: Option<&str>) {
        self.standings.set(&entry.who(), state, because);
    }

    /// Whether it has not got on for too long.
    fn is_late(&mut self, entry: &Entry, workload: &Workload) -> bool {
        let numbers = workload.numbers(entry.kind);
        match &self.progress {
            Some((last, since)) if *last == numbers => since.elapsed() > workload.patience(),
            _ => {
                self.progress = Some((numbers, Instant::now()));
                false
            }
        }
    }

    /// All of its pods are new.
    async fn finish(&mut self, mut entry: Entry, workload: &Workload) -> kube::Result<Next> {
        let who = entry.who();
        let bundle = self.bundle.clone();
        let behind = match bundle.filter(|bundle| bundle.id == entry.bundle) {
            Some(bundle) => self.behind(&bundle, &who, workload).await?,
            // There is another already, for which pods are counted next.
            None => 0,
        };
        self.settled.insert(who.clone());
        entry.futile = behind > 0;
        let (was_failed, is_futile) = (entry.failed, entry.futile);
        if was_failed {
            tracing::info!("{entry} is well again: restarts go on");
        }
        if entry.futile {
            let text = in_vain(behind);
            self.tell_restart(&entry, Reason::Futile, &text).await;
        }
        let next = self.close(entry).await?;
        // Not before it is written: it would be counted again at the next attempt.
        if !was_failed {
            self.stats.count(if is_futile {
                Outcome::InVain
            } else {
                Outcome::Finished
            });
        }
        if is_futile {
            self.standings.set(&who, RestartState::InVain, None);
        }
        Ok(next)
    }

    /// There is nothing more to wait for.
    pub(super) async fn close(&mut self, mut entry: Entry) -> kube::Result<Next> {
        entry.ended = Some(Timestamp::now());
        self.standings.remove(&entry.who());
        self.write(entry).await?;
        self.progress = None;
        self.stats.set_stuck(false);
        Ok(Next::Now)
    }

    pub(super) async fn write(&mut self, entry: Entry) -> kube::Result<()> {
        // After an error nobody knows what is there.
        self.last = None;
        self.journal.write(&entry).await?;
        self.last = Some(Some(entry));
        Ok(())
    }
}
