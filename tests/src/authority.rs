//! Certificates for tests: a root, an issuer below it, and leaves.

use crate::proxy::{ClientCertificate, certified_key};
use anyhow::Context as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// How long root and issuer have held, and will.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How far back leaves begin, unless they have ended: clocks differ.
const SKEW: Duration = Duration::from_secs(20);

/// A certificate authority with keys of its own: a self-signed root and an issuer
/// for 1 year, P-256.
pub struct TestAuthority {
    root: CertifiedIssuer<'static, KeyPair>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A leaf's chain and key.
#[derive(Clone, Debug)]
pub struct Leaf(Arc<CertifiedKey>);

/// When a leaf holds.
#[derive(Clone, Copy, Debug)]
pub enum Validity {
    /// From a little while ago, for so long from now.
    For(Duration),
    /// It did until so long ago.
    EndedAgo(Duration),
}

impl TestAuthority {
    /// One that shares nothing with any other.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn new() -> anyhow::Result<Self> {
        let root = ca(
            "root.linkerd.cluster.local",
            BasicConstraints::Unconstrained,
        );
        let root = CertifiedIssuer::self_signed(root, KeyPair::generate()?)?;
        let issuer = ca(
            "identity.linkerd.cluster.local",
            BasicConstraints::Constrained(0),
        );
        let issuer = CertifiedIssuer::signed_by(issuer, KeyPair::generate()?, &root)?;
        Ok(Self { root, issuer })
    }

    /// The same root with another issuer, which holds from now for so long.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn with_another_issuer(self, lifetime: Duration) -> anyhow::Result<Self> {
        let mut issuer = ca(
            "identity.linkerd.cluster.local",
            BasicConstraints::Constrained(0),
        );
        let now = SystemTime::now();
        issuer.not_before = (now - SKEW).into();
        issuer.not_after = (now + lifetime).into();
        let issuer = CertifiedIssuer::signed_by(issuer, KeyPair::generate()?, &self.root)?;
        Ok(Self { issuer, ..self })
    }

    /// What proxies trust: the root, PEM.
    pub fn anchors_pem(&self) -> String {
        self.root.pem()
    }

    /// The issuer's certificate, PEM.
    pub fn issuer_pem(&self) -> String {
        self.issuer.pem()
    }

    /// The issuer's key, PKCS#8 in PEM.
    pub fn issuer_key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The issuer's certificate, DER.
    pub fn issuer_der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    /// A leaf for both sides of TLS, with a key of its own.
    ///
    /// # Errors
    /// If `name` is no DNS name.
    pub fn leaf(&self, name: &str, validity: Validity) -> anyhow::Result<Leaf> {
        self.leaf_with(name, validity, |_| {})
    }

    /// The same, but for what `edit` changes.
    ///
    /// # Errors
    /// If `name` is no DNS name, or what was edited cannot be written.
    pub fn leaf_with(
        &self,
        name: &str,
        validity: Validity,
        edit: impl FnOnce(&mut CertificateParams),
    ) -> anyhow::Result<Leaf> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.distinguished_name = common_name(name);
        finish(&mut params, validity);
        edit(&mut params);
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain = vec![leaf.der().clone(), self.issuer.der().clone()];
        Ok(Leaf(certified_key(chain, key.serialize_der()).into()))
    }

    /// The leaf that a signing request (PKCS#10, DER) asks for, without asking
    /// who asks.
    ///
    /// # Errors
    /// If it is none.
    pub fn sign(
        &self,
        request: &[u8],
        validity: Validity,
    ) -> anyhow::Result<CertificateDer<'static>> {
        let der = CertificateSigningRequestDer::from(request);
        let mut request =
            CertificateSigningRequestParams::from_der(&der).context("reading a signing request")?;
        finish(&mut request.params, validity);
        Ok(request.signed_by(&self.issuer)?.der().clone())
    }
}

impl Leaf {
    /// To be shown to servers.
    pub fn client_certificate(&self) -> ClientCertificate {
        ClientCertificate::This(self.0.clone())
    }

    /// Leaf first, then the issuer.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.0.cert
    }

    /// Chain and key, for a server.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        self.0.clone()
    }
}

fn ca(name: &str, constraints: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - YEAR).into();
    params.not_after = (now + YEAR).into();
    params
}

fn finish(params: &mut CertificateParams, validity: Validity) {
    let now = SystemTime::now();
    let (not_before, not_after) = match validity {
        Validity::For(time) => (now - SKEW, now + time),
        Validity::EndedAgo(time) => (now - time - YEAR / 2, now - time),
    };
    params.not_before = not_before.into();
    params.not_after = not_after.into();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
}

fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}
