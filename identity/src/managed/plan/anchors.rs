//! The Secret of the trust anchor, and how anchors change their places in it.

use crate::{
    TrustAnchors,
    managed::{
        bundle::Bundle,
        rotation::{Phase, Requests, Rotation},
    },
};
use zeroize::Zeroizing;

/// The Secret of the trust anchor.
#[derive(Clone, Default)]
pub(in crate::managed) struct Anchors {
    /// What signs issuers.
    pub(in crate::managed) current: AnchorPair,
    /// What will; it is trusted already.
    pub(in crate::managed) next: Option<AnchorPair>,
    /// What did; it is trusted still.
    pub(in crate::managed) previous: Option<AnchorPair>,
    pub(in crate::managed) rotation: Option<Rotation>,
    /// What is wrong with what the Secret says of a rotation.
    pub(in crate::managed) unreadable: Option<String>,
    pub(in crate::managed) requests: Requests,
    /// What was written last of what a rotation waits for.
    pub(in crate::managed) waits: Option<String>,
}

/// A trust anchor, PEM.
#[derive(Clone, Default)]
pub(in crate::managed) struct AnchorPair {
    /// Others that are to be trusted may follow it.
    pub(in crate::managed) certificates: Vec<u8>,
    /// Nothing if the key is kept elsewhere.
    pub(in crate::managed) key: Option<Zeroizing<Vec<u8>>>,
}

impl Anchors {
    /// Everything that is to be trusted.
    pub(super) fn trusted(&self) -> Bundle {
        let others = [&self.next, &self.previous].into_iter().flatten();
        let all: Vec<_> = std::iter::once(&self.current)
            .chain(others)
            .map(|pair| &*pair.certificates)
            .collect();
        Bundle::read(&all.join(&b'\n'))
    }

    /// The rotation under way, and the anchor that comes.
    pub(in crate::managed) fn incoming(&self) -> Option<(&Rotation, TrustAnchors)> {
        let rotation = self.rotation.as_ref()?;
        let incoming = self.next.as_ref().unwrap_or(&self.current);
        Some((
            rotation,
            TrustAnchors::from_pem(&incoming.certificates).ok()?,
        ))
    }

    /// The same with another state of the rotation.
    pub(super) fn turned(&self, rotation: Option<Rotation>) -> Self {
        let requests = Requests {
            rotate: false,
            abort: self.requests.abort && rotation.is_some(),
            paused: self.requests.paused,
            unless_waiting_in: self.requests.unless_waiting_in,
        };
        Self {
            rotation,
            requests,
            waits: None,
            ..self.clone()
        }
    }

    /// At the beginning of another phase: the anchors change their places.
    pub(super) fn entered(&self, phase: Phase) -> Self {
        let rotation = self.rotation.as_ref().map(|rotation| rotation.at(phase));
        let was_switched = self.previous.is_some();
        let mut entered = self.turned(rotation);
        entered.requests.unless_waiting_in = None;
        match phase {
            Phase::Switched => {
                if let Some(next) = entered.next.take() {
                    entered.previous = Some(std::mem::replace(&mut entered.current, next));
                }
            }
            Phase::Retiring => entered.previous = None,
            Phase::Aborting => {
                entered.requests.abort = false;
                entered.next = None;
                if was_switched && let Some(previous) = entered.previous.take() {
                    entered.current = previous;
                }
            }
            Phase::Distributing => {}
        }
        entered
    }
}
