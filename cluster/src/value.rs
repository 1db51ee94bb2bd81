//! A view whose every version replaces the one before: profiles and policies.

use crate::{
    stream::{Feed, Frames},
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    frame: Option<Bytes>,
    refusal: Option<Status>,
}

impl ValueView {
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
            self.version.fetch_add(1, Ordering::Release);
        }
        drop(state);
        if changed {
            self.subscribers.wake();
        }
        changed
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
    ) -> Poll<Result<Frames, Status>> {
        slot.register(cx.waker());
        let version = self.view.version();
        if version == slot.position() {
            return Poll::Pending;
        }
        let state = self.view.lock();
        slot.advance(self.view.version());
        match &state.frame {
            Some(frame) => Poll::Ready(Ok(smallvec![frame.clone()])),
            None => Poll::Pending,
        }
    }
}
