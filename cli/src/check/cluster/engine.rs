//! How checks are run: side by side, each after those that it depends on, and again
//! until what is retried is well or nobody wants to wait any longer.

use super::{
    look::Look,
    row::{Problem, Row, Severity},
    waiting,
};
use crate::progress::{Progress, awaited};
use futures::future::join_all;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

/// The most that one attempt may take (operations.md 12.1).
const ATTEMPT: Duration = Duration::from_secs(30);
/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_secs(5);

/// What became of a check.
pub(super) struct Done {
    pub(super) row: &'static Row,
    pub(super) outcome: Outcome,
    /// Of the last attempt.
    pub(super) took: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    /// It is about something that is not there.
    Skipped(String),
    /// It makes no sense without another, by id, that failed.
    Stopped(&'static str),
    /// It is not well; whether that is an error.
    Found {
        is_error: bool,
        cause: String,
        remedy: String,
    },
}

impl Done {
    /// Whether what depends on it makes no sense.
    fn stops(&self) -> bool {
        match &self.outcome {
            Outcome::Found { is_error, .. } => *is_error && self.row.severity == Severity::Fatal,
            Outcome::Stopped(_) => true,
            Outcome::Success | Outcome::Skipped(_) => false,
        }
    }
}

/// What a round does, where it takes long.
const ASKING: &str = "asking the API server";
/// What is known of each check, by id.
type Known = BTreeMap<&'static str, Done>;

/// Runs checks until all are decided. `look` makes the eyes of a round: what was read
/// in one is not used in the next.
pub(super) async fn run(
    rows: &[&'static Row],
    look: impl Fn() -> Result<Look, String>,
    patience: Duration,
    progress: &mut Progress,
) -> Vec<Done> {
    let deadline = Instant::now() + patience;
    let mut known = Known::new();
    loop {
        let is_last = Instant::now() >= deadline;
        let again = match look() {
            Ok(look) => awaited(ASKING, round(rows, &look, &mut known, is_last)).await,
            Err(reason) => {
                without_a_client(rows, &reason, &mut known);
                Known::new()
            }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if again.is_empty() {
            progress.done();
            let all = rows.iter().filter_map(|row| known.remove(row.id));
            return all.collect();
        }
        waiting::show(progress, again.values(), left);
        sleep(left.min(PAUSE)).await;
    }
}

/// Runs what is not decided yet; what is to be retried comes back.
async fn round(rows: &[&'static Row], look: &Look, known: &mut Known, is_last: bool) -> Known {
    let mut again = Known::new();
    loop {
        let is_decided =
            |id: &&str| known.contains_key(*id) || rows.iter().all(|row| row.id != *id);
        let due = rows.iter().filter(|row| {
            let is_open = !known.contains_key(row.id) && !again.contains_key(row.id);
            is_open && row.after.iter().all(&is_decided)
        });
        let due: Vec<&'static Row> = due.copied().collect();
        if due.is_empty() {
            return again;
        }
        let attempts = due.into_iter().map(|row| {
            let stopper = row
                .after
                .iter()
                .find(|id| known.get(*id).is_some_and(Done::stops));
            attempt(row, look, stopper.copied())
        });
        for done in join_all(attempts).await {
            let is_found = matches!(done.outcome, Outcome::Found { .. });
            let to = match is_found && done.row.retried && !is_last {
                true => &mut again,
                false => &mut *known,
            };
            to.insert(done.row.id, done);
        }
    }
}

async fn attempt(row: &'static Row, look: &Look, stopper: Option<&'static str>) -> Done {
    let start = Instant::now();
    let outcome = match stopper {
        Some(id) => Outcome::Stopped(id),
        None => {
            let answer = timeout(ATTEMPT, (row.run)(look)).await;
            let late = || Problem::found(format!("there was no answer within {ATTEMPT:?}"));
            outcome(
                row,
                answer.unwrap_or_else(|_| Err(late())),
                look.namespace(),
            )
        }
    };
    Done {
        row,
        outcome,
        took: start.elapsed(),
    }
}

fn outcome(row: &Row, answer: Result<(), Problem>, namespace: &str) -> Outcome {
    let is_error = row.severity != Severity::Warning;
    match answer {
        Ok(()) => Outcome::Success,
        Err(Problem::NotApplicable(reason)) => Outcome::Skipped(reason),
        Err(Problem::Found(cause)) => Outcome::Found {
            is_error,
            cause,
            remedy: row.remedy.replace("<ns>", namespace),
        },
        Err(Problem::Forbidden(access)) => Outcome::Found {
            is_error: false,
            cause: format!("skipped: forbidden: you may not {access}"),
            remedy: format!("look as somebody who may {access}"),
        },
    }
}

/// Without one nothing can be looked at.
fn without_a_client(rows: &[&'static Row], reason: &str, known: &mut Known) {
    for (number, row) in rows.iter().enumerate() {
        let outcome = match number {
            0 => outcome(row, Err(Problem::found(reason)), ""),
            _ => Outcome::Stopped(rows[0].id),
        };
        let took = Duration::ZERO;
        known.insert(row.id, Done { row, outcome, took });
    }
}
