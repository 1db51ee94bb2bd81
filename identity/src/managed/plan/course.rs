//! The course of a rotation: when it begins, and what it does in each phase.

use super::{AnchorPair, Anchors, Known, Names, Plan, Published, Rules, State, Turn, Why};
use crate::{
    Certificate,
    certificate::date,
    making,
    managed::{
        bundle::Bundle,
        objects::MANAGED_BY,
        rotation::{self, End, Facts, Next as Advance, Phase, Rotation, Seen, Waits, WaitsFor},
    },
};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// Where a rotation is looked at.
#[derive(Clone, Copy)]
pub(super) struct Course<'a> {
    /// All that is to be trusted.
    pub(super) own: &'a Bundle,
    pub(super) published: &'a Published,
    /// Whether something of `own` is not there, and is for somebody else to add.
    pub(super) lacks: bool,
    /// Until when the issuer need not be looked at again; none if others are to sign it.
    pub(super) issuer: Option<SystemTime>,
    pub(super) now: SystemTime,
}

impl Rules {
    /// Begins a rotation if that is due or wanted; why it cannot.
    pub(super) fn begin(
        &self,
        state: &State,
        anchors: &Anchors,
        anchor: &Certificate,
        known: Known<'_>,
        now: SystemTime,
    ) -> Option<Result<Plan, Waits>> {
        if anchors.rotation.is_some() {
            return None;
        }
        let end = date(anchor.not_after());
        let reason = if anchors.requests.rotate {
            "somebody has asked for it".to_owned()
        } else if self.rotates && now > anchor.not_after() {
            format!("it has expired at {end}")
        } else if self.rotates && now >= making::due_at(anchor) {
            format!("it expires at {end}")
        } else {
            return None;
        };
        let started = self.start(state, anchors, anchor, now);
        Some(started.and_then(|started| known.rotate(started, Turn::Start(reason))))
    }

    fn start(
        &self,
        state: &State,
        anchors: &Anchors,
        anchor: &Certificate,
        now: SystemTime,
    ) -> Result<Anchors, Waits> {
        let Names {
            anchor: name,
            bundle,
            ..
        } = &self.names;
        if anchors.next.is_some() || anchors.previous.is_some() {
            return Err(Waits::new(
                WaitsFor::ByHand,
                format!(
                    "{name} has next.crt or previous.crt: a rotation by hand is to be finished \
                     first"
                ),
            ));
        }
        // The old anchor signs until the new one is published, which is for somebody else.
        if state.bundle.as_ref().is_some_and(|bundle| !bundle.ours) {
            return Err(Waits::new(
                WaitsFor::Bundle,
                format!(
                    "{bundle} is not kept by Ferrule, which cannot publish another trust anchor \
                     there: give it the label {}={}, or replace the anchor by hand",
                    MANAGED_BY.0, MANAGED_BY.1
                ),
            ));
        }
        let end = self.end(anchor, now);
        if anchors.requests.paused {
            return Err(rotation::paused(end));
        }
        // It signs what those trust who know no other, until the end.
        self.key(anchor, &anchors.current)?;
        let made = self.make_anchor(now);
        let (certificate, key) =
            made.map_err(|error| Waits::new(WaitsFor::Anchor, error.to_string()))?;
        let new = AnchorPair {
            certificates: certificate.into_bytes(),
            key: Some(Zeroizing::new(key.as_bytes().to_vec())),
        };
        let incoming = Bundle::read(&new.certificates);
        let incoming = incoming.certificates().next().expect("made just now");
        let mut started = anchors.turned(Some(Rotation {
            phase: Phase::Distributing,
            started: date(now),
            since: None,
            published: None,
            incoming: incoming.fingerprint().to_owned(),
            outgoing: anchor.fingerprint().to_owned(),
        }));
        started.next = Some(new);
        Ok(match rotation::first(end) {
            Phase::Distributing => started,
            phase => started.entered(phase),
        })
    }

    /// How near its end an anchor is.
    pub(super) fn end(&self, anchor: &Certificate, now: SystemTime) -> End {
        let issuer = self.lifetimes.issuer;
        // An issuer that it signs after that would be due at once.
        let last = anchor.not_after() - issuer / 3;
        if now >= last {
            End::Come
        } else if now + issuer >= last {
            End::Near(date(last))
        } else {
            End::Far
        }
    }

    /// The next step of a rotation, of which the bundle has what Ferrule could put there.
    pub(super) fn advance(
        &self,
        anchors: &Anchors,
        rotation: &Rotation,
        known: Known<'_>,
        course: &Course<'_>,
    ) -> Result<Plan, Waits> {
        let Course {
            own,
            published,
            lacks,
            issuer,
            now,
        } = *course;
        let anchor = own.certificates().next().expect("looked at before");
        let gone = match rotation.phase {
            Phase::Retiring => Some(&*rotation.outgoing),
            Phase::Aborting => Some(&*rotation.incoming),
            Phase::Distributing | Phase::Switched => None,
        };
        let held = Bundle::read(&published.pem);
        let has = |gone| held.certificates().any(|held| held.fingerprint() == gone);
        let seen = Seen {
            lacks,
            signed: issuer.is_some(),
            spare: gone.is_some_and(has),
        };
        let facts = Facts {
            requests: &anchors.requests,
            leaves_last: self.leaves_last,
            laggards: known.laggards,
            end: self.end(anchor, now),
        };
        match rotation::next(rotation, seen, &facts, date(now)) {
            Advance::Publish => Err(self.lacking()),
            Advance::Sign => {
                let successor = self.successor(anchors, own)?;
                Ok(Plan::MakeIssuer(
                    successor.into(),
                    Why::Rotation(rotation.phase),
                ))
            }
            Advance::BeginAgain => {
                let again = anchors.turned(Some(rotation.at(rotation.phase)));
                known.rotate(again, Turn::BeginAgain(rotation.phase))
            }
            Advance::Withdraw => self.withdraw(gone.unwrap_or_default(), &held, published),
            Advance::Begin => {
                let begun = anchors.turned(Some(rotation.begun(date(now))));
                known.rotate(begun, Turn::Begin(rotation.phase))
            }
            Advance::Enter(phase) => {
                if phase == Phase::Switched {
                    self.can_switch(anchors)?;
                }
                known.rotate(anchors.entered(phase), Turn::Enter(phase))
            }
            Advance::End => known.rotate(anchors.turned(None), Turn::End(rotation.phase)),
            Advance::Wait(waits) => Err(waits),
            Advance::Count => Ok(Plan::Count),
        }
    }

    /// Whether there is all of the anchor that is to sign next.
    fn can_switch(&self, anchors: &Anchors) -> Result<(), Waits> {
        let lost = |text: &str| {
            let name = &self.names.anchor;
            Waits::new(WaitsFor::Anchor, format!("{name} {text}: put it back"))
        };
        let next = anchors.next.as_ref();
        let next = next.ok_or_else(|| lost("lacks next.crt, which is to sign next"))?;
        let incoming = Bundle::read(&next.certificates);
        let incoming = incoming.certificates().next();
        let incoming = incoming.ok_or_else(|| lost("holds a next.crt that cannot be read"))?;
        self.key(incoming, next).map(drop)
    }

    /// Takes an anchor out of the bundle.
    fn withdraw(
        &self,
        fingerprint: &str,
        held: &Bundle,
        published: &Published,
    ) -> Result<Plan, Waits> {
        if published.ours {
            return Ok(Plan::Publish(held.without(fingerprint)));
        }
        let bundle = &self.names.bundle;
        Err(Waits::new(
            WaitsFor::Bundle,
            format!(
                "{bundle} is not kept by Ferrule and has a trust anchor that is not needed any \
                 more: take out the one whose SHA-256 is {fingerprint}"
            ),
        ))
    }
}
