//! The issuer: whether it stays, and what another is made with.

use super::{AnchorPair, Anchors, IssuerPair, Published, Rules, Successor, Why, lost};
use crate::{
    Certificate, Issuer, TrustAnchors,
    certificate::date,
    making::{self, Root},
    managed::{
        bundle::Bundle,
        rotation::{Phase, Waits, WaitsFor},
    },
};
use rcgen::KeyPair;
use std::time::{Duration, SystemTime};

/// What becomes of the issuer.
pub(super) enum Next {
    Keep(SystemTime),
    Theirs,
    Make(Why),
}

impl Rules {
    /// What becomes of the issuer.
    pub(super) fn issuer(
        &self,
        anchors: &Anchors,
        own: &Bundle,
        published: &Published,
        issuer: Option<&IssuerPair>,
        now: SystemTime,
    ) -> Result<Next, Waits> {
        let anchor = own.certificates().next().expect("looked at before");
        if now > anchor.not_after() {
            let (name, end) = (&self.names.anchor, date(anchor.not_after()));
            let text = format!("the trust anchor in {name} has expired at {end}");
            return Err(lost(text));
        }
        let Some(pair) = issuer else {
            return Ok(Next::Make(Why::Missing));
        };
        let load = |anchors: &TrustAnchors| {
            Issuer::load(&pair.certificate, &pair.key, anchors, &self.scope, now)
        };
        let read = |pem: &[u8]| TrustAnchors::from_pem(pem).map_err(lost);
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

    pub(super) fn successor(&self, anchors: &Anchors, own: &Bundle) -> Result<Successor, Waits> {
        let root = |anchor: &Certificate, pair: &AnchorPair| {
            let key = self.key(anchor, pair)?;
            Root::new(anchor, key).map_err(lost)
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
                    lost(format!(
                        "previous.crt in {name} cannot be read: put back what was there"
                    ))
                })?;
                Some(root(held, previous)?)
            }
            _ => None,
        };
        let trusted = TrustAnchors::from_pem(own.with(own).as_bytes());
        Ok(Successor {
            root: root(anchor, &anchors.current)?,
            cross,
            anchors: trusted.map_err(lost)?,
        })
    }

    /// The key of an anchor.
    pub(super) fn key(&self, anchor: &Certificate, pair: &AnchorPair) -> Result<KeyPair, Waits> {
        let name = &self.names.anchor;
        let lost = |text: &str| Waits::new(WaitsFor::Key, format!("{name} {text}"));
        let Some(key) = &pair.key else {
            return Err(lost(
                "has no key, and an issuer must be signed with it: put it there",
            ));
        };
        let key = std::str::from_utf8(key).ok();
        let key = key.and_then(|pem| KeyPair::from_pem(pem).ok());
        let key = key.ok_or_else(|| lost("holds no private key that can be read"))?;
        if !making::is_pair(anchor, &key) {
            return Err(lost(
                "holds a key that is not its certificate's: put back what was there",
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
