//! How the authority and its leaves are made.

use super::super::certificate::Served;
use anyhow::Context as _;
use ferrule_identity::{Certificate, IdentityScope, Issuer, Validity};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PublicKeyData as _,
};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName},
    sign::CertifiedKey,
};
use std::time::{Duration, SystemTime};

/// Clocks of API servers may be behind by so much, or a tenth of a shorter life.
const CLOCK_SKEW: Duration = Duration::from_secs(300);
/// How long API servers are given to learn of a bundle, or a twentieth of a short
/// authority's life: they watch the configurations.
const SETTLE: Duration = Duration::from_secs(60);

/// For how long certificates are good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    /// An authority's.
    pub(crate) authority: Duration,
    /// A replica's certificate's; at most a third of that.
    pub(crate) leaf: Duration,
}

impl Lifetimes {
    /// How long the bundle has to be everywhere before leaves need it.
    pub(super) fn settle(&self) -> Duration {
        SETTLE.min(self.authority / 20)
    }

    /// How long a leaf may live on under an authority that signs no more, with all
    /// that replicas need to hear of it.
    pub(super) fn leaf_at_most(&self) -> Duration {
        self.leaf + skew(self.leaf) + self.settle()
    }
}

fn skew(life: Duration) -> Duration {
    CLOCK_SKEW.min(life / 10)
}

/// When something of this life is replaced: after two thirds of it.
pub(super) fn renew_at(certificate: &Certificate) -> SystemTime {
    let (begin, end) = (certificate.not_before(), certificate.not_after());
    begin + end.duration_since(begin).unwrap_or_default() * 2 / 3
}

/// A new authority: certificate and key, PEM.
pub(super) fn authority(
    scope: &IdentityScope,
    lifetimes: &Lifetimes,
    now: SystemTime,
) -> anyhow::Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let name = format!("webhooks.{}.svc", scope.control_plane_namespace());
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - skew(lifetimes.authority)).into();
    params.not_after = (now + lifetimes.authority).into();
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

/// A certificate of this replica's own, for a key that is never written anywhere.
pub(super) fn leaf(
    issuer: &Issuer,
    names: &[ServerName<'_>],
    lifetimes: &Lifetimes,
    now: SystemTime,
) -> anyhow::Result<Served> {
    let key = KeyPair::generate()?;
    let validity = Validity::new(lifetimes.leaf, skew(lifetimes.leaf))?;
    let leaf = issuer.sign_server(names, &key.subject_public_key_info(), &validity, now)?;
    let chain = vec![CertificateDer::from(leaf.der)];
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let provider = CryptoProvider::get_default().expect("installed first in main");
    let certificate = Certificate::from_der(&chain[0]).context("the certificate just made")?;
    let certified = CertifiedKey::from_der(chain, key, provider)?;
    Served::new(certificate, certified)
}
