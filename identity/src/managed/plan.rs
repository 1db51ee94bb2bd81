//! What is to be done next. Whoever is killed after any step leaves a state from
//! which this goes on.

mod anchors;
mod course;
mod issuer;

pub(super) use self::anchors::{AnchorPair, Anchors};

use self::{course::Course, issuer::Next};
use super::{
    bundle::Bundle,
    rotation::{Laggards, Phase, Waits, WaitsFor},
};
use crate::{
    Certificate, IdentityScope, Issuer, Lifetimes, TrustAnchors,
    certificate::date,
    making::{self, MakingError, Root},
};
use rcgen::KeyPair;
use std::time::{Duration, SystemTime};
use zeroize::Zeroizing;

/// What there is in the cluster.
#[derive(Default)]
pub(super) struct State {
    pub(super) anchors: Option<Anchors>,
    pub(super) issuer: Option<IssuerPair>,
    pub(super) bundle: Option<Published>,
}

/// The Secret of the issuer.
pub(super) struct IssuerPair {
    /// Whether it is marked as made here.
    pub(super) ours: bool,
    pub(super) certificate: Vec<u8>,
    pub(super) key: Zeroizing<Vec<u8>>,
    /// Whether somebody asks for another.
    pub(super) asked: bool,
}

/// The ConfigMap of the bundle.
pub(super) struct Published {
    pub(super) ours: bool,
    pub(super) pem: Vec<u8>,
}

/// The next step.
pub(super) enum Plan {
    /// Issuer and anchors are somebody else's, or are going to be: they are followed
    /// and never written.
    NotOurs,
    /// Somebody has to do something first; what a rotation waits for meanwhile, or why
    /// none begins, if one is under way or wanted.
    Stuck(Waits, Option<Waits>),
    MakeAnchor,
    /// The bundle as it is to be.
    Publish(String),
    MakeIssuer(Box<Successor>, Why),
    /// The anchors' Secret as it is to be, and what that means.
    Rotate(Box<Anchors>, Turn),
    /// Whether pods hold the rotation up has to be found out.
    Count,
    /// Nothing before this time, if all stays as it is.
    Done(SystemTime, Option<Waits>),
}

/// A step of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It begins; why.
    Start(String),
    /// It goes on to this phase.
    Enter(Phase),
    /// All that the phase stands for is in place.
    Begin(Phase),
    /// It is not any more.
    BeginAgain(Phase),
    /// It is over.
    End(Phase),
}

/// Why another issuer is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Missing,
    Unusable(String),
    Asked,
    Due,
    /// Other anchors are to sign it.
    Rotation(Phase),
}

/// What the next issuer is made with.
pub(super) struct Successor {
    root: Root,
    /// What signs it, too.
    cross: Option<Root>,
    anchors: TrustAnchors,
}

/// A new issuer: its certificate and its key, PEM.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
    /// What it chains to, PEM.
    pub(super) anchors: String,
    pub(super) not_after: SystemTime,
    pub(super) fingerprint: String,
}

/// The names of the objects, for messages.
pub(super) struct Names {
    pub(super) anchor: String,
    pub(super) issuer: String,
    pub(super) bundle: String,
}

/// What is to be kept, and how it is called.
pub(super) struct Rules {
    pub(super) scope: IdentityScope,
    pub(super) lifetimes: Lifetimes,
    /// Whether a rotation begins when it is due, and not only when somebody asks.
    pub(super) rotates: bool,
    /// For how long after an issuer was replaced leaves of its predecessor can be
    /// valid.
    pub(super) leaves_last: Duration,
    pub(super) names: Names,
}

/// What was found out for a plan.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) laggards: Laggards<'a>,
    /// Why no step of a rotation may be taken now.
    pub(super) refused: Option<&'a Waits>,
}

impl Known<'_> {
    /// Before anything is.
    pub(super) const NOTHING: Self = Self {
        laggards: Laggards::Unknown,
        refused: None,
    };

    fn rotate(self, anchors: Anchors, turn: Turn) -> Result<Plan, Waits> {
        match self.refused {
            Some(refused) => Err(refused.clone()),
            None => Ok(Plan::Rotate(anchors.into(), turn)),
        }
    }
}

impl Rules {
    pub(super) fn plan(&self, state: &State, known: Known<'_>, now: SystemTime) -> Plan {
        if state.issuer.as_ref().is_some_and(|issuer| !issuer.ours) {
            return Plan::NotOurs;
        }
        let Some(anchors) = &state.anchors else {
            return self.without_anchor(state);
        };
        let mut waits = None;
        let step = self.keep(state, anchors, known, now, &mut waits);
        step.unwrap_or_else(|reason| {
            let is_wanted = anchors.rotation.is_some() || anchors.requests.rotate;
            let waits = waits.or_else(|| is_wanted.then(|| reason.clone()));
            Plan::Stuck(reason, waits)
        })
    }

    /// `waits` becomes why no rotation begins.
    fn keep(
        &self,
        state: &State,
        anchors: &Anchors,
        known: Known<'_>,
        now: SystemTime,
        waits: &mut Option<Waits>,
    ) -> Result<Plan, Waits> {
        if let Some(reason) = &anchors.unreadable {
            return Err(Waits::new(WaitsFor::Anchor, reason));
        }
        // The way back must not depend on what may be the reason for it.
        if let Some(rotation) = &anchors.rotation
            && rotation.is_aborted(&anchors.requests)
        {
            let phase = Phase::Aborting;
            match known.rotate(anchors.entered(phase), Turn::Enter(phase)) {
                Ok(step) => return Ok(step),
                Err(refused) => *waits = Some(refused),
            }
        }
        let own = anchors.trusted();
        let anchor = self.anchor(&own, now)?;
        match self.begin(state, anchors, anchor, known, now) {
            Some(Ok(step)) => return Ok(step),
            Some(Err(refused)) => *waits = Some(refused),
            None => {}
        }
        let Some(published) = &state.bundle else {
            return Ok(Plan::Publish(own.with(&own)));
        };
        let held = Bundle::read(&published.pem);
        let lacks = own.certificates().any(|anchor| !held.holds(anchor));
        if published.ours && (lacks || !held.is_whole()) {
            return Ok(Plan::Publish(held.with(&own)));
        }
        let issuer = match self.issuer(anchors, &own, published, state.issuer.as_ref(), now)? {
            Next::Keep(until) => Some(until),
            Next::Theirs => return Ok(Plan::NotOurs),
            Next::Make(Why::Rotation(_)) => None,
            // Nobody would trust the first.
            Next::Make(Why::Missing) if lacks => return Err(self.lacking()),
            Next::Make(why) => {
                let successor = self.successor(anchors, &own)?;
                return Ok(Plan::MakeIssuer(successor.into(), why));
            }
        };
        let course = Course {
            own: &own,
            published,
            lacks,
            issuer,
            now,
        };
        let waits = match &anchors.rotation {
            None if lacks => return Err(self.lacking()),
            None => waits.take(),
            Some(rotation) => match self.advance(anchors, rotation, known, &course) {
                Ok(step) => return Ok(step),
                Err(reason) => Some(reason),
            },
        };
        match (issuer, waits) {
            (Some(until), waits) => Ok(Plan::Done(until, waits)),
            (None, waits) => Err(waits.expect("an issuer is to be made")),
        }
    }

    /// A new trust anchor: certificate and key.
    pub(super) fn make_anchor(
        &self,
        now: SystemTime,
    ) -> Result<(String, Zeroizing<String>), MakingError> {
        let key = KeyPair::generate()?;
        let certificate = making::anchor(&key, &self.scope, self.lifetimes.anchor, now)?;
        Ok((certificate, key.serialize_pem().into()))
    }

    /// A new issuer, found to be usable.
    pub(super) fn make_issuer(
        &self,
        successor: &Successor,
        now: SystemTime,
    ) -> Result<Made, String> {
        let key = KeyPair::generate().map_err(|error| MakingError::from(error).to_string())?;
        let lifetime = self.lifetimes.issuer;
        let failed = |error: MakingError| error.to_string();
        let issuer = successor.root.issuer(&key, &self.scope, lifetime, now);
        let mut certificate = issuer.map_err(failed)?;
        if let Some(cross) = &successor.cross {
            let until = read_one(&certificate)?.not_after();
            let crossed = cross.issuer_until(&key, &self.scope, lifetime, until, now);
            certificate.push_str(&crossed.map_err(failed)?);
        }
        let key = Zeroizing::new(key.serialize_pem());
        let issuer = Issuer::load(
            certificate.as_bytes(),
            key.as_bytes(),
            &successor.anchors,
            &self.scope,
            now,
        );
        let issuer = issuer.map_err(|error| {
            let anchor = &self.names.anchor;
            format!("the trust anchor in {anchor} makes no issuer that can be used: {error}")
        })?;
        Ok(Made {
            certificate,
            key,
            anchors: String::from_utf8_lossy(successor.anchors.pem()).into_owned(),
            not_after: issuer.certificate().not_after(),
            fingerprint: issuer.certificate().fingerprint().to_owned(),
        })
    }

    fn without_anchor(&self, state: &State) -> Plan {
        match (&state.issuer, &state.bundle) {
            (None, None) => Plan::MakeAnchor,
            (None, Some(bundle)) if !bundle.ours => Plan::NotOurs,
            _ => {
                let Names {
                    anchor,
                    issuer,
                    bundle,
                } = &self.names;
                let text = format!(
                    "{anchor} is gone, and the issuer cannot be renewed without it: put it back; \
                     to start anew with another trust anchor, delete {issuer} and {bundle}, too, \
                     and restart all meshed workloads"
                );
                Plan::Stuck(Waits::new(WaitsFor::Anchor, text), None)
            }
        }
    }

    /// The anchor that signs.
    fn anchor<'a>(&self, own: &'a Bundle, now: SystemTime) -> Result<&'a Certificate, Waits> {
        let name = &self.names.anchor;
        let anchor = match own.certificates().next() {
            Some(anchor) if own.is_whole() => anchor,
            _ => {
                return Err(lost(format!(
                    "{name} does not hold a certificate that can be read: put back what was there"
                )));
            }
        };
        if now < anchor.not_before() {
            let (now, begin) = (date(now), date(anchor.not_before()));
            return Err(Waits::new(
                WaitsFor::Clock,
                format!(
                    "the clock says {now}, and the trust anchor in {name} begins at {begin}: \
                     nothing is made with a clock that is wrong"
                ),
            ));
        }
        Ok(anchor)
    }

    /// That a bundle of somebody else does not have what it should.
    fn lacking(&self) -> Waits {
        let Names { anchor, bundle, .. } = &self.names;
        Waits::new(
            WaitsFor::Bundle,
            format!(
                "{bundle} is not kept by Ferrule and lacks a trust anchor that is in {anchor}: \
                 add it"
            ),
        )
    }
}

/// That an anchor is not what it should be.
fn lost(problem: impl std::fmt::Display) -> Waits {
    Waits::new(WaitsFor::Anchor, problem.to_string())
}

fn read_one(pem: &str) -> Result<Certificate, String> {
    let chain = Certificate::chain_from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
    chain
        .into_iter()
        .next()
        .ok_or_else(|| "no certificate".to_owned())
}

#[cfg(test)]
mod rotations;
#[cfg(test)]
mod tests;
