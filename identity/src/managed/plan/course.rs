//! The course of a rotation: when it begins, and what it does in each phase.

use super::{AnchorPair, Anchors, Plan, Published, Rules, Turn};
use crate::{
    Certificate,
    certificate::date,
    making,
    managed::{
        bundle::Bundle,
        rotation::{self, Facts, Next as Advance, Phase, Rotation},
    },
};
use std::time::SystemTime;
use zeroize::Zeroizing;

impl Rules {
    /// Begins a rotation if that is due or wanted; why it cannot.
    pub(super) fn begin(
        &self,
        anchors: &Anchors,
        anchor: &Certificate,
        now: SystemTime,
    ) -> Option<Result<Plan, String>> {
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
        Some(self.start(anchors, anchor, reason, now))
    }

    fn start(
        &self,
        anchors: &Anchors,
        anchor: &Certificate,
        reason: String,
        now: SystemTime,
    ) -> Result<Plan, String> {
        let name = &self.names.anchor;
        if anchors.next.is_some() || anchors.previous.is_some() {
            return Err(format!(
                "{name} has next.crt or previous.crt: a rotation by hand is to be finished first"
            ));
        }
        if anchors.requests.paused {
            return Err("it is paused".to_owned());
        }
        // It signs what those trust who know no other, until the end.
        self.key(anchor, &anchors.current)?;
        let (certificate, key) = self.make_anchor(now).map_err(|error| error.to_string())?;
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
        // Under an expired anchor nothing can be renewed while workloads restart.
        if self.cannot_renew_under(anchor, now) {
            started = started.entered(Phase::Switched);
        }
        Ok(Plan::Rotate(started.into(), Turn::Start(reason)))
    }

    /// Whether an issuer that this anchor signs now would be due at once.
    pub(super) fn cannot_renew_under(&self, anchor: &Certificate, now: SystemTime) -> bool {
        now + self.lifetimes.issuer / 3 >= anchor.not_after()
    }

    /// The next step of a rotation whose phase is in the cluster, as far as anchors
    /// and issuers go that are added.
    pub(super) fn advance(
        &self,
        anchors: &Anchors,
        rotation: &Rotation,
        facts: &Facts<'_>,
        published: &Published,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<Plan, String> {
        let gone = match rotation.phase {
            Phase::Retiring => Some(&rotation.outgoing),
            Phase::Aborting => Some(&rotation.incoming),
            Phase::Distributing | Phase::Switched => None,
        };
        if let Some(gone) = gone
            && let Some(step) = self.withdraw(gone, published)
        {
            return Ok(step);
        }
        Ok(match rotation::next(rotation, facts, date(now)) {
            Advance::Begin => {
                let begun = rotation.begun(date(now));
                let turn = Turn::Begin(rotation.phase);
                Plan::Rotate(anchors.turned(Some(begun)).into(), turn)
            }
            Advance::Enter(phase) => {
                if phase == Phase::Switched {
                    let next = anchors.next.as_ref();
                    let next = next.ok_or_else(|| {
                        let name = &self.names.anchor;
                        format!("{name} lacks next.crt, which is to sign next: put it back")
                    })?;
                    let incoming = Bundle::read(&next.certificates);
                    let incoming = incoming.certificates().next();
                    let incoming = incoming.ok_or("next.crt cannot be read: put it back")?;
                    self.key(incoming, next)?;
                }
                Plan::Rotate(anchors.entered(phase).into(), Turn::Enter(phase))
            }
            Advance::End => Plan::Rotate(anchors.turned(None).into(), Turn::End(rotation.phase)),
            Advance::Wait(waits) => Plan::Done(until, Some(waits)),
            Advance::Count => Plan::Count,
        })
    }

    /// Takes an anchor out of the bundle.
    fn withdraw(&self, fingerprint: &str, published: &Published) -> Option<Plan> {
        let held = Bundle::read(&published.pem);
        let mut all = held.certificates();
        all.find(|anchor| anchor.fingerprint() == fingerprint)?;
        if published.ours {
            return Some(Plan::Publish(held.without(fingerprint)));
        }
        let bundle = &self.names.bundle;
        Some(Plan::Stuck(format!(
            "{bundle} is not kept by Ferrule and has a trust anchor that is not needed any more: \
             take out the one whose SHA-256 is {fingerprint}"
        )))
    }
}
