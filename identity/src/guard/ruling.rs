//! Whether an issuer may sign in place of another: a function of what is known.

use crate::{Certificate, certificate::date};
use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// What is known of an issuer that is there, and of the one that signs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// Whether each published anchor that vouches for the one that signs vouches for the
    /// new one, too.
    pub(super) has_same_anchors: bool,
    /// Until when the one that signs verifies by what is published; `None` if it does not.
    pub(super) good_until: Option<SystemTime>,
    /// How long before that it is given up ([`margin`]).
    pub(super) margin: Duration,
    /// Whether somebody wants the new one to sign in any case.
    pub(super) is_asked: bool,
    pub(super) laggards: Laggards,
}

/// Pods that do not trust the new issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Laggards {
    /// Nobody has looked.
    NotCounted,
    /// Nobody can tell.
    Unknown,
    Gone,
    Some,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It signs from now on.
    Take(Why),
    /// The one that signs goes on, at the longest until then.
    Hold(SystemTime),
    /// Pods have to be counted first.
    Count,
}

/// Why an issuer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There was none in this process.
    First,
    /// The same trust it as trusted the one before.
    SameAnchors,
    /// The bundle has no anchor of the one before any more.
    Withdrawn,
    /// The one before is too near its end.
    Ends(SystemTime),
    Asked,
    /// All pods trust it.
    Trusted,
}

/// What is to become of the new issuer.
pub(super) fn rule(facts: &Facts, now: SystemTime) -> Ruling {
    if facts.has_same_anchors {
        return Ruling::Take(Why::SameAnchors);
    }
    // An anchor is taken out of the bundle because it is not to be relied on any more.
    let Some(end) = facts.good_until else {
        return Ruling::Take(Why::Withdrawn);
    };
    let latest = end.checked_sub(facts.margin).unwrap_or(now);
    if now >= latest {
        return Ruling::Take(Why::Ends(end));
    }
    if facts.is_asked {
        return Ruling::Take(Why::Asked);
    }
    match facts.laggards {
        Laggards::NotCounted => Ruling::Count,
        Laggards::Gone => Ruling::Take(Why::Trusted),
        // Who cannot be counted may be there, and nobody is worse off meanwhile.
        Laggards::Unknown | Laggards::Some => Ruling::Hold(latest),
    }
}

/// How long before its end an issuer is given up, whoever is cut off: a leaf's life, from
/// which on it cannot give a whole one; with less left, all would have to renew at the same
/// time, and more and more often. Of an issuer that itself lives for some days only, a third
/// of its life, or it would be given up as soon as its successor is there.
pub(super) fn margin(leaf: Duration, issuer: &Certificate) -> Duration {
    let life = issuer.not_after().duration_since(issuer.not_before());
    leaf.min(life.unwrap_or_default() / 3)
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("as there is no other since this process has started"),
            Self::SameAnchors => f.write_str("under the same trust anchors as the one before"),
            Self::Withdrawn => {
                f.write_str("because the bundle has no trust anchor of the one before any more")
            }
            Self::Ends(end) => write!(f, "because the one before ends at {}", date(*end)),
            Self::Asked => f.write_str("because somebody has asked for it"),
            Self::Trusted => f.write_str("since all that there were trusted it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Laggards::{Gone, NotCounted, Some as Behind, Unknown},
        *,
    };
    use rcgen::{CertificateParams, KeyPair};

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_new_issuer_waits_only_while_the_old_one_is_good_and_somebody_would_be_cut_off() {
        let now = SystemTime::UNIX_EPOCH + 500_000 * HOUR;
        let (far, near) = (Some(now + 48 * HOUR), Some(now + 24 * HOUR));
        let hold = Ruling::Hold(now + 24 * HOUR);
        let ends = Ruling::Take(Why::Ends(now + 24 * HOUR));
        let take = Ruling::Take;
        for (has_same_anchors, good_until, is_asked, laggards, expected) in [
            // Renewed under the same anchor: nobody is counted.
            (true, far, false, NotCounted, take(Why::SameAnchors)),
            (true, None, false, NotCounted, take(Why::SameAnchors)),
            (false, far, false, NotCounted, Ruling::Count),
            (false, far, false, Gone, take(Why::Trusted)),
            (false, far, false, Behind, hold),
            // The API server does not answer, or does not allow it.
            (false, far, false, Unknown, hold),
            (false, far, true, Behind, take(Why::Asked)),
            (false, far, true, Unknown, take(Why::Asked)),
            (false, near, false, NotCounted, ends),
            (false, near, false, Behind, ends),
            (false, near, false, Unknown, ends),
            // Expired, or its anchor is not published any more.
            (false, None, false, NotCounted, take(Why::Withdrawn)),
            (false, None, false, Behind, take(Why::Withdrawn)),
        ] {
            let facts = Facts {
                has_same_anchors,
                good_until,
                margin: 24 * HOUR,
                is_asked,
                laggards,
            };
            assert_eq!(rule(&facts, now), expected, "{facts:?}");
        }
    }

    #[test]
    fn an_issuer_is_given_up_a_leafs_life_before_its_end_or_a_third_of_its_own() {
        for (life, expected) in [
            (8760 * HOUR, 24 * HOUR),
            (72 * HOUR, 24 * HOUR),
            // As cert-manager renews it 25 hours before its end.
            (48 * HOUR, 16 * HOUR),
        ] {
            let begin = SystemTime::UNIX_EPOCH + 500_000 * HOUR;
            let mut params = CertificateParams::default();
            params.not_before = begin.into();
            params.not_after = (begin + life).into();
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let certificate = Certificate::from_der(certificate.der()).unwrap();
            assert_eq!(margin(24 * HOUR, &certificate), expected, "{life:?}");
        }
    }
}
