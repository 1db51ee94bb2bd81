//! What is to be done next. Whoever is killed after any step leaves a state from
//! which this goes on.

use super::bundle::Bundle;
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
    pub(super) anchor: Option<AnchorPair>,
    pub(super) issuer: Option<IssuerPair>,
    pub(super) bundle: Option<Published>,
}

/// The Secret of the trust anchor.
pub(super) struct AnchorPair {
    /// What signs issuers; other anchors that are to be trusted may follow it.
    pub(super) certificates: Vec<u8>,
    /// Nothing if the key is kept elsewhere.
    pub(super) key: Option<Zeroizing<Vec<u8>>>,
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
    /// Nothing before this time, if all stays as it is.
    Done(SystemTime),
}

/// Why another issuer is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Missing,
    Unusable(String),
    Asked,
    Due,
}

/// What the next issuer is made with.
pub(super) struct Successor {
    root: Root,
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
    pub(super) names: Names,
}

impl Rules {
    pub(super) fn plan(&self, state: &State, now: SystemTime) -> Plan {
        if state.issuer.as_ref().is_some_and(|issuer| !issuer.ours) {
            return Plan::NotOurs;
        }
        let Some(pair) = &state.anchor else {
            return self.without_anchor(state);
        };
        let own = Bundle::read(&pair.certificates);
        let anchor = match self.anchor(&own, now) {
            Ok(anchor) => anchor,
            Err(reason) => return Plan::Stuck(reason),
        };
        if let Some(step) = self.publish(&own, state.bundle.as_ref()) {
            return step;
        }
        let published = state.bundle.as_ref().expect("published before");
        let issuer = self.issuer(&own, published, state.issuer.as_ref(), anchor, now);
        match issuer {
            Ok(Next::Keep(until)) => Plan::Done(until),
            Ok(Next::Theirs) => Plan::NotOurs,
            Ok(Next::Make(why)) => match self.successor(anchor, pair, &own) {
                Ok(successor) => Plan::MakeIssuer(successor.into(), why),
                Err(reason) => Plan::Stuck(reason),
            },
            Err(reason) => Plan::Stuck(reason),
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
        let certificate = successor
            .root
            .issuer(&key, &self.scope, lifetime, now)
            .map_err(|error| error.to_string())?;
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
        if now > anchor.not_after() {
            let end = date(anchor.not_after());
            return Err(format!("the trust anchor in {name} has expired at {end}"));
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
        own: &Bundle,
        published: &Published,
        issuer: Option<&IssuerPair>,
        anchor: &Certificate,
        now: SystemTime,
    ) -> Result<Next, String> {
        let Some(pair) = issuer else {
            return Ok(Next::Make(Why::Missing));
        };
        let load = |anchors: &TrustAnchors| {
            Issuer::load(&pair.certificate, &pair.key, anchors, &self.scope, now)
        };
        let read = |pem: &[u8]| TrustAnchors::from_pem(pem).map_err(|error| error.to_string());
        let issuer = match load(&read(own.with(own).as_bytes())?) {
            Ok(issuer) => issuer,
            // Somebody has put theirs into the object that was ours.
            Err(_) if read(&published.pem).is_ok_and(|all| load(&all).is_ok()) => {
                return Ok(Next::Theirs);
            }
            Err(error) => return Ok(Next::Make(Why::Unusable(error.to_string()))),
        };
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

    fn successor(
        &self,
        anchor: &Certificate,
        pair: &AnchorPair,
        own: &Bundle,
    ) -> Result<Successor, String> {
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
        let anchors = TrustAnchors::from_pem(own.with(own).as_bytes());
        Ok(Successor {
            root: Root::new(anchor, key).map_err(|error| error.to_string())?,
            anchors: anchors.map_err(|error| error.to_string())?,
        })
    }
}

/// What becomes of the issuer.
enum Next {
    Keep(SystemTime),
    Theirs,
    Make(Why),
}

#[cfg(test)]
mod tests;
