//! Roots, issuers and leaves that are good, or not.

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::time::{Duration, SystemTime};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A root that signs.
pub(crate) struct Root(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Root {
    pub(crate) fn new() -> Result<Self> {
        Self::with_key(KeyPair::generate()?)
    }

    pub(crate) fn with_key(key: KeyPair) -> Result<Self> {
        let root =
            CertifiedIssuer::self_signed(authority("root.linkerd.cluster.local", 1000, 1000), key)?;
        Ok(Self(root))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// An issuer from so many days ago until in so many, which may be less than none.
    pub(crate) fn issuer(&self, ago: u32, left: i32) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let params = authority("identity.linkerd.cluster.local", ago, left);
        Ok(Pair {
            certificate: params.signed_by(&key, &self.0)?.pem(),
            key: key.serialize_pem(),
        })
    }

    /// Likewise by an authority that somebody else has made, PEM.
    pub(crate) fn issuer_of(by: &Pair, ago: u32, left: i32) -> Result<Pair> {
        let root = Issuer::from_ca_cert_pem(&by.certificate, KeyPair::from_pem(&by.key)?)?;
        let key = KeyPair::generate()?;
        let params = authority("identity.linkerd.cluster.local", ago, left);
        Ok(Pair {
            certificate: params.signed_by(&key, &root)?.pem(),
            key: key.serialize_pem(),
        })
    }

    /// A server's.
    pub(crate) fn leaf(&self, name: &str) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([name.to_owned()])?;
        params.not_before = (SystemTime::now() - DAY).into();
        params.not_after = (SystemTime::now() + DAY * 90).into();
        Ok(Pair {
            certificate: params.signed_by(&key, &self.0)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn authority(name: &str, ago: u32, left: i32) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - DAY * ago).into();
    let end = DAY * left.unsigned_abs();
    params.not_after = if left < 0 { now - end } else { now + end }.into();
    params
}
