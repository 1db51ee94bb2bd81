//! Says in good time that a certificate of the authority is about to expire
//! (ruling 12, operations.md 7.5).

use super::Credentials;
use crate::{Certificate, Notice, Notices, certificate::date};
use std::{collections::HashMap, time::SystemTime};
use tracing::{error, warn};

/// How far a certificate's life has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Less than the smaller of 60 days and a third of its life is left.
    Aging,
    /// Less than three tenths of that: a tenth of a short life, 18 days of a long
    /// one.
    Old,
    Expired,
}

impl Stage {
    fn of(certificate: &Certificate, now: SystemTime) -> Option<Self> {
        let (begin, end) = (certificate.warn_from(), certificate.not_after());
        if now < begin {
            return None;
        }
        let warned = end.duration_since(begin).unwrap_or_default();
        Some(match end.duration_since(now) {
            Err(_) => Stage::Expired,
            Ok(left) if left < warned * 3 / 10 => Stage::Old,
            Ok(_) => Stage::Aging,
        })
    }
}

/// Remembers what was said of which certificate.
#[derive(Debug, Default)]
pub(crate) struct ExpiryWatch(HashMap<String, Stage>);

impl ExpiryWatch {
    /// Says what is new of the issuer, its parents and the trust anchors.
    pub(crate) fn look(&mut self, credentials: &Credentials, notices: &Notices, now: SystemTime) {
        let chain = credentials.issuer.chain().iter();
        let chain = chain.map(|certificate| ("issuer", certificate));
        let anchors = credentials.anchors.certificates().iter();
        let anchors = anchors.map(|certificate| ("trust anchor", certificate));
        let mut said = HashMap::new();
        for (what, certificate) in chain.chain(anchors) {
            let Some(stage) = Stage::of(certificate, now) else {
                continue;
            };
            let fingerprint = certificate.fingerprint();
            if self.0.get(fingerprint) != Some(&stage) && !said.contains_key(fingerprint) {
                let text = say(what, certificate, stage);
                notices.tell(|| Notice::Expiring {
                    text,
                    fingerprint: fingerprint.to_owned(),
                });
            }
            said.insert(fingerprint.to_owned(), stage);
        }
        self.0 = said;
    }
}

fn say(what: &str, certificate: &Certificate, stage: Stage) -> String {
    let subject = certificate.subject();
    let end = date(certificate.not_after());
    match stage {
        Stage::Aging | Stage::Old => {
            let text = format!("the {what} {subject} expires at {end}: replace it before");
            warn!("{text}");
            text
        }
        Stage::Expired => {
            let text = format!("the {what} {subject} has expired at {end}: replace it");
            error!("{text}");
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use std::time::Duration;

    #[test]
    fn the_stages_of_a_life_follow_its_length() {
        const DAY: u64 = 24 * 3600;
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for (days, stages) in [
            // A third of 90 days.
            (
                90,
                [
                    (0, None),
                    (59, None),
                    (61, Some(Stage::Aging)),
                    (80, Some(Stage::Aging)),
                    (82, Some(Stage::Old)),
                    (91, Some(Stage::Expired)),
                ],
            ),
            // 60 days of ten years.
            (
                3650,
                [
                    (0, None),
                    (3589, None),
                    (3591, Some(Stage::Aging)),
                    (3631, Some(Stage::Aging)),
                    (3633, Some(Stage::Old)),
                    (3651, Some(Stage::Expired)),
                ],
            ),
        ] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.not_before = begin.into();
            params.not_after = (begin + Duration::from_secs(days * DAY)).into();
            let certificate = params.self_signed(&key).unwrap();
            let certificate = Certificate::from_der(certificate.der()).unwrap();
            for (day, expected) in stages {
                let now = begin + Duration::from_secs(day * DAY);
                let stage = Stage::of(&certificate, now);
                assert_eq!(stage, expected, "day {day} of {days}");
            }
        }
    }
}
