//! When an object's turn comes.

use ferrule_cluster::object::Kind;
use ferrule_policy::StatusKey;
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use tokio::time::Instant;

/// The kinds that have a status, those first that others depend on: a route is
/// accepted by an EgressNetwork once that is.
const ORDER: [Kind; 7] = [
    Kind::EgressNetwork,
    Kind::RateLimit,
    Kind::GrpcRoute,
    Kind::HttpRoute,
    Kind::PolicyHttpRoute,
    Kind::TlsRoute,
    Kind::TcpRoute,
];
/// After an error it is tried again so soon, then after twice as long each time,
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// at most (policy.md section 7.7: everything is looked at every 10 s). Also when an
/// object is looked at again of which the watch has not brought what was written.
const LAST_RETRY: Duration = Duration::from_secs(10);
/// An object that says something and was just edited is left alone for so long: who
/// reads objects and writes them back, naming the version, may do it again, and would
/// find that the status has made another version of it meanwhile.
const EDITING: Duration = Duration::from_millis(100);
/// An object may be written so often in a row; then it waits between writes as it
/// does after errors. Somebody who always writes something else over it does not
/// keep the API server busy.
const WRITES: u32 = 5;

/// What became of an object whose turn it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It says what it should, or is gone.
    Settled,
    /// It was written.
    Written,
    /// It said what it should already, though the watch has not brought that.
    Unchanged,
    /// The API server does not take what is to be said of it.
    Refused,
    /// Its kind cannot be read or written now.
    Unavailable,
}

/// The objects that wait for their turn, are having it, or had it a moment ago.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    due: [BTreeSet<(Instant, StatusKey)>; ORDER.len()],
    turns: HashMap<StatusKey, Turn>,
    paces: [Pace; ORDER.len()],
    swept: Option<Instant>,
}

/// Where an object stands.
#[derive(Debug)]
struct Turn {
    place: Place,
    /// Not sooner than this.
    not_before: Instant,
    /// Errors in a row.
    failures: u32,
    /// Writes in a row.
    writes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Waiting until then.
    Due(Instant),
    /// Having its turn; `again` from then on if there is something else to be said by
    /// now.
    Taken { again: Option<Instant> },
    /// Nothing is to be said of it.
    Idle,
}

/// Whether a kind can be written.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    failures: u32,
    until: Option<Instant>,
}

impl Schedule {
    /// Something is to be said of an object, or something else.
    pub(super) fn put(&mut self, key: StatusKey, now: Instant) {
        self.put_at(key, now, now);
    }

    /// Likewise of one that somebody has just edited.
    pub(super) fn put_edited(&mut self, key: StatusKey, now: Instant) {
        self.put_at(key, now + EDITING, now);
    }

    fn put_at(&mut self, key: StatusKey, at: Instant, now: Instant) {
        let turn = self.turns.entry(key.clone()).or_insert(Turn {
            place: Place::Idle,
            not_before: now,
            failures: 0,
            writes: 0,
        });
        let wanted = at.max(turn.not_before);
        match &mut turn.place {
            Place::Taken { again } => *again = Some(again.map_or(wanted, |at| at.min(wanted))),
            // What waits is not put off.
            Place::Due(at) => {
                let at = wanted.min(*at);
                self.wait(key, at);
            }
            Place::Idle => self.wait(key, wanted),
        }
    }

    /// Whose turn it is now; [`done`](Self::done) is to be told what became of it.
    pub(super) fn next(&mut self, now: Instant) -> Option<StatusKey> {
        self.sweep(now);
        let kinds = 0..ORDER.len();
        let mut ready = kinds.filter(|kind| self.paces[*kind].until.is_none_or(|at| at <= now));
        let kind = ready.find(|kind| {
            let first = self.due[*kind].first();
            first.is_some_and(|(at, _)| *at <= now)
        })?;
        let (_, key) = self.due[kind].pop_first()?;
        if let Some(turn) = self.turns.get_mut(&key) {
            turn.place = Place::Taken { again: None };
        }
        Some(key)
    }

    /// When it is somebody's turn again, if it is.
    pub(super) fn next_at(&self) -> Option<Instant> {
        let firsts = self.due.iter().zip(&self.paces).filter_map(|(due, pace)| {
            let (at, _) = due.first()?;
            Some(pace.until.map_or(*at, |until| until.max(*at)))
        });
        firsts.min()
    }

    /// How many wait for their turn, or are having it.
    pub(super) fn len(&self) -> usize {
        let turns = self.turns.values();
        turns.filter(|turn| turn.place != Place::Idle).count()
    }

    /// An object has had its turn. True if it is the first failure of its kind, or
    /// the first success after some.
    pub(super) fn done(&mut self, key: StatusKey, outcome: Outcome, now: Instant) -> bool {
        let is_news = self.paces[place_of(key.kind)].note(outcome, now);
        let Some(turn) = self.turns.get_mut(&key) else {
            return is_news;
        };
        let again = match turn.place {
            Place::Taken { again } => again,
            Place::Due(_) | Place::Idle => None,
        };
        let look_at = match outcome {
            Outcome::Settled => {
                turn.failures = 0;
                None
            }
            Outcome::Written => {
                turn.failures = 0;
                turn.writes += 1;
                let pause = turn.writes.checked_sub(WRITES).map(retry_after);
                turn.not_before = now + pause.unwrap_or_default();
                Some(now + LAST_RETRY)
            }
            Outcome::Unchanged => {
                turn.failures = 0;
                Some(now + LAST_RETRY)
            }
            Outcome::Refused => {
                turn.not_before = now + retry_after(turn.failures);
                turn.failures += 1;
                Some(turn.not_before)
            }
            // Its kind waits.
            Outcome::Unavailable => Some(now),
        };
        let not_before = turn.not_before;
        turn.place = Place::Idle;
        match (again, look_at) {
            (Some(at), _) => self.wait(key, at.max(not_before)),
            (None, Some(at)) => self.wait(key, at),
            (None, None) => {}
        }
        is_news
    }

    fn wait(&mut self, key: StatusKey, at: Instant) {
        let due = &mut self.due[place_of(key.kind)];
        if let Some(turn) = self.turns.get_mut(&key) {
            if let Place::Due(before) = turn.place {
                due.remove(&(before, key.clone()));
            }
            turn.place = Place::Due(at);
        }
        due.insert((at, key));
    }

    /// Forgets what had its turn a while ago.
    fn sweep(&mut self, now: Instant) {
        let swept = *self.swept.get_or_insert(now);
        if now < swept + LAST_RETRY {
            return;
        }
        self.swept = Some(now);
        self.turns
            .retain(|_, turn| turn.place != Place::Idle || turn.not_before + LAST_RETRY > now);
        for turn in self.turns.values_mut() {
            if turn.not_before + LAST_RETRY <= now {
                turn.writes = 0;
            }
        }
    }
}

impl Pace {
    /// Whether that is news.
    fn note(&mut self, outcome: Outcome, now: Instant) -> bool {
        match outcome {
            // Of those that began together one counts.
            Outcome::Unavailable if self.until.is_some_and(|until| now < until) => false,
            Outcome::Unavailable => {
                self.until = Some(now + retry_after(self.failures));
                self.failures += 1;
                self.failures == 1
            }
            Outcome::Written | Outcome::Unchanged | Outcome::Refused => {
                let failures = std::mem::take(&mut self.failures);
                self.until = None;
                failures > 0
            }
            // Nobody was asked.
            Outcome::Settled => false,
        }
    }
}

fn place_of(kind: Kind) -> usize {
    let place = ORDER.iter().position(|ordered| *ordered == kind);
    place.expect("no other kind has a status")
}

/// How long to wait after so many errors before this one.
fn retry_after(failures: u32) -> Duration {
    let factor = 2_u32.checked_pow(failures).unwrap_or(u32::MAX);
    FIRST_RETRY.saturating_mul(factor).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_cluster::object::ObjectKey;

    fn key(kind: Kind, name: &str) -> StatusKey {
        let key = ObjectKey::new("ns", name);
        StatusKey { kind, key }
    }

    fn route(name: &str) -> StatusKey {
        key(Kind::HttpRoute, name)
    }

    /// When the next turn comes, from `now`, for what it is due.
    fn wait(schedule: &Schedule, now: Instant) -> Option<Duration> {
        schedule.next_at().map(|at| at - now)
    }

    #[test]
    fn egress_networks_come_before_the_routes_that_depend_on_them() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.put(route("a"), now);
        schedule.put(key(Kind::EgressNetwork, "z"), now);
        schedule.put(route("a"), now);
        assert_eq!(schedule.next(now), Some(key(Kind::EgressNetwork, "z")));
        assert_eq!(schedule.next(now), Some(route("a")));
        assert_eq!(schedule.next(now), None);
        assert_eq!(schedule.len(), 2);
    }

    #[test]
    fn what_changes_during_its_turn_has_another_one_at_once() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.put(route("a"), now);
        schedule.next(now);
        schedule.put(route("a"), now);
        assert_eq!(schedule.next(now), None, "it is having its turn");
        schedule.done(route("a"), Outcome::Written, now);
        assert_eq!(schedule.next(now), Some(route("a")));
        schedule.done(route("a"), Outcome::Settled, now);
        assert_eq!((schedule.next_at(), schedule.len()), (None, 0));
    }

    #[test]
    fn what_was_just_edited_has_its_turn_a_moment_later() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.put_edited(route("a"), now);
        assert_eq!(wait(&schedule, now), Some(EDITING));
        // However often, and sooner for another reason.
        schedule.put_edited(route("a"), now + EDITING / 2);
        assert_eq!(wait(&schedule, now), Some(EDITING));
        schedule.put(route("a"), now);
        assert_eq!(schedule.next(now), Some(route("a")));
        schedule.put_edited(route("a"), now);
        schedule.done(route("a"), Outcome::Written, now);
        assert_eq!(wait(&schedule, now), Some(EDITING));
    }

    #[test]
    fn what_was_written_is_looked_at_again_where_the_watch_does_not_bring_it() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.put(route("a"), now);
        schedule.next(now);
        schedule.done(route("a"), Outcome::Written, now);
        assert_eq!(wait(&schedule, now), Some(LAST_RETRY));
        assert_eq!(schedule.next(now), None);
        assert_eq!(schedule.next(now + LAST_RETRY), Some(route("a")));
    }

    #[test]
    fn an_object_that_is_refused_is_tried_ever_later_and_others_meanwhile() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        schedule.put(route("a"), now);
        for wanted in [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            assert_eq!(schedule.next(now), Some(route("a")));
            schedule.done(route("a"), Outcome::Refused, now);
            assert_eq!(wait(&schedule, now), Some(Duration::from_millis(wanted)));
            schedule.put(route("b"), now);
            assert_eq!(schedule.next(now), Some(route("b")));
            schedule.done(route("b"), Outcome::Settled, now);
            // Something else to be said of it does not make it sooner.
            schedule.put(route("a"), now);
            assert_eq!(schedule.next(now), None);
            now += Duration::from_millis(wanted);
        }
    }

    #[test]
    fn a_kind_that_cannot_be_written_waits_as_one_and_holds_up_no_other() {
        let (mut schedule, mut now) = (Schedule::default(), Instant::now());
        for name in ["a", "b", "c"] {
            schedule.put(route(name), now);
        }
        let (a, b) = (schedule.next(now), schedule.next(now));
        let [a, b] = [a, b].map(|key| key.expect("due"));
        assert!(schedule.done(a, Outcome::Unavailable, now), "the first");
        assert!(!schedule.done(b, Outcome::Unavailable, now));
        assert_eq!(schedule.next(now), None);
        schedule.put(key(Kind::RateLimit, "l"), now);
        assert_eq!(schedule.next(now), Some(key(Kind::RateLimit, "l")));
        assert_eq!(wait(&schedule, now), Some(FIRST_RETRY));
        now += FIRST_RETRY;
        let again = schedule.next(now).expect("due");
        assert!(!schedule.done(again, Outcome::Unavailable, now));
        assert_eq!(wait(&schedule, now), Some(FIRST_RETRY * 2));
        now += FIRST_RETRY * 2;
        let again = schedule.next(now).expect("due");
        assert!(schedule.done(again, Outcome::Written, now), "it is over");
        assert!(schedule.next(now).is_some());
    }

    #[test]
    fn one_who_writes_over_it_does_not_keep_the_writer_busy() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.put(route("a"), now);
        let mut writes = 0;
        while let Some(key) = schedule.next(now) {
            writes += 1;
            schedule.done(key.clone(), Outcome::Written, now);
            schedule.put(key, now);
        }
        assert_eq!(writes, WRITES);
        assert_eq!(wait(&schedule, now), Some(FIRST_RETRY));
        // Left alone for a while, it is written at once again.
        let later = now + FIRST_RETRY;
        let key = schedule.next(later).expect("due");
        schedule.done(key, Outcome::Settled, later);
        assert_eq!(schedule.next(later + LAST_RETRY * 2), None);
        assert!(schedule.turns.is_empty(), "nothing is kept of it");
    }
}
