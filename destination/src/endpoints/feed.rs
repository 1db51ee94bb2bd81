use super::{
    candidates::Addr,
    key::EndpointsRequest,
    view::{EndpointsView, Next},
};
use crate::projection::{Ask, Request};
use ferrule_cluster::{
    Slot, Subscription,
    stream::{Feed, Frames, Told},
};
use futures::future::BoxFuture;
use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// A stream's place on an [`EndpointsView`], or on its way to another.
pub(crate) struct EndpointsFeed {
    /// What the client asked for: it decides which view it follows.
    request: Arc<EndpointsRequest>,
    view: Arc<EndpointsView>,
    membership: Subscription,
    index: mpsc::Sender<Request>,
    /// While the index finds the view that replaced this one.
    rebinding: Option<BoxFuture<'static, Result<Rebound, Status>>>,
}

/// A stream whose view was replaced asks for the one that fits now.
pub(crate) struct Rebind {
    pub(crate) request: Arc<EndpointsRequest>,
    pub(crate) told: Arc<[Addr]>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) reply: oneshot::Sender<Rebound>,
}

/// The new view, and what leads there.
pub(crate) struct Rebound {
    pub(crate) view: Arc<EndpointsView>,
    pub(crate) membership: Subscription,
    pub(crate) frames: Frames,
}

impl EndpointsFeed {
    pub(crate) fn new(
        request: Arc<EndpointsRequest>,
        view: Arc<EndpointsView>,
        membership: Subscription,
        index: mpsc::Sender<Request>,
    ) -> Self {
        Self {
            request,
            view,
            membership,
            index,
            rebinding: None,
        }
    }

    fn rebind(
        &self,
        slot: &Arc<Slot>,
        told: Arc<[Addr]>,
    ) -> BoxFuture<'static, Result<Rebound, Status>> {
        let index = self.index.clone();
        let (reply, rebound) = oneshot::channel();
        let rebind = Rebind {
            request: self.request.clone(),
            told,
            slot: slot.clone(),
            reply,
        };
        Box::pin(async move {
            let gone = |_| Status::unavailable("the index has stopped");
            index
                .send(Ask::Rebind(rebind).into())
                .await
                .map_err(|_| gone(()))?;
            rebound.await.map_err(|_| gone(()))
        })
    }
}

impl Feed for EndpointsFeed {
    fn poll_frames(
        &mut self,
        slot: &Arc<Slot>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Told, Status>> {
        slot.register(cx.waker());
        loop {
            if let Some(rebinding) = &mut self.rebinding {
                let rebound = ready!(rebinding.as_mut().poll(cx));
                self.rebinding = None;
                let Rebound {
                    view,
                    membership,
                    frames,
                } = rebound?;
                self.view = view;
                self.membership = membership;
                if !frames.is_empty() {
                    return Poll::Ready(Ok(Told {
                        frames,
                        origin: None,
                    }));
                }
            }
            if self.view.version() == slot.position() {
                return Poll::Pending;
            }
            match self.view.advance(slot) {
                Next::Frames(frames, _) if frames.is_empty() => return Poll::Pending,
                Next::Frames(frames, origin) => {
                    return Poll::Ready(Ok(Told { frames, origin }));
                }
                Next::Replaced(told) => self.rebinding = Some(self.rebind(slot, told)),
            }
        }
    }
}
