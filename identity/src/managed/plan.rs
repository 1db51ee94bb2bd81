//! What is to be done next. Whoever is killed after any step leaves a state from
//! which this goes on.

mod anchors;
mod course;

pub(super) use self::anchors::{AnchorPair, Anchors};

use super::{
    bundle::Bundle,
    rotation::{Facts, Laggards, Phase, Waits},
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
    /// Somebody has to do something first.
    Stuck(String),
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

impl Rules {
    pub(super) fn plan(&self, state: &State, laggards: Laggards<'_>, now: SystemTime) -> Plan {
        if state.issuer.as_ref().is_some_and(|issuer| !issuer.ours) {
            return Plan::NotOurs;
        }
        let Some(anchors) = &state.anchors else {
            return self.without_anchor(state);
        };
        let step = self.keep(state, anchors, laggards, now);
        step.unwrap_or_else(Plan::Stuck)
    }

    fn keep(
        &self,
        state: &State,
        anchors: &Anchors,
        laggards: Laggards<'_>,
        now: SystemTime,
    ) -> Result<Plan, String> {
        if let Some(reason) = &anchors.unreadable {
            return Err(reason.clone());
        }
        let own = anchors.trusted();
        let anchor = self.anchor(&own, now)?;
        let waits = match self.begin(anchors, anchor, now) {
            Some(Ok(step)) => return Ok(step),
            Some(Err(reason)) => Some(Waits::People(reason)),
            None => None,
        };
        if let Some(step) = self.publish(&own, state.bundle.as_ref()) {
            return Ok(step);
        }
        let published = state.bundle.as_ref().expect("published before");
        let issuer = self.issuer(anchors, &own, published, state.issuer.as_ref(), now)?;
        let until = match issuer {
            Next::Keep(until) => until,
            Next::Theirs => return Ok(Plan::NotOurs),
            Next::Make(why) => {
                // Leaves are signed that the phase did not count on.
                if let (Why::Rotation(phase), Some(rotation)) = (&why, &anchors.rotation)
                    && rotation.since.is_some()
                {
                    let again = anchors.turned(Some(rotation.at(*phase)));
                    return Ok(Plan::Rotate(again.into(), Turn::BeginAgain(*phase)));
                }
                let successor = self.successor(anchors, &own)?;
                return Ok(Plan::MakeIssuer(successor.into(), why));
            }
        };
        match &anchors.rotation {
            None => Ok(Plan::Done(until, waits)),
            Some(rotation) => {
                let facts = Facts {
                    requests: &anchors.requests,
                    leaves_last: self.leaves_last,
                    laggards,
                    must_switch: self.cannot_renew_under(anchor, now),
                };
                self.advance(anchors, rotation, &facts, published, until, now)
            }
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
                Plan::Stuck(format!(
                    "{anchor} is gone, and the issuer cannot be renewed without it: put it back; \
                     to start anew with another trust anchor, delete {issuer} and {bundle}, too, \
                     and restart all meshed workloads"
                ))
            }
        }
    }

    /// The anchor that signs.
    fn anchor<'a>(&self, own: &'a Bundle, now: SystemTime) -> Result<&'a Certificate, String> {
        let name = &self.names.anchor;
        let anchor = match own.certificates().next() {
            Some(anchor) if own.is_whole() => anchor,
            _ => {
                return Err(format!(
                    "{name} does not hold a certificate that can be read: put back what was there"
                ));
            }
        };
        if now < anchor.not_before() {
            let (now, begin) = (date(now), date(anchor.not_before()));
            return Err(format!(
                "the clock says {now}, and the trust anchor in {name} begins at {begin}: nothing \
                 is made with a clock that is wrong"
            ));
        }
        Ok(anchor)
    }

    /// What is to be done about the bundle.
    fn publish(&self, own: &Bundle, published: Option<&Published>) -> Option<Plan> {
        let Some(published) = published else {
            return Some(Plan::Publish(own.with(own)));
        };
        let held = Bundle::read(&published.pem);
        let missing = own.certificates().any(|anchor| !held.holds(anchor));
        if !missing && (held.is_whole() || !published.ours) {
            return None;
        }
        if published.ours {
            return Some(Plan::Publish(held.with(own)));
        }
        let Names { anchor, bundle, .. } = &self.names;
        Some(Plan::Stuck(format!(
            "{bundle} is not kept by Ferrule and lacks a trust anchor that is in {anchor}: add it"
        )))
    }

    fn issuer(
        &self,
        anchors: &Anchors,
        own: &Bundle,
        published: &Published,
        issuer: Option<&IssuerPair>,
        now: SystemTime,
    ) -> Result<Next, String> {
        let anchor = own.certificates().next().expect("looked at before");
        if now > anchor.not_after() {
            let (name, end) = (&self.names.anchor, date(anchor.not_after()));
            return Err(format!("the trust anchor in {name} has expired at {end}"));
        }
        let Some(pair) = issuer else {
            return Ok(Next::Make(Why::Missing));
        };
        let load = |anchors: &TrustAnchors| {
            Issuer::load(&pair.certificate, &pair.key, anchors, &self.scope, now)
        };
        let read = |pem: &[u8]| TrustAnchors::from_pem(pem).map_err(|error| error.to_string());
        let issuer = match load(&read(own.with(own).as_bytes())?) {
            Ok(issuer) => issuer,
            // The other anchor has left the Secret, and is in the bundle still.
            Err(_)
                if let Some(rotation) = &anchors.rotation
                    && read(&published.pem).is_ok_and(|all| load(&all).is_ok()) =>
            {
                return Ok(Next::Make(Why::Rotation(rotation.phase)));
            }
            // Somebody has put theirs into the object that was ours.
            Err(_) if read(&published.pem).is_ok_and(|all| load(&all).is_ok()) => {
                return Ok(Next::Theirs);
            }
            Err(error) => return Ok(Next::Make(Why::Unusable(error.to_string()))),
        };
        if let Some(rotation) = &anchors.rotation
            && !is_signed_as(rotation.phase, &issuer, anchor, anchors)
        {
            return Ok(Next::Make(Why::Rotation(rotation.phase)));
        }
        if pair.asked {
            return Ok(Next::Make(Why::Asked));
        }
        let certificate = issuer.certificate();
        // Near the end of the anchor there is nothing to be won.
        let end = (now + self.lifetimes.issuer).min(anchor.not_after());
        let is_gain = end > certificate.not_after() + Duration::from_secs(1);
        let due = making::due_at(certificate);
        Ok(if now < due {
            Next::Keep(due)
        } else if is_gain {
            Next::Make(Why::Due)
        } else {
            Next::Keep(certificate.not_after())
        })
    }

    fn successor(&self, anchors: &Anchors, own: &Bundle) -> Result<Successor, String> {
        let root = |anchor: &Certificate, pair: &AnchorPair| {
            let key = self.key(anchor, pair)?;
            Root::new(anchor, key).map_err(|error| error.to_string())
        };
        let anchor = own.certificates().next().expect("looked at before");
        let is_switched = anchors
            .rotation
            .as_ref()
            .is_some_and(|rotation| rotation.phase == Phase::Switched);
        let cross = match &anchors.previous {
            Some(previous) if is_switched => {
                let held = Bundle::read(&previous.certificates);
                let held = held.certificates().next();
                let name = &self.names.anchor;
                let held = held.ok_or_else(|| {
                    format!("previous.crt in {name} cannot be read: put back what was there")
                })?;
                Some(root(held, previous)?)
            }
            _ => None,
        };
        let trusted = TrustAnchors::from_pem(own.with(own).as_bytes());
        Ok(Successor {
            root: root(anchor, &anchors.current)?,
            cross,
            anchors: trusted.map_err(|error| error.to_string())?,
        })
    }

    /// The key of an anchor.
    fn key(&self, anchor: &Certificate, pair: &AnchorPair) -> Result<KeyPair, String> {
        let name = &self.names.anchor;
        let Some(key) = &pair.key else {
            return Err(format!(
                "{name} has no key, and an issuer must be signed with it: put it there"
            ));
        };
        let key = std::str::from_utf8(key).ok();
        let key = key.and_then(|pem| KeyPair::from_pem(pem).ok());
        let key = key.ok_or_else(|| format!("{name} holds no private key that can be read"))?;
        if !making::is_pair(anchor, &key) {
            return Err(format!(
                "{name} holds a key that is not its certificate's: put back what was there"
            ));
        }
        Ok(key)
    }
}

/// Whether an issuer is signed by all that are to sign in this phase, and by no other.
fn is_signed_as(phase: Phase, issuer: &Issuer, anchor: &Certificate, anchors: &Anchors) -> bool {
    let (own, others) = issuer.chain().split_first().expect("never empty");
    let is_by = |certificate: &Certificate, anchor: &Certificate| {
        certificate.is_issued_under_the_name_of(anchor)
            && certificate.verify_signature(anchor).is_ok()
    };
    let mut crosses = others
        .iter()
        .filter(|other| other.public_key() == own.public_key());
    if !is_by(own, anchor) {
        return false;
    }
    let previous = anchors.previous.as_ref();
    match (phase, previous) {
        (Phase::Switched, Some(previous)) => {
            let held = Bundle::read(&previous.certificates);
            let mut held = held.certificates();
            held.next()
                .is_some_and(|held| crosses.any(|cross| is_by(cross, held)))
        }
        _ => crosses.next().is_none(),
    }
}

fn read_one(pem: &str) -> Result<Certificate, String> {
    let chain = Certificate::chain_from_pem(pem.as_bytes()).map_err(|error| error.to_string())?;
    chain
        .into_iter()
        .next()
        .ok_or_else(|| "no certificate".to_owned())
}

/// What becomes of the issuer.
enum Next {
    Keep(SystemTime),
    Theirs,
    Make(Why),
}

#[cfg(test)]
mod rotations;
#[cfg(test)]
mod tests;
