//! Reviews under way: equal tokens that come together are reviewed once.

use crate::token::{ServiceAccount, TokenError};
use aws_lc_rs::digest::{SHA256, digest};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

type Outcome = Result<ServiceAccount, TokenError>;
type Flight = BoxFuture<'static, Outcome>;

/// The reviews under way by the SHA-256 of their token. There is an entry only
/// while somebody waits for it.
#[derive(Clone, Default)]
pub(super) struct Flights(Arc<Mutex<HashMap<[u8; 32], WeakShared<Flight>>>>);

impl Flights {
    /// Joins the review of `token` that is under way, or begins it.
    pub(super) fn join<F>(&self, token: &str, begin: impl FnOnce(String) -> F) -> Shared<Flight>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let key = key(token);
        let mut flights = self.lock();
        if let Some(flight) = flights.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        let review = begin(token.to_owned());
        let landing = Landing {
            flights: self.clone(),
            key,
        };
        let flight = async move {
            let _landing = landing;
            review.await
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        flight
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], WeakShared<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the entry away when the review is done, or when nobody waits any more.
struct Landing {
    flights: Flights,
    key: [u8; 32],
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.key);
    }
}

/// Tokens are not kept longer than needed, so they are not keys themselves.
fn key(token: &str) -> [u8; 32] {
    let hash = digest(&SHA256, token.as_bytes());
    hash.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
    use tokio::sync::Notify;

    fn web() -> Outcome {
        ServiceAccount::new("ns", "web")
    }

    #[tokio::test]
    async fn equal_tokens_that_come_together_are_reviewed_once() {
        let flights = Flights::default();
        let reviews = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(Notify::new());
        let join = |token| {
            let (reviews, answer) = (reviews.clone(), answer.clone());
            flights.join(token, move |_| async move {
                reviews.fetch_add(1, Relaxed);
                answer.notified().await;
                web()
            })
        };
        let waiting = tokio::spawn(futures::future::join(join("a"), join("a")));
        let other = tokio::spawn(join("b"));
        tokio::task::yield_now().await;
        assert_eq!(reviews.load(Relaxed), 2);
        answer.notify_waiters();
        assert_eq!(waiting.await.unwrap(), (web(), web()));
        assert_eq!(other.await.unwrap(), web());
        assert!(flights.lock().is_empty(), "nothing is remembered");

        let later = tokio::spawn(join("a"));
        tokio::task::yield_now().await;
        answer.notify_waiters();
        assert_eq!(later.await.unwrap(), web());
        assert_eq!(reviews.load(Relaxed), 3);
    }

    #[tokio::test]
    async fn a_review_that_nobody_waits_for_is_given_up() {
        let flights = Flights::default();
        let flight = flights.join("a", |_| std::future::pending());
        assert!(flight.clone().now_or_never().is_none());
        drop(flight);
        assert!(flights.lock().is_empty());
        let again = flights.join("a", |_| async { web() });
        assert_eq!(again.await, web());
    }
}
