use atomic_waker::AtomicWaker;
use slab::Slab;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

/// What the rest of the process may know of one open stream: how far it is, how
/// to wake it, and whether it is to end. One for each stream.
#[derive(Debug, Default)]
pub struct Slot {
    waker: AtomicWaker,
    position: AtomicU64,
    ended: AtomicBool,
}

impl Slot {
    /// A slot at position 0: nothing told yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Asks to be woken at the next change. Look for a change *after* this, or
    /// one may be missed.
    pub fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// The version up to which the stream has been told.
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Acquire)
    }

    /// Notes that the stream has been told everything up to `version`.
    pub fn advance(&self, version: u64) {
        self.position.store(version, Ordering::Release);
    }

    /// Whether the stream is to end because the process shuts down.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends the stream.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// The streams on one view, or all of a process.
#[derive(Debug)]
pub struct Subscribers(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    slots: Slab<Arc<Slot>>,
    /// Nobody may join any more.
    closed: bool,
    /// When the last one left.
    idle_since: Instant,
}

impl Default for Subscribers {
    fn default() -> Self {
        Self(Mutex::new(Inner {
            slots: Slab::new(),
            closed: false,
            idle_since: Instant::now(),
        }))
    }
}

impl Subscribers {
    /// Adds a stream until the returned membership is dropped; `None` once
    /// closed.
    pub fn join(self: &Arc<Self>, slot: Arc<Slot>) -> Option<Subscription> {
        let mut inner = self.lock();
        if inner.closed {
            return None;
        }
        let index = inner.slots.insert(slot);
        Some(Subscription {
            subscribers: self.clone(),
            index,
        })
    }

    /// Wakes every stream.
    pub fn wake(&self) {
        for (_, slot) in &self.lock().slots {
            slot.waker.wake();
        }
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// Whether there is no stream.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the streams are, sorted, without repetition.
    pub fn positions(&self) -> Vec<u64> {
        let inner = self.lock();
        let mut positions: Vec<_> = inner
            .slots
            .iter()
            .map(|(_, slot)| slot.position())
            .collect();
        drop(inner);
        positions.sort_unstable();
        positions.dedup();
        positions
    }

    /// The streams there are now.
    pub fn slots(&self) -> Vec<Arc<Slot>> {
        self.lock()
            .slots
            .iter()
            .map(|(_, slot)| slot.clone())
            .collect()
    }

    /// Closes if nobody has been here for `linger`; whether it did.
    pub fn close_if_idle(&self, linger: Duration, now: Instant) -> bool {
        let mut inner = self.lock();
        if inner.slots.is_empty() && now.saturating_duration_since(inner.idle_since) >= linger {
            inner.closed = true;
        }
        inner.closed
    }

    /// Lets nobody join any more. Those who are here stay.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream's membership; leaving is dropping it.
#[derive(Debug)]
pub struct Subscription {
    subscribers: Arc<Subscribers>,
    index: usize,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut inner = self.subscribers.lock();
        inner.slots.remove(self.index);
        if inner.slots.is_empty() {
            inner.idle_since = Instant::now();
            inner.slots.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_joins_what_was_closed_after_lingering() {
        let subscribers = Arc::new(Subscribers::default());
        let linger = Duration::from_secs(60);
        let membership = subscribers.join(Slot::new()).expect("open");
        let later = Instant::now() + 2 * linger;
        assert!(
            !subscribers.close_if_idle(linger, later),
            "somebody is here"
        );
        drop(membership);
        assert!(
            !subscribers.close_if_idle(linger, Instant::now()),
            "just left"
        );
        assert!(subscribers.close_if_idle(linger, later));
        assert!(subscribers.join(Slot::new()).is_none());
    }

    #[test]
    fn positions_are_those_of_present_streams() {
        let subscribers = Arc::new(Subscribers::default());
        let slots = [Slot::new(), Slot::new(), Slot::new()];
        let members: Vec<_> = slots
            .iter()
            .map(|slot| subscribers.join(slot.clone()))
            .collect();
        slots[0].advance(7);
        slots[2].advance(7);
        assert_eq!(subscribers.positions(), [0, 7]);
        drop(members);
        assert!(subscribers.positions().is_empty());
    }
}
