//! A view whose every version replaces the one before: profiles and policies.

use crate::{
    Answer, Origin,
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
    /// Who has not been told anything yet is not told this either.
    hushed: bool,
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

    /// Makes the answer's frame the newest value, unless it is that already.
    /// Whether anybody had to be told.
    pub fn publish(&self, answer: Answer) -> bool {
        let mut state = self.lock();
        state.refusal = answer.refusal;
        let stays = |told| answer.also_true.contains(told);
        if !state.hushed && state.frame.as_ref().is_some_and(stays) {
            return false;
        }
        // What was hushed is news to some even if it reads the same.
        let unhushed = state.hushed && !answer.hushed;
        let changed = answer.frame.is_some() && (state.frame != answer.frame || unhushed);
        state.frame = answer.frame;
        state.hushed = answer.hushed;
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
        // Who was told nothing stays at 0 until there is something for all.
        let is_hushed = state.hushed && position == 0 && state.end.is_none();
        if is_hushed {
            return Poll::Pending;
        }
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

    fn value(text: &'static str) -> Answer {
        Bytes::from_static(text.as_bytes()).into()
    }

    fn poll(feed: &mut ValueFeed, slot: &Arc<Slot>) -> Poll<Result<Told, Status>> {
        feed.poll_frames(slot, &mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_newest_value_is_told_before_the_end() {
        let view = Arc::<ValueView>::default();
        let slot = Slot::new();
        let mut feed = view.follow(&slot).expect("no refusal").expect("open");
        assert!(poll(&mut feed, &slot).is_pending());
        view.publish(value("old"));
        view.publish(value("new"));
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
        view.publish(value("value"));
        assert!(poll(&mut feed, &slot).is_ready());
        assert!(!view.publish(value("value")));
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
        view.publish(value("value"));
        assert!(poll(&mut feeds[0], &told).is_ready());
        view.refuse(Status::not_found(""));
        let refused = view.follow(&Slot::new()).expect_err("refused");
        assert_eq!(refused.code(), tonic::Code::NotFound);
        assert!(poll(&mut feeds[0], &told).is_pending());
        assert!(poll(&mut feeds[1], &late).is_ready());
        // The same value again is not news, and lets newcomers in.
        assert!(!view.publish(value("value")));
        assert!(poll(&mut feeds[0], &told).is_pending());
        assert!(poll(&mut follow(&Slot::new()), &Slot::new()).is_ready());
    }

    #[test]
    fn a_hushed_value_is_for_those_who_were_told_another() {
        let view = Arc::<ValueView>::default();
        let (told, late) = (Slot::new(), Slot::new());
        let follow = |slot| view.follow(slot).expect("no refusal").expect("open");
        let mut first = follow(&told);
        view.publish(value("value"));
        assert!(poll(&mut first, &told).is_ready());
        let hushed = Answer {
            hushed: true,
            ..value("bare")
        };
        assert!(view.publish(hushed));
        assert!(poll(&mut first, &told).is_ready());
        let mut second = follow(&late);
        assert!(poll(&mut second, &late).is_pending());
        // The same for all is news to whoever has heard nothing.
        assert!(view.publish(value("bare")));
        assert!(poll(&mut second, &late).is_ready());
    }

    #[test]
    fn what_was_told_stays_while_it_is_one_of_several_truths() {
        let view = Arc::<ValueView>::default();
        view.publish(value("a"));
        let either = || Answer {
            also_true: vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")],
            ..value("neither")
        };
        assert!(!view.publish(either()));
        view.publish(value("c"));
        assert!(view.publish(either()));
    }
}
