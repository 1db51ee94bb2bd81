//! What the API server was asked, and how long it took.

use ferrule_cluster::{Distribution, Histogram};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the buckets, in seconds. An idle API server takes a few
/// milliseconds; the deadline is 10 s.
const BOUNDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Counts of reviews, written by [`TokenReview`](crate::TokenReview) and read by
/// anyone.
#[derive(Debug)]
pub struct ReviewStats {
    durations: Histogram,
    failures: AtomicU64,
}

impl Default for ReviewStats {
    fn default() -> Self {
        Self {
            durations: Histogram::new(BOUNDS),
            failures: AtomicU64::new(0),
        }
    }
}

impl ReviewStats {
    /// How long those took that were answered, whatever the answer.
    pub fn durations(&self) -> Distribution {
        self.durations.read()
    }

    /// How often there was no answer: an error of the API server, no connection,
    /// or no time left.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    pub(super) fn reviewed(&self, took: Duration) {
        self.durations.observe(took);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }
}
