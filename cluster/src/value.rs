//! A view whose every version replaces the one before: profiles and policies.

use crate::{
    Origin,
    stream::{Feed, Told},
    subscribers::{Slot, Subscribers, Subscription},
};
use bytes::Bytes;
use smallvec::smallvec;
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tonic::Status;

/// The newest encoded value, and the streams that follow it.
#[derive(Debug, Default)]
pub struct ValueView {
    subscribers: Arc<Subscribers>,
    version: AtomicU64,
    updates: Arc<Updates>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frame: Option<Bytes>,
    /// The version that brought it,
    since: u64,
    /// and where that comes from.
    origin: Option<Origin>,
    refusal: Option<Status>,
    end: Option<Status>,
}

/// How many values were told by views that follow the same thing, and by all of
/// their kind.
#[derive(Debug, Default)]
pub(crate) struct Updates {
    alike: AtomicU64,
    all: Arc<AtomicU64>,
}

impl Updates {
    pub(crate) fn new(all: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            alike: AtomicU64::new(0),
            all,
        })
    }
}

impl ValueView {
    /// A view whose values are counted there.
    pub(crate) fn new(updates: Arc<Updates>) -> Arc<Self> {
        Arc::new(Self {
            updates,
            ..Self::default()
        })
    }

    /// How often the value changed of all views that follow the same thing, since
    /// there is any.
    pub fn updates(&self) -> u64 {
        self.updates.alike.load(Ordering::Relaxed)
    }

    /// The streams on it.
    pub fn subscribers(&self) -> &Arc<Subscribers> {
        &self.subscribers
    }

    /// How often the value has changed.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Makes `frame` the newest value, unless it is that already. `None` is
    /// nothing to tell: who was told something keeps it. `refusal` is what newcomers get instead of a stream; those
    /// who are here stay. Whether anybody had to be told.
    pub fn publish(&self, frame: Option<Bytes>, refusal: Option<Status>) -> bool {
        let mut state = self.lock();
        state.refusal = refusal;
        let changed = frame.is_some() && state.frame != frame;
        state.frame = frame;
        if changed {
            // Under the lock: who sees the version finds the frame.
            state.since = self.version.fetch_add(1, Ordering::Release) + 1;
            state.origin = Some(Origin::now(state.since, self.subscribers.len()));
        }
        drop(state);
        if changed {
            self.updates.alike.fetch_add(1, Ordering::Relaxed);
            self.updates.all.fetch_add(1, Ordering::Relaxed);
            self.subscribers.wake();
        }
        changed
    }

    /// Tells everybody the newest value, if there is one, though it is no other.
    pub fn repeat(&self) {
        let mut state = self.lock();
        if state.frame.is_none() {
            return;
        }
        state.since = self.version.fetch_add(1, Ordering::Release) + 1;
        state.origin = Some(Origin::now(state.since, self.subscribers.len()));
        drop(state);
        self.subscribers.wake();
    }

    /// Refuses newcomers until the next value. Those who are here keep theirs, and
    /// are told nothing if it comes again.
    pub fn refuse(&self, refusal: Status) {
        self.lock().refusal = Some(refusal);
    }

    /// Ends every stream with `status` once it has been told the newest value.
    /// Nobody may follow any more.
    pub fn end(&self, status: Status) {
        self.subscribers.close();
        let mut state = self.lock();
        state.end = Some(status);
        self.version.fetch_add(1, Ordering::Release);
        drop(state);
        self.subscribers.wake();
    }

    /// The newest value, if there is one.
    ///
    /// # Errors
    /// The refusal in force.
    pub fn newest(&self) -> Result<Option<Bytes>, Status> {
        let state = self.lock();
        match &state.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(state.frame.clone()),
        }
    }

    /// Begins to follow; `Ok(None)` if the view was given up in the meantime.
    ///
    /// # Errors
    /// The refusal in force.
    pub fn follow(self: &Arc<Self>, slot: &Arc<Slot>) -> Result<Option<ValueFeed>, Status> {
        if let Some(refusal) = &self.lock().refusal {
            return Err(refusal.clone());
        }
        Ok(self
            .subscribers
            .join(slot.clone())
            .map(|membership| ValueFeed {
                view: self.clone(),
                _membership: membership,
            }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream's place on a [`ValueView`].
#[derive(Debug)]
pub struct ValueFeed {
    view: Arc<ValueView>,
    _membership: Subscription,
}

impl Feed for ValueFeed {
    fn poll_frames(
        &mut self,
        slot: &Arc<Slot>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Told, Status>> {
        slot.register(cx.waker());
        let position = slot.position();
        if self.view.version() == position {
            return Poll::Pending;
        }
        let state = self.view.lock();
        if let Some(frame) = &state.frame
            && position < state.since
        {
            slot.advance(state.since);
            return Poll::Ready(Ok(Told {
                frames: smallvec![frame.clone()],
                origin: state.origin.clone().filter(|_| position > 0),
            }));
        }
        slot.advance(self.view.version());
        match &state.end {
            Some(status) => Poll::Ready(Err(status.clone())),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn poll(feed: &mut ValueFeed, slot: &Arc<Slot>) -> Poll<Result<Told, Status>> {
        feed.poll_frames(slot, &mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_newest_value_is_told_before_the_end() {
        let view = Arc::<ValueView>::default();
        let slot = Slot::new();
        let mut feed = view.follow(&slot).expect("no refusal").expect("open");
        assert!(poll(&mut feed, &slot).is_pending());
        view.publish(Some(Bytes::from_static(b"old")), None);
        view.publish(Some(Bytes::from_static(b"new")), None);
        view.end(Status::ok(""));
        match poll(&mut feed, &slot) {
            Poll::Ready(Ok(told)) => assert_eq!(told.frames[0], "new"),
            other => panic!("{other:?}"),
        }
        match poll(&mut feed, &slot) {
            Poll::Ready(Err(status)) => assert_eq!(status.code(), tonic::Code::Ok),
            other => panic!("{other:?}"),
        }
        assert!(view.follow(&Slot::new()).expect("no refusal").is_none());
    }

    #[test]
    fn a_value_may_be_told_again_to_all_who_are_here() {
        let view = Arc::<ValueView>::default();
        let slot = Slot::new();
        let mut feed = view.follow(&slot).expect("no refusal").expect("open");
        view.repeat();
        assert!(poll(&mut feed, &slot).is_pending(), "there is none yet");
        view.publish(Some(Bytes::from_static(b"value")), None);
        assert!(poll(&mut feed, &slot).is_ready());
        assert!(!view.publish(Some(Bytes::from_static(b"value")), None));
        assert!(poll(&mut feed, &slot).is_pending());
        view.repeat();
        assert!(poll(&mut feed, &slot).is_ready());
        assert!(poll(&mut feed, &slot).is_pending());
    }

    #[test]
    fn who_is_here_keeps_the_value_that_newcomers_are_refused() {
        let view = Arc::<ValueView>::default();
        let (told, late) = (Slot::new(), Slot::new());
        let follow = |slot| view.follow(slot).expect("no refusal").expect("open");
        let mut feeds = [follow(&told), follow(&late)];
        view.publish(Some(Bytes::from_static(b"value")), None);
        assert!(poll(&mut feeds[0], &told).is_ready());
        view.refuse(Status::not_found(""));
        let refused = view.follow(&Slot::new()).expect_err("refused");
        assert_eq!(refused.code(), tonic::Code::NotFound);
        assert!(poll(&mut feeds[0], &told).is_pending());
        assert!(poll(&mut feeds[1], &late).is_ready());
        // The same value again is not news, and lets newcomers in.
        assert!(!view.publish(Some(Bytes::from_static(b"value")), None));
        assert!(poll(&mut feeds[0], &told).is_pending());
        assert!(poll(&mut follow(&Slot::new()), &Slot::new()).is_ready());
    }
}
