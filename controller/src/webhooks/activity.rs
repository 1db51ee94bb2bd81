//! Whether a connection is of use.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// How long a client may take until its first request has come.
const FIRST: Duration = Duration::from_secs(10);
/// How long it may be silent after that. API servers keep a few connections, and
/// open another when one is gone.
const IDLE: Duration = Duration::from_secs(300);

/// What is asked on a connection.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    /// Requests that are not answered yet.
    under_way: usize,
    /// When there will have been none for too long.
    deadline: Instant,
}

/// A request that is not answered yet.
pub(super) struct UnderWay(Activity);

impl Activity {
    /// Of a connection that has just begun.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            under_way: 0,
            deadline: Instant::now() + FIRST,
        })))
    }

    pub(super) fn begin(&self) -> UnderWay {
        self.state().under_way += 1;
        UnderWay(self.clone())
    }

    /// Waits until nothing was asked for too long.
    pub(super) async fn ceased(&self) {
        loop {
            let now = Instant::now();
            let deadline = {
                let state = self.state();
                match state.under_way {
                    0 => state.deadline,
                    _ => now + FIRST,
                }
            };
            if deadline <= now {
                return;
            }
            sleep_until(deadline).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        state.deadline = Instant::now() + IDLE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_given_up_when_nothing_is_asked_and_not_before() {
        let start = Instant::now();
        Activity::new().ceased().await;
        assert_eq!(start.elapsed().as_secs(), FIRST.as_secs());

        let start = Instant::now();
        let activity = Activity::new();
        let asked = activity.begin();
        let answered = Duration::from_secs(25);
        let answer = async {
            tokio::time::sleep(answered).await;
            drop(asked);
        };
        tokio::join!(activity.ceased(), answer);
        let silent = start.elapsed() - answered;
        assert!(silent >= IDLE && silent < IDLE + FIRST, "{silent:?}");
    }
}
