use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};
use tokio::time::Instant;

/// How long to wait before trying again.
///
/// Shorter than what client-go does (0.8 s to 30 s): each process has twenty
/// watches, not hundreds, and what it serves gets older while it waits.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// When the last wait was to end.
    waited: Option<Instant>,
}

const FIRST: Duration = Duration::from_millis(200);
/// The longest wait where nothing else says that it is worth trying again.
pub(super) const LONGEST: Duration = Duration::from_secs(5);
/// A failure so long after the wait for the one before has nothing to do with it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

impl Backoff {
    /// Counts a failure; the wait before the next try, with jitter so that
    /// replicas and kinds do not come back together.
    pub(super) fn after_failure(&mut self, longest: Duration) -> Duration {
        let now = Instant::now();
        if self.waited.is_some_and(|end| now > end + FORGOTTEN_AFTER) {
            self.reset();
        }
        let longest = FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(longest);
        self.failures = self.failures.saturating_add(1);
        let wait = jitter(longest);
        self.waited = Some(now + wait);
        wait
    }

    /// What was tried has succeeded.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Between half of `longest` and all of it.
pub(super) fn jitter(longest: Duration) -> Duration {
    // A fresh hasher's keys are the standard library's only source of chance.
    let chance = RandomState::new().hash_one(()) >> 32;
    let half = longest / 2;
    half + half.mul_f64(chance as f64 / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_double_up_to_five_seconds_and_start_over_after_success() {
        let mut backoff = Backoff::default();
        for longest in [200, 400, 800, 1600, 3200, 5000, 5000] {
            let longest = Duration::from_millis(longest);
            let wait = backoff.after_failure(LONGEST);
            assert!(
                wait >= longest / 2 && wait <= longest,
                "{wait:?} {longest:?}"
            );
            tokio::time::sleep(wait).await;
        }
        backoff.reset();
        assert!(backoff.after_failure(LONGEST) <= FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn old_failures_are_forgotten() {
        let mut backoff = Backoff::default();
        for _ in 0..9 {
            backoff.after_failure(LONGEST);
        }
        tokio::time::sleep(FORGOTTEN_AFTER * 2).await;
        assert!(backoff.after_failure(LONGEST) <= FIRST);
    }
}
