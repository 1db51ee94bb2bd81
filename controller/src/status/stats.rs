use ferrule_cluster::{Distribution, Histogram};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper bounds for how long a patch takes, in seconds: up to its usual timeout.
const DURATION: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// What the status writer did.
#[derive(Debug)]
pub(crate) struct Stats {
    patches: AtomicU64,
    unchanged: AtomicU64,
    conflicts: AtomicU64,
    errors: AtomicU64,
    timeouts: AtomicU64,
    begun: AtomicU64,
    dropped: AtomicU64,
    durations: Histogram,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            patches: AtomicU64::default(),
            unchanged: AtomicU64::default(),
            conflicts: AtomicU64::default(),
            errors: AtomicU64::default(),
            timeouts: AtomicU64::default(),
            begun: AtomicU64::default(),
            dropped: AtomicU64::default(),
            durations: Histogram::new(DURATION),
        }
    }
}

/// A number for each thing that is counted.
macro_rules! counters {
    ($($(#[$doc:meta])* $read:ident, $count:ident: $field:ident;)+) => {
        impl Stats {$(
            $(#[$doc])*
            pub(crate) fn $read(&self) -> u64 {
                self.$field.load(Relaxed)
            }

            pub(super) fn $count(&self) {
                self.$field.fetch_add(1, Relaxed);
            }
        )+}
    };
}

counters! {
    /// Statuses that were written.
    patches, patched: patches;
    /// Objects that were read and already said what they should.
    unchanged, found_unchanged: unchanged;
    /// Patches of an object that somebody else wrote meanwhile.
    conflicts, found_conflict: conflicts;
    /// Requests that the API server refused, or that did not reach it.
    errors, failed: errors;
    /// Requests that were not answered in time.
    timeouts, timed_out: timeouts;
    /// Objects whose turn came.
    begun, begin: begun;
}

impl Stats {
    /// Objects that waited when a leadership ended; the next leader writes them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// How long the patches took that were answered.
    pub(crate) fn durations(&self) -> Distribution {
        self.durations.read()
    }

    pub(super) fn took(&self, duration: Duration) {
        self.durations.observe(duration);
    }

    pub(super) fn dropped_all(&self, count: usize) {
        self.dropped.fetch_add(count as u64, Relaxed);
    }
}
