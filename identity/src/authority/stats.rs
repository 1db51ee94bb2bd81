//! What an authority has done.

use super::Reason;
use ferrule_cluster::{Distribution, Histogram};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Upper bounds of the buckets, in seconds: a signature takes a tenth of a
/// millisecond, an API server some milliseconds, and its deadline is 10 s.
const BOUNDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 10.0,
];

/// What a certificate takes, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The signing request is read, and the issuer looked at.
    Request,
    /// It is found out whose the token is.
    Token,
    /// The certificate is written and signed.
    Sign,
}

impl Step {
    /// Every one.
    pub const ALL: [Step; 3] = [Step::Request, Step::Token, Step::Sign];

    /// As a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Step::Request => "request",
            Step::Token => "token",
            Step::Sign => "sign",
        }
    }
}

/// How often a failure that is not the client's is said at most, in milliseconds.
const SAY_EVERY: u64 = 10_000;

/// Counts, written by [`CertificateAuthority`](crate::CertificateAuthority) and
/// read by anyone.
#[derive(Debug)]
pub struct AuthorityStats {
    issued: AtomicU64,
    last_issued: AtomicU64,
    refused: [Refused; Reason::ALL.len()],
    steps: [Histogram; Step::ALL.len()],
}

impl Default for AuthorityStats {
    fn default() -> Self {
        Self {
            issued: AtomicU64::default(),
            last_issued: AtomicU64::default(),
            refused: Default::default(),
            steps: Step::ALL.map(|_| Histogram::new(BOUNDS)),
        }
    }
}

#[derive(Debug, Default)]
struct Refused {
    count: AtomicU64,
    /// Up to which count it has been said.
    said: AtomicU64,
    said_at: AtomicU64,
}

impl AuthorityStats {
    /// How many certificates were issued, those of this process included.
    pub fn issued(&self) -> u64 {
        self.issued.load(Relaxed)
    }

    /// When the last one was, in milliseconds since 1970; 0 if there was none.
    pub fn last_issued_millis(&self) -> u64 {
        self.last_issued.load(Relaxed)
    }

    /// How many requests were refused for one reason.
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused[reason as usize].count.load(Relaxed)
    }

    /// How long a step took, whatever came of it.
    pub fn step(&self, step: Step) -> Distribution {
        self.steps[step as usize].read()
    }

    pub(super) fn took(&self, step: Step, time: Duration) {
        self.steps[step as usize].observe(time);
    }

    pub(super) fn issued_one(&self) {
        self.issued.fetch_add(1, Relaxed);
        self.last_issued.store(now_millis(), Relaxed);
    }

    pub(super) fn refused_one(&self, reason: Reason) {
        self.refused[reason as usize].count.fetch_add(1, Relaxed);
    }

    /// Whether it is time to say a refusal that was just counted: how many were
    /// not said since the last that was.
    pub(super) fn may_say(&self, reason: Reason) -> Option<u64> {
        self.may_say_at(reason, now_millis())
    }

    fn may_say_at(&self, reason: Reason, now: u64) -> Option<u64> {
        let refused = &self.refused[reason as usize];
        let said_at = refused.said_at.load(Relaxed);
        // A clock that was put back must not silence it.
        if now.abs_diff(said_at) < SAY_EVERY {
            return None;
        }
        // Of several that come at once, one says it.
        let said_at = refused
            .said_at
            .compare_exchange(said_at, now, Relaxed, Relaxed);
        said_at.ok()?;
        let count = refused.count.load(Relaxed);
        let said = refused.said.swap(count, Relaxed);
        Some(count.saturating_sub(said).saturating_sub(1))
    }
}

fn now_millis() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_said_once_in_ten_seconds_with_how_many_were_not() {
        let stats = AuthorityStats::default();
        let start = now_millis();
        let mut said = Vec::new();
        for second in 0..25 {
            stats.refused_one(Reason::IssuerInvalid);
            if let Some(unsaid) = stats.may_say_at(Reason::IssuerInvalid, start + second * 1000) {
                said.push((second, unsaid));
            }
        }
        assert_eq!(said, [(0, 0), (10, 9), (20, 9)]);
        assert_eq!(stats.refused(Reason::IssuerInvalid), 25);
        assert_eq!(
            stats.may_say_at(Reason::Signing, start),
            Some(0),
            "each by itself"
        );
    }

    #[test]
    fn a_clock_that_is_put_back_silences_nothing() {
        let stats = AuthorityStats::default();
        let start = now_millis();
        for now in [start, start - 3_600_000] {
            stats.refused_one(Reason::Signing);
            assert_eq!(stats.may_say_at(Reason::Signing, now), Some(0));
        }
    }
}
