//! What a Ferrule says of its certificates.

use crate::output::span;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The answer of `/debug/identity`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) trust_domain: String,
    pub(crate) control_plane_namespace: String,
    pub(crate) trust_anchors: Vec<Certificate>,
    /// What signs; none where the identity role does not run.
    pub(crate) issuer: Option<Issuer>,
    /// What the process shows on its own listeners.
    pub(crate) served: Vec<Served>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Issuer {
    /// What signs first, as in the file.
    pub(crate) chain: Vec<Certificate>,
    /// Why the files as they are now are not used.
    pub(crate) last_error: Option<String>,
    /// Another that is there and does not sign yet; older versions do not say.
    #[serde(default)]
    pub(crate) held_back: Option<HeldIssuer>,
    /// Why the process, which is to keep it, cannot; older versions do not say.
    #[serde(default)]
    pub(crate) not_kept_because: Option<String>,
}

/// An issuer that not all pods trust.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeldIssuer {
    sha256: String,
    /// When it signs at the latest.
    until: Timestamp,
    waits_for: String,
}

impl fmt::Display for HeldIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuer: String = self.sha256.chars().take(super::FINGERPRINT).collect();
        let Self {
            until, waits_for, ..
        } = self;
        write!(f, "{issuer}, until {until} at the latest: {waits_for}")
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Served {
    pub(crate) identity: String,
    /// None before the first.
    pub(crate) certificate: Option<Certificate>,
    /// Why there is no newer one.
    pub(crate) error: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Certificate {
    pub(crate) subject: String,
    pub(crate) serial: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// When it is time to renew it (ruling 12).
    pub(crate) warn_from: Timestamp,
    pub(crate) algorithm: String,
    pub(crate) sha256: String,
}

impl Report {
    /// Whether there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.trust_anchors.is_empty() && self.issuer.is_none() && self.served.is_empty()
    }

    /// The issuer that is there and does not sign yet.
    pub(crate) fn held(&self) -> Option<&HeldIssuer> {
        self.issuer.as_ref()?.held_back.as_ref()
    }

    /// Why the process cannot keep the issuer, if it is to and cannot.
    pub(crate) fn stuck(&self) -> Option<&str> {
        self.issuer.as_ref()?.not_kept_because.as_deref()
    }

    /// What somebody should look after.
    pub(crate) fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut warnings = Vec::new();
        let anchors = self.trust_anchors.iter();
        let chain = self.issuer.iter().flat_map(|issuer| &issuer.chain);
        let lasting = anchors
            .map(|anchor| ("trust anchor", anchor))
            .chain(chain.map(|certificate| ("issuer", certificate)));
        for (kind, certificate) in lasting {
            let Some(state) = certificate.trouble(now) else {
                continue;
            };
            warnings.push(format!("{kind} {} {state}", certificate.subject));
        }
        let error = self
            .issuer
            .as_ref()
            .and_then(|issuer| issuer.last_error.as_ref());
        warnings.extend(error.map(|error| format!("the issuer's files are not used: {error}")));
        warnings.extend(self.stuck().map(ToOwned::to_owned));
        let held = self.held();
        warnings.extend(held.map(|held| format!("another issuer waits: {held}")));
        for served in &self.served {
            warnings.extend(served.warning(now));
        }
        warnings
    }
}

impl Served {
    /// The process renews these by itself, so being due is nothing to say.
    fn warning(&self, now: Timestamp) -> Option<String> {
        let identity = &self.identity;
        let certificate = self.certificate.as_ref();
        let state = match certificate.map(|certificate| certificate.validity(now)) {
            None => "has no certificate yet",
            Some(Validity::Expired) => "is served with an expired certificate",
            Some(Validity::Future) => "is served with a certificate that is not valid yet",
            Some(Validity::Current | Validity::Due) => match &self.error {
                Some(error) => {
                    return Some(format!(
                        "the certificate of {identity} is not renewed: {error}"
                    ));
                }
                None => return None,
            },
        };
        let error = self.error.iter().map(|error| format!(": {error}"));
        Some(format!("{identity} {state}{}", error.collect::<String>()))
    }
}

/// Where a moment is in the life of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validity {
    Future,
    Current,
    /// It is time to renew it.
    Due,
    Expired,
}

impl Certificate {
    /// What is told of a certificate that was read here.
    pub(crate) fn of(certificate: &ferrule_identity::Certificate) -> Self {
        use ferrule_identity::date;
        Self {
            subject: certificate.subject().to_owned(),
            serial: certificate.serial().to_owned(),
            not_before: date(certificate.not_before()),
            not_after: date(certificate.not_after()),
            warn_from: date(certificate.warn_from()),
            algorithm: certificate.public_key().algorithm().to_string(),
            sha256: certificate.fingerprint().to_owned(),
        }
    }

    /// What is to be said of its dates, if anything.
    pub(crate) fn trouble(&self, now: Timestamp) -> Option<String> {
        Some(match self.validity(now) {
            Validity::Current => return None,
            Validity::Due => format!(
                "expires in {}; it is time to renew it",
                span(self.left(now).as_secs())
            ),
            Validity::Expired => "has expired".to_owned(),
            Validity::Future => format!("is not valid before {}", self.not_before),
        })
    }

    pub(crate) fn validity(&self, now: Timestamp) -> Validity {
        if now > self.not_after {
            Validity::Expired
        } else if now < self.not_before {
            Validity::Future
        } else if now >= self.warn_from {
            Validity::Due
        } else {
            Validity::Current
        }
    }

    /// How long it is still valid.
    pub(crate) fn left(&self, now: Timestamp) -> SignedDuration {
        self.not_after.duration_since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(subject: &str, days: [i64; 3]) -> Certificate {
        let day = |day: i64| Timestamp::from_second(day * 24 * 3600).unwrap();
        Certificate {
            subject: subject.into(),
            serial: "01".into(),
            not_before: day(days[0]),
            warn_from: day(days[1]),
            not_after: day(days[2]),
            algorithm: "ECDSA P-256".into(),
            sha256: "00".into(),
        }
    }

    fn served(certificate: Option<Certificate>, error: Option<&str>) -> Served {
        Served {
            identity: "linkerd-destination".into(),
            certificate,
            error: error.map(Into::into),
        }
    }

    fn report(anchor: Certificate, issuer: Certificate, served: Served) -> Report {
        Report {
            trust_domain: "cluster.local".into(),
            control_plane_namespace: "linkerd".into(),
            trust_anchors: vec![anchor],
            issuer: Some(Issuer {
                chain: vec![issuer],
                last_error: None,
                held_back: None,
                not_kept_because: None,
            }),
            served: vec![served],
        }
    }

    #[test]
    fn what_lasts_is_warned_of_when_it_is_due() {
        let warnings = |day: i64| {
            let leaf = certificate("leaf", [90, 90, 200]);
            report(
                certificate("CN=root", [0, 940, 1000]),
                certificate("CN=issuer", [10, 90, 100]),
                served(Some(leaf), None),
            )
            .warnings(Timestamp::from_second(day * 24 * 3600).unwrap())
        };
        assert_eq!(
            warnings(5),
            [
                "issuer CN=issuer is not valid before 1970-01-11T00:00:00Z",
                "linkerd-destination is served with a certificate that is not valid yet",
            ]
        );
        // Leaves are renewed by the process itself.
        assert_eq!(
            warnings(90),
            ["issuer CN=issuer expires in 10d; it is time to renew it"]
        );
        assert_eq!(warnings(101), ["issuer CN=issuer has expired"]);
        assert_eq!(
            warnings(950),
            [
                "trust anchor CN=root expires in 50d; it is time to renew it",
                "issuer CN=issuer has expired",
                "linkerd-destination is served with an expired certificate",
            ]
        );
    }

    #[test]
    fn what_went_wrong_is_said() {
        let good = || certificate("good", [0, 90, 100]);
        let mut stuck = report(good(), good(), served(None, Some("nobody answers")));
        if let Some(issuer) = &mut stuck.issuer {
            issuer.last_error = Some("tls.key: no key".into());
            issuer.not_kept_because = Some("the identity issuer cannot be kept: no key".into());
        }
        let now = Timestamp::from_second(1).unwrap();
        if let Some(issuer) = &mut stuck.issuer {
            issuer.held_back = serde_json::from_value(serde_json::json!({
                "sha256": "7d10c4e2b1aa0000",
                "until": "2026-11-21T19:31:07Z",
                "laggards": 2,
                "waitsFor": "it is not trusted by 2 pods of 1 workload: shop/deployment/web",
            }))
            .unwrap();
        }
        assert_eq!(
            stuck.warnings(now),
            [
                "the issuer's files are not used: tls.key: no key",
                "the identity issuer cannot be kept: no key",
                "another issuer waits: 7d10c4e2b1aa, until 2026-11-21T19:31:07Z at the latest: it \
                 is not trusted by 2 pods of 1 workload: shop/deployment/web",
                "linkerd-destination has no certificate yet: nobody answers",
            ]
        );
        stuck.served = vec![served(Some(good()), Some("nobody answers"))];
        assert_eq!(
            stuck.warnings(now)[3],
            "the certificate of linkerd-destination is not renewed: nobody answers"
        );
    }

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (2 * 3600, "2h"),
            (48 * 3600 - 1, "47h"),
            (365 * 24 * 3600, "365d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
