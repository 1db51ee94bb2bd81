//! The certificates of an authority that is its own root.

use super::StateError;
use crate::{Certificate, IdentityScope};
use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SerialNumber,
};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long a trust anchor lasts. It cannot be replaced while proxies run that
/// trust it, so long.
const ANCHOR_LIFE: Duration = DAY.saturating_mul(3650);
/// How long an issuer lasts.
const ISSUER_LIFE: Duration = DAY.saturating_mul(365);
/// Proxies may be on machines with other clocks.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// The issuer's subject, as [`Certificate::subject`] says it.
pub(super) fn issuer_subject(scope: &IdentityScope) -> String {
    format!("CN={}", name("identity", scope))
}

/// A new trust anchor with this key, PEM.
pub(super) fn anchor(
    key: &KeyPair,
    scope: &IdentityScope,
    now: SystemTime,
) -> Result<String, StateError> {
    // One authority below it: the issuer.
    let mut params = params(&name("root", scope), 1)?;
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + ANCHOR_LIFE).into();
    let certificate = params.self_signed(key)?;
    Ok(certificate.pem())
}

/// A trust anchor with its key.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    not_after: SystemTime,
}

impl Authority {
    pub(super) fn new(anchor: &Certificate, key: KeyPair) -> Result<Self, StateError> {
        let issuer = Issuer::from_ca_cert_der(anchor.der(), key)?;
        Ok(Self {
            issuer,
            not_after: anchor.not_after(),
        })
    }

    /// A new issuer with this key, PEM.
    pub(super) fn issuer(
        &self,
        key: &KeyPair,
        scope: &IdentityScope,
        now: SystemTime,
    ) -> Result<String, StateError> {
        let mut params = params(&name("identity", scope), 0)?;
        params.not_before = (now - CLOCK_SKEW).into();
        params.not_after = (now + ISSUER_LIFE).min(self.not_after).into();
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(certificate.pem())
    }
}

fn name(what: &str, scope: &IdentityScope) -> String {
    let namespace = scope.control_plane_namespace();
    format!("{what}.{namespace}.{}", scope.trust_domain())
}

fn params(common_name: &str, path_length: u8) -> Result<CertificateParams, StateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // One made from the key, as rcgen's is, would be the same for each renewal.
    let mut serial = [0; 16];
    rand::fill(&mut serial).map_err(|_| StateError::Making {
        what: "a certificate",
        problem: "the system has no random numbers".to_owned(),
    })?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}
