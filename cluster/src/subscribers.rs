use crate::grpc::Client;
use atomic_waker::AtomicWaker;
use slab::Slab;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

/// What the rest of the process may know of one open stream: whose it is, how far
/// it is, how to wake it, and whether it is to end. One for each stream, so it is
/// kept small: times are in 32 bits, and streams of one client share what is
/// known of it.
#[derive(Debug)]
pub struct Slot {
    waker: AtomicWaker,
    position: AtomicU64,
    client: Option<Arc<Client>>,
    opened: Tick,
    /// When a message was last handed to the transport; only once `position` is
    /// more than 0.
    sent: AtomicU32,
    /// Since when there is something that it was not told; 0 if there is nothing.
    due: AtomicU32,
    /// Versions that were passed over.
    skipped: AtomicU32,
    ended: AtomicBool,
}

/// Milliseconds since the process looked at its clock first. They begin anew
/// after 49 days; nothing here is measured over so long a time.
#[derive(Clone, Copy, Debug)]
struct Tick(u32);

impl Tick {
    fn now() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        let start = START.get_or_init(Instant::now);
        // The low 32 bits are meant.
        Self(start.elapsed().as_millis() as u32)
    }

    fn age(self) -> Duration {
        Duration::from_millis(Self::now().0.wrapping_sub(self.0).into())
    }
}

impl Slot {
    /// A slot at position 0: nothing told yet.
    pub fn new() -> Arc<Self> {
        Self::of(None)
    }

    /// One for a stream to `client`.
    pub fn of(client: Option<Arc<Client>>) -> Arc<Self> {
        Arc::new(Self {
            waker: AtomicWaker::new(),
            position: AtomicU64::new(0),
            client,
            opened: Tick::now(),
            sent: AtomicU32::new(0),
            due: AtomicU32::new(0),
            skipped: AtomicU32::new(0),
            ended: AtomicBool::new(false),
        })
    }

    /// Whose stream it is, where that is known.
    pub fn client(&self) -> Option<&Client> {
        self.client.as_deref()
    }

    /// How long ago the stream was opened.
    pub fn age(&self) -> Duration {
        self.opened.age()
    }

    /// How long ago a message was last handed to the transport; `None` if none
    /// was.
    pub fn sent_ago(&self) -> Option<Duration> {
        let sent = Tick(self.sent.load(Ordering::Relaxed));
        (self.position() > 0).then(|| sent.age())
    }

    pub(crate) fn note_sent(&self) {
        self.sent.store(Tick::now().0, Ordering::Relaxed);
    }

    /// Whether it has lacked something for so long that it should have been told.
    pub fn is_behind(&self, by: Duration) -> bool {
        let due = self.due.load(Ordering::Relaxed);
        due != 0 && Tick(due).age() > by
    }

    /// There is something to tell from now on, if there was not already.
    pub(crate) fn note_due(&self) {
        self.due_at(Tick::now());
    }

    fn due_at(&self, now: Tick) {
        if self.due.load(Ordering::Relaxed) == 0 {
            // In place of 0 the millisecond before it.
            let now = if now.0 == 0 { u32::MAX } else { now.0 };
            self.due.store(now, Ordering::Relaxed);
        }
    }

    /// Its client asks for whatever there is.
    pub(crate) fn note_asked(&self) {
        self.due.store(0, Ordering::Relaxed);
    }

    /// How many versions were passed over, since a newer one was there before the
    /// client was ready for them.
    pub fn skipped(&self) -> u32 {
        self.skipped.load(Ordering::Relaxed)
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

    /// Notes that the stream has been told everything up to `version`. Only its
    /// own task does so.
    pub fn advance(&self, version: u64) {
        let before = self.position.swap(version, Ordering::AcqRel);
        if before > 0 && version > before + 1 {
            let passed_over = version - before - 1;
            let passed_over = u32::try_from(passed_over).unwrap_or(u32::MAX);
            self.skipped.fetch_add(passed_over, Ordering::Relaxed);
        }
    }

    /// Notes that the stream follows another view from now on, and has been told
    /// everything up to that one's `version`.
    pub fn move_to(&self, version: u64) {
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

/// The streams on one view, or all of a method.
#[derive(Debug)]
pub struct Subscribers {
    inner: Mutex<Inner>,
    /// How many, for those who only count.
    count: AtomicUsize,
}

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
        Self {
            inner: Mutex::new(Inner {
                slots: Slab::new(),
                closed: false,
                idle_since: Instant::now(),
            }),
            count: AtomicUsize::new(0),
        }
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
        self.count.store(inner.slots.len(), Ordering::Relaxed);
        drop(inner);
        Some(Subscription {
            subscribers: self.clone(),
            index,
        })
    }

    /// Wakes every stream.
    pub fn wake(&self) {
        let now = Tick::now();
        for (_, slot) in &self.lock().slots {
            slot.due_at(now);
            slot.waker.wake();
        }
    }

    /// How many streams have lacked something for so long.
    pub fn behind(&self, by: Duration) -> usize {
        let inner = self.lock();
        let behind = inner.slots.iter().filter(|(_, slot)| slot.is_behind(by));
        behind.count()
    }

    /// How many streams there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
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
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
        let count = &self.subscribers.count;
        count.store(inner.slots.len(), Ordering::Relaxed);
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
    fn a_stream_costs_no_more_than_it_has_to() {
        // With the two counts of an Arc, an allocation of 80 bytes.
        assert!(size_of::<Slot>() <= 64, "{}", size_of::<Slot>());
    }

    #[test]
    fn a_stream_is_behind_until_its_client_asks() {
        let subscribers = Arc::new(Subscribers::default());
        let slot = Slot::new();
        let _member = subscribers.join(slot.clone()).expect("open");
        assert_eq!(subscribers.behind(Duration::ZERO), 0);
        subscribers.wake();
        let first = slot.due.load(Ordering::Relaxed);
        while subscribers.behind(Duration::ZERO) == 0 {
            std::thread::yield_now();
        }
        subscribers.wake();
        assert_eq!(slot.due.load(Ordering::Relaxed), first, "since the first");
        assert_eq!(subscribers.behind(Duration::from_secs(60)), 0);
        slot.note_asked();
        assert_eq!(subscribers.behind(Duration::ZERO), 0);
    }

    #[test]
    fn versions_that_were_passed_over_are_counted_but_not_when_the_view_is_another() {
        let slot = Slot::new();
        assert_eq!(slot.sent_ago(), None);
        for version in [7, 8, 11] {
            slot.advance(version);
        }
        assert_eq!(slot.skipped(), 2);
        slot.move_to(500);
        slot.advance(501);
        assert_eq!((slot.skipped(), slot.position()), (2, 501));
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
