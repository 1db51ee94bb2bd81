use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// How long things took, counted by anyone without a lock.
#[derive(Debug)]
pub struct Histogram {
    /// Upper bounds of the buckets in seconds, growing; one more has none.
    bounds: &'static [f64],
    buckets: Box<[AtomicU64]>,
    micros: AtomicU64,
}

/// What a [`Histogram`] holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// All durations together, in seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
    /// Upper bounds in seconds, the last of them infinite, each with how many
    /// durations are in its bucket and in none before.
    pub buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// An empty one with these upper bounds.
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            micros: AtomicU64::new(0),
        }
    }

    /// Counts one that took so long.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.iter().position(|bound| seconds <= *bound);
        self.buckets[bucket.unwrap_or(self.bounds.len())].fetch_add(1, Relaxed);
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// What was counted.
    pub fn read(&self) -> Distribution {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|count| count.load(Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        Distribution {
            sum: Duration::from_micros(self.micros.load(Relaxed)).as_secs_f64(),
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&[0.005, 0.01, 10.0]);
        for millis in [0, 5, 6, 10_000, 10_001] {
            histogram.observe(Duration::from_millis(millis));
        }
        let read = histogram.read();
        assert_eq!(read.count, 5);
        assert!((read.sum - 20.012).abs() < 1e-9);
        assert_eq!(
            read.buckets,
            [(0.005, 2), (0.01, 1), (10.0, 1), (f64::INFINITY, 1)]
        );
    }
}
