//! Makes the certificates of an authority that is its own root: a trust anchor, and
//! issuers below it.

use crate::{Certificate, IdentityScope, signature::PublicKey};
use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData as _, SerialNumber,
};
use std::time::{Duration, SystemTime};
use thiserror::Error;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Proxies may be on machines with other clocks, so certificates begin earlier: by
/// this, or by a tenth of their life if that is less.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// How long what is made here lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of a trust anchor.
    pub anchor: Duration,
    /// Of an issuer; it is replaced when a third of it is left.
    pub issuer: Duration,
}

impl Default for Lifetimes {
    /// Ten years and one. A trust anchor cannot be replaced while proxies run that
    /// trust no other, so it lasts longer than anybody wants to think of it; an issuer
    /// is replaced by itself, four months before it must be.
    fn default() -> Self {
        Self {
            anchor: 3650 * DAY,
            issuer: 365 * DAY,
        }
    }
}

/// A key or a certificate that could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("cannot make a key or a certificate: {0}")]
pub struct MakingError(String);

impl From<rcgen::Error> for MakingError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

/// Whether a certificate is for this key.
pub(crate) fn is_pair(certificate: &Certificate, key: &KeyPair) -> bool {
    PublicKey::from_der(&key.subject_public_key_info())
        .is_ok_and(|own| own == *certificate.public_key())
}

/// The issuer's subject, as [`Certificate::subject`] says it.
pub(crate) fn issuer_subject(scope: &IdentityScope) -> String {
    format!("CN={}", name("identity", scope))
}

/// A new trust anchor with this key, PEM.
pub(crate) fn anchor(
    key: &KeyPair,
    scope: &IdentityScope,
    lifetime: Duration,
    now: SystemTime,
) -> Result<String, MakingError> {
    // One authority below it: the issuer.
    let mut params = params(&name("root", scope), 1)?;
    params.not_before = (now - earlier(lifetime)).into();
    params.not_after = (now + lifetime).into();
    let certificate = params.self_signed(key)?;
    Ok(certificate.pem())
}

/// A trust anchor with its key.
pub(crate) struct Root {
    issuer: Issuer<'static, KeyPair>,
    not_after: SystemTime,
}

impl Root {
    pub(crate) fn new(anchor: &Certificate, key: KeyPair) -> Result<Self, MakingError> {
        let issuer = Issuer::from_ca_cert_der(anchor.der(), key)?;
        Ok(Self {
            issuer,
            not_after: anchor.not_after(),
        })
    }

    /// A new issuer with this key, PEM. It does not outlast the trust anchor.
    pub(crate) fn issuer(
        &self,
        key: &KeyPair,
        scope: &IdentityScope,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<String, MakingError> {
        let until = (now + lifetime).min(self.not_after);
        self.issuer_until(key, scope, lifetime, until, now)
    }

    /// The same, which may outlast the trust anchor: proxies do not look at the dates of
    /// what they trust.
    pub(crate) fn issuer_until(
        &self,
        key: &KeyPair,
        scope: &IdentityScope,
        lifetime: Duration,
        until: SystemTime,
        now: SystemTime,
    ) -> Result<String, MakingError> {
        let mut params = params(&name("identity", scope), 0)?;
        params.not_before = (now - earlier(lifetime)).into();
        params.not_after = until.into();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(certificate.pem())
    }
}

/// How much before it is made a certificate of this lifetime begins.
fn earlier(lifetime: Duration) -> Duration {
    CLOCK_SKEW.min(lifetime / 10)
}

/// When an issuer is to be replaced by its successor: with a third of its life left.
pub(crate) fn due_at(issuer: &Certificate) -> SystemTime {
    let (begin, end) = (issuer.not_before(), issuer.not_after());
    end - end.duration_since(begin).unwrap_or_default() / 3
}

fn name(what: &str, scope: &IdentityScope) -> String {
    let namespace = scope.control_plane_namespace();
    format!("{what}.{namespace}.{}", scope.trust_domain())
}

fn params(common_name: &str, path_length: u8) -> Result<CertificateParams, MakingError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // One made from the key, as rcgen's is, would be the same for each renewal.
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| {
        let problem = "the system has no random numbers";
        MakingError(problem.to_owned())
    })?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}
