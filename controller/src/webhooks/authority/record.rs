//! The authorities as they are in the Secret, and which step is due.

use super::{
    NAME,
    certificates::{self, Lifetimes, renew_at},
};
use anyhow::{Context as _, anyhow};
use ferrule_identity::{Certificate, IdentityScope, Issuer, TrustAnchors, date};
use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::api::ObjectMeta;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

const CURRENT: (&str, &str) = ("ca.crt", "ca.key");
const NEXT: (&str, &str) = ("next-ca.crt", "next-ca.key");
const PREVIOUS: &str = "previous-ca.crt";
const PREVIOUS_UNTIL: &str = "previous-ca-until";

/// All authorities that leaves may be verified by.
#[derive(Clone, Debug)]
pub(in super::super) struct Authorities {
    /// Signs.
    pub(super) current: Authority,
    /// Will sign.
    pub(super) next: Option<Authority>,
    /// Does not sign any more, and until when its leaves may be in use.
    pub(super) previous: Option<Previous>,
}

/// One that signs, or will.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) issuer: Arc<Issuer>,
    certificate: String,
    key: String,
}

/// One that signs no more.
#[derive(Clone, Debug)]
pub(super) struct Previous {
    certificate: String,
    until: SystemTime,
}

/// What is to be done next, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Another authority is to be made.
    MakeNext,
    /// The next one is to sign, once all API servers know it.
    Promote,
    /// The previous one is no longer needed.
    DropPrevious,
    /// Nothing before that.
    Nothing(SystemTime),
}

impl Authority {
    /// A new one.
    pub(super) fn make(
        scope: &IdentityScope,
        lifetimes: &Lifetimes,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let (certificate, key) = certificates::authority(scope, lifetimes, now)?;
        Self::read(certificate, key, scope, now)
    }

    /// One that is good now.
    fn read(
        certificate: String,
        key: String,
        scope: &IdentityScope,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let anchors = TrustAnchors::from_pem(certificate.as_bytes())?;
        let issuer = Issuer::load(certificate.as_bytes(), key.as_bytes(), &anchors, scope, now)?;
        Ok(Self {
            issuer: Arc::new(issuer),
            certificate,
            key,
        })
    }

    fn certificate(&self) -> &Certificate {
        self.issuer.certificate()
    }
}

impl Authorities {
    /// The first ones. What signed before, if that is known, stays in the bundle.
    pub(super) fn first(
        before: Option<&Authorities>,
        scope: &IdentityScope,
        lifetimes: &Lifetimes,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            current: Authority::make(scope, lifetimes, now)?,
            next: None,
            previous: before.map(|before| before.current.retire(lifetimes, now)),
        })
    }

    /// Reads a Secret.
    ///
    /// # Errors
    /// What signs is not there, or not good now. Anything else is left out.
    pub(super) fn read(
        secret: &Secret,
        scope: &IdentityScope,
        now: SystemTime,
    ) -> anyhow::Result<Self> {
        let none = BTreeMap::new();
        let data = secret.data.as_ref().unwrap_or(&none);
        let text = |key: &str| {
            let ByteString(bytes) = data
                .get(key)
                .with_context(|| format!("there is no {key}"))?;
            String::from_utf8(bytes.clone()).map_err(|_| anyhow!("{key} is not UTF-8"))
        };
        let authority = |(certificate, key): (&str, &str)| {
            Authority::read(text(certificate)?, text(key)?, scope, now)
                .with_context(|| format!("{certificate}, {key}"))
        };
        let previous = || {
            let certificate = text(PREVIOUS)?;
            Certificate::chain_from_pem(certificate.as_bytes())?;
            let until: Timestamp = text(PREVIOUS_UNTIL)?.trim().parse()?;
            anyhow::Ok(Previous {
                certificate,
                until: until.into(),
            })
        };
        Ok(Self {
            current: authority(CURRENT)?,
            next: authority(NEXT).ok(),
            previous: previous().ok(),
        })
    }

    /// What the Secret holds then.
    pub(super) fn secret(&self, namespace: &str) -> Secret {
        let mut data: BTreeMap<&str, String> = BTreeMap::new();
        let mut add = |(certificate, key), authority: &Authority| {
            data.insert(certificate, authority.certificate.clone());
            data.insert(key, authority.key.clone());
        };
        add(CURRENT, &self.current);
        if let Some(next) = &self.next {
            add(NEXT, next);
        }
        if let Some(previous) = &self.previous {
            data.insert(PREVIOUS, previous.certificate.clone());
            data.insert(PREVIOUS_UNTIL, date(previous.until).to_string());
        }
        let labels = [
            ("linkerd.io/control-plane-component", "destination"),
            ("linkerd.io/control-plane-ns", namespace),
        ];
        let entries = data.into_iter();
        Secret {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(namespace.to_owned()),
                labels: Some(labels.map(|(key, value)| (key.into(), value.into())).into()),
                ..ObjectMeta::default()
            },
            data: Some(
                entries
                    .map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes())))
                    .collect(),
            ),
            ..Secret::default()
        }
    }

    /// The certificate of the one that signs, PEM.
    pub(in super::super) fn signing(&self) -> &str {
        &self.current.certificate
    }

    /// The certificates that leaves are verified by, PEM.
    pub(super) fn bundle(&self) -> String {
        let next = self.next.as_ref().map(|next| &next.certificate);
        let previous = self.previous.as_ref().map(|previous| &previous.certificate);
        let all = [Some(&self.current.certificate), next, previous];
        all.into_iter()
            .flatten()
            .fold(String::new(), |mut all, one| {
                all.push_str(one.trim_end());
                all.push('\n');
                all
            })
    }

    /// The step that is due.
    pub(super) fn due(&self, now: SystemTime) -> Due {
        if let Some(previous) = &self.previous
            && previous.until <= now
        {
            return Due::DropPrevious;
        }
        if self.next.is_some() {
            return Due::Promote;
        }
        let renewal = renew_at(self.current.certificate());
        if renewal <= now {
            return Due::MakeNext;
        }
        let drop = self.previous.as_ref().map(|previous| previous.until);
        Due::Nothing(drop.map_or(renewal, |drop| drop.min(renewal)))
    }

    /// With another authority, that does not sign yet.
    pub(super) fn with_next(&self, next: Authority) -> Self {
        Self {
            next: Some(next),
            ..self.clone()
        }
    }

    /// With the next one signing, and the last one trusted for as long as it may be
    /// needed.
    pub(super) fn promoted(&self, lifetimes: &Lifetimes, now: SystemTime) -> Self {
        let Some(next) = self.next.clone() else {
            return self.clone();
        };
        Self {
            previous: Some(self.current.retire(lifetimes, now)),
            current: next,
            next: None,
        }
    }

    /// Without the previous one.
    pub(super) fn without_previous(&self) -> Self {
        Self {
            previous: None,
            ..self.clone()
        }
    }
}

/// What makes the Secret of this version that one.
pub(super) fn change(secret: &Secret, version: &str) -> Value {
    let mut data = json!({});
    for key in [
        CURRENT.0,
        CURRENT.1,
        NEXT.0,
        NEXT.1,
        PREVIOUS,
        PREVIOUS_UNTIL,
    ] {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        data[key] = json!(value);
    }
    json!({"metadata": {"resourceVersion": version}, "data": data})
}

impl Authority {
    fn retire(&self, lifetimes: &Lifetimes, now: SystemTime) -> Previous {
        Previous {
            certificate: self.certificate.clone(),
            until: (now + lifetimes.leaf_at_most()).min(self.certificate().not_after()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const LIFETIMES: Lifetimes = Lifetimes {
        authority: Duration::from_secs(3000 * 24 * 3600),
        leaf: Duration::from_secs(90 * 24 * 3600),
    };

    fn install() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }

    fn scope() -> IdentityScope {
        IdentityScope::new("linkerd", "cluster.local").expect("valid")
    }

    fn certificates(bundle: &str) -> usize {
        bundle.matches("BEGIN CERTIFICATE").count()
    }

    #[test]
    fn an_authority_is_replaced_in_steps_during_which_both_are_trusted() {
        install();
        let (scope, start) = (scope(), SystemTime::now());
        let first = Authorities::first(None, &scope, &LIFETIMES, start).expect("made");
        assert!(matches!(first.due(start), Due::Nothing(then) if then > start + DAY * 1999));
        assert_eq!(certificates(&first.bundle()), 1);

        let renewal = start + DAY * 2001;
        assert_eq!(first.due(renewal), Due::MakeNext);
        let next = Authority::make(&scope, &LIFETIMES, renewal).expect("made");
        let second = first.with_next(next);
        assert_eq!(second.due(renewal), Due::Promote);
        assert_eq!(certificates(&second.bundle()), 2);
        let signing = |of: &Authorities| of.current.certificate().fingerprint().to_owned();
        assert_eq!(
            signing(&second),
            signing(&first),
            "it is not known everywhere yet"
        );

        let third = second.promoted(&LIFETIMES, renewal);
        assert_ne!(signing(&third), signing(&first));
        assert_eq!(
            certificates(&third.bundle()),
            2,
            "leaves of the last one are in use"
        );
        assert!(
            matches!(third.due(renewal), Due::Nothing(then) if then > renewal + LIFETIMES.leaf)
        );
        let later = renewal + LIFETIMES.leaf + DAY;
        assert_eq!(third.due(later), Due::DropPrevious);
        let fourth = third.without_previous();
        assert_eq!(certificates(&fourth.bundle()), 1);
        assert_eq!(signing(&fourth), signing(&third));
    }

    #[test]
    fn what_is_written_is_read_and_what_is_spoilt_is_told() {
        install();
        let (scope, now) = (scope(), SystemTime::now());
        let first = Authorities::first(None, &scope, &LIFETIMES, now).expect("made");
        let next = Authority::make(&scope, &LIFETIMES, now).expect("made");
        let all = first.with_next(next).promoted(&LIFETIMES, now);
        let next = Authority::make(&scope, &LIFETIMES, now).expect("made");
        let all = all.with_next(next);
        let secret = all.secret("linkerd");
        let read = Authorities::read(&secret, &scope, now).expect("good");
        assert_eq!(read.bundle(), all.bundle());
        assert_eq!(certificates(&read.bundle()), 3);
        assert_eq!(read.secret("linkerd"), secret);

        for (key, text, left) in [
            ("ca.crt", "", None),
            ("ca.key", "nonsense", None),
            ("next-ca.key", "nonsense", Some(2)),
            ("previous-ca-until", "soon", Some(2)),
        ] {
            let mut spoilt = secret.clone();
            let data = spoilt.data.as_mut().expect("it has some");
            data.insert(key.to_owned(), ByteString(text.into()));
            let read = Authorities::read(&spoilt, &scope, now);
            let found = read.as_ref().ok().map(|read| certificates(&read.bundle()));
            assert_eq!(found, left, "{key}: {read:?}");
        }
        // One that nobody renewed while nothing ran.
        let late = now + LIFETIMES.authority + DAY;
        assert!(Authorities::read(&secret, &scope, late).is_err());
        let replaced = Authorities::first(Some(&all), &scope, &LIFETIMES, now).expect("made");
        assert_eq!(certificates(&replaced.bundle()), 2);
    }
}
