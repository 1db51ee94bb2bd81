use super::{
    Stats,
    object::{self, Objects},
    schedule::{Outcome, Schedule},
};
use crate::lease::Leadership;
use ferrule_cluster::trace::{Fact, Span};
use ferrule_policy::{Fresh, Outbox, Status, StatusKey, explain};
use jiff::Timestamp;
use kube::Client;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

/// How many objects are read and written at once.
const AT_ONCE: usize = 16;
/// How often an object is read again at once because somebody else wrote it.
const CONFLICTS: usize = 5;

/// Writes statuses while it leads.
pub(crate) struct Writer {
    outbox: Arc<Outbox>,
    leadership: Leadership,
    pen: Arc<Pen>,
    /// Between two objects.
    pause: Duration,
}

/// What one write needs.
struct Pen {
    client: Client,
    objects: Objects,
    outbox: Arc<Outbox>,
    leadership: Leadership,
    /// For each request.
    timeout: Duration,
    stats: Arc<Stats>,
}

/// Why nothing could be said of an object.
enum Failure {
    /// The API server has said so.
    Refused(kube::Error),
    /// It has not answered.
    Late,
    /// Somebody else writes it all the time.
    Contended,
}

impl Writer {
    pub(crate) fn new(
        client: Client,
        outbox: Arc<Outbox>,
        leadership: Leadership,
        timeout: Duration,
        stats: Arc<Stats>,
    ) -> Self {
        let pen = Pen {
            client,
            objects: Objects::default(),
            outbox: outbox.clone(),
            leadership: leadership.clone(),
            timeout,
            stats,
        };
        Self {
            outbox,
            leadership,
            pen: Arc::new(pen),
            pause: Duration::ZERO,
        }
    }

    /// The same, which waits so long between two objects.
    #[must_use]
    pub(crate) fn pausing(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// Writes what is to be written whenever this replica leads, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut leadership = self.leadership.clone();
        let lead = async {
            loop {
                let mut schedule = Schedule::default();
                leadership.term(self.write(&mut schedule)).await;
                self.pen.stats.dropped_all(schedule.len());
            }
        };
        stop.run_until_cancelled(lead).await;
    }

    /// Writes all that waits and then what comes. Never ends.
    async fn write(&self, schedule: &mut Schedule) {
        let mut writes = JoinSet::new();
        let mut free = Instant::now();
        // The other replicas and an earlier leadership have told nobody.
        self.outbox.take_fresh();
        for key in self.outbox.keys() {
            schedule.put(key, Instant::now());
        }
        loop {
            let now = Instant::now();
            while writes.len() < AT_ONCE
                && free <= now
                && let Some(key) = schedule.next(now)
            {
                if self.outbox.get(&key).is_none() {
                    schedule.done(key, Outcome::Settled, now);
                    continue;
                }
                if !self.pause.is_zero() {
                    free = now + self.pause;
                }
                let pen = self.pen.clone();
                writes.spawn(async move {
                    let span = Span::root("status patch", || {
                        vec![Fact::new("k8s.object", key.to_string())]
                    });
                    let result = span.during(pen.write(&key)).await;
                    (key, result)
                });
            }
            let next = schedule.next_at().filter(|_| writes.len() < AT_ONCE);
            let next = next.map(|at| at.max(free));
            tokio::select! {
                () = self.outbox.changed() => {
                    let now = Instant::now();
                    for Fresh { key, is_edited } in self.outbox.take_fresh() {
                        if is_edited {
                            schedule.put_edited(key, now);
                        } else {
                            schedule.put(key, now);
                        }
                    }
                }
                Some(written) = writes.join_next() => match written {
                    Ok((key, result)) => done(schedule, key, result),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                () = sleep_until(next.unwrap_or(now)), if next.is_some() => {}
            }
        }
    }
}

/// Notes what became of an object, and says it where somebody would look for it.
fn done(schedule: &mut Schedule, key: StatusKey, result: Result<Outcome, Failure>) {
    let now = Instant::now();
    let kind = key.kind;
    match result {
        Ok(outcome) => {
            if schedule.done(key, outcome, now) {
                tracing::info!(%kind, "statuses can be written again");
            }
        }
        Err(failure) => {
            let (reason, outcome) = match &failure {
                Failure::Refused(error) if object::is_about_object(error) => {
                    (error.to_string(), Outcome::Refused)
                }
                Failure::Refused(error) => (error.to_string(), Outcome::Unavailable),
                Failure::Late => (
                    "the API server does not answer in time".to_owned(),
                    Outcome::Unavailable,
                ),
                Failure::Contended => (
                    "somebody else writes it all the time".to_owned(),
                    Outcome::Refused,
                ),
            };
            if outcome == Outcome::Refused {
                tracing::warn!(object = %key, "its status cannot be written: {reason}");
                schedule.done(key, outcome, now);
            } else if schedule.done(key, outcome, now) {
                tracing::warn!(%kind, "statuses cannot be written: {reason}");
            }
        }
    }
}

impl Pen {
    /// Makes an object say what it should.
    async fn write(&self, key: &StatusKey) -> Result<Outcome, Failure> {
        self.stats.begin();
        for _ in 0..CONFLICTS {
            let found = self.answered(self.objects.get(&self.client, key)).await?;
            // By now it may be something else.
            let (Some(found), Some(status)) = (found, self.outbox.get(key)) else {
                return Ok(Outcome::Settled);
            };
            let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
            let Some(document) = status.document(found.status(), &now) else {
                self.stats.found_unchanged();
                return Ok(Outcome::Unchanged);
            };
            if !self.leadership.is_leader() {
                // The writer is about to hear of it.
                return Ok(Outcome::Unchanged);
            }
            let begun = Instant::now();
            let patched = self.answered(found.patch(&document)).await;
            match patched {
                Ok(()) => {
                    self.stats.took(begun.elapsed());
                    self.stats.patched();
                    tell(key, &status);
                    return Ok(Outcome::Written);
                }
                Err(Failure::Refused(error)) if object::is_conflict(&error) => {
                    self.stats.found_conflict();
                }
                Err(Failure::Refused(error)) if object::is_gone(&error) => {
                    return Ok(Outcome::Settled);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::Contended)
    }

    async fn answered<T>(
        &self,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Failure> {
        match timeout(self.timeout, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if !object::is_conflict(&error) && !object::is_gone(&error) {
                    self.stats.failed();
                }
                Err(Failure::Refused(error))
            }
            Err(_) => {
                self.stats.timed_out();
                Err(Failure::Late)
            }
        }
    }
}

/// Says plainly what does not take effect, and why.
fn tell(key: &StatusKey, status: &Status) {
    let mut is_well = true;
    for (parent, condition) in status.conditions() {
        if *condition.status == *"True" {
            continue;
        }
        is_well = false;
        let (kind, reason, why) = (&*condition.kind, &*condition.reason, explain(condition));
        match parent {
            Some(parent) => {
                let parent = &parent.parent;
                tracing::info!(object = %key, %parent, reason, "not {kind}: {why}");
            }
            None => tracing::info!(object = %key, reason, "not {kind}: {why}"),
        }
    }
    if is_well {
        tracing::debug!(object = %key, "accepted");
    }
}
