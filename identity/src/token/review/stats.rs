//! What the API server was asked, and how long it took.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds of the buckets, in seconds. An idle API server takes a few
/// milliseconds; the deadline is 10 s.
const BOUNDS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Counts of reviews, written by [`TokenReview`](crate::TokenReview) and read by
/// anyone.
#[derive(Debug, Default)]
pub struct ReviewStats {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
    failures: AtomicU64,
}

/// How long reviews took.
#[derive(Clone, Debug, PartialEq)]
pub struct Durations {
    /// All of them together, in seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// Upper bounds in seconds, the last of them infinite, each with how many
    /// reviews are in its bucket and in none before.
    pub buckets: Vec<(f64, u64)>,
}

impl ReviewStats {
    /// How long those took that were answered, whatever the answer.
    pub fn durations(&self) -> Durations {
        let bounds = BOUNDS.into_iter().chain([f64::MAX]);
        let counts = self.buckets.iter().map(|count| count.load(Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        Durations {
            sum: Duration::from_micros(self.micros.load(Relaxed)).as_secs_f64(),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }

    /// How often there was no answer: an error of the API server, no connection,
    /// or no time left.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    pub(super) fn reviewed(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound);
        self.buckets[bucket.unwrap_or(BOUNDS.len())].fetch_add(1, Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        let stats = ReviewStats::default();
        for millis in [0, 5, 6, 10_000, 10_001] {
            stats.reviewed(Duration::from_millis(millis));
        }
        let durations = stats.durations();
        assert_eq!(durations.count, 5);
        assert!((durations.sum - 20.012).abs() < 1e-9);
        let filled: Vec<_> = durations
            .buckets
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(filled, [(0.005, 2), (0.01, 1), (10.0, 1), (f64::MAX, 1)]);
    }
}
