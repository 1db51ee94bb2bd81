use crate::certificate::{Certificate, CertificateError, ChainError, sha256};
use rustls::RootCertStore;
use std::{fmt, sync::Arc, time::SystemTime};

/// The certificates that everybody in the mesh trusts, from a PEM bundle. Cheap
/// to clone.
#[derive(Clone)]
pub struct TrustAnchors {
    bundle: Arc<Bundle>,
}

struct Bundle {
    pem: Vec<u8>,
    sha256: String,
    certificates: Vec<Certificate>,
    roots: RootCertStore,
}

impl TrustAnchors {
    /// Reads a bundle (identity-injector.md 2.2): text around the blocks and
    /// blocks of other kinds are skipped, private keys too.
    ///
    /// # Errors
    /// There is no certificate in it, or one that proxies can not read: they
    /// would skip it, or refuse the whole bundle.
    pub fn from_pem(pem: &[u8]) -> Result<Self, ChainError> {
        let certificates = Certificate::chain_from_pem(pem)?;
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            roots
                .add(certificate.der().clone())
                .map_err(|error| ChainError::Certificate {
                    number: index + 1,
                    reason: CertificateError::Unusable(error.to_string()),
                })?;
        }
        Ok(Self {
            bundle: Arc::new(Bundle {
                sha256: sha256(pem),
                pem: pem.to_vec(),
                certificates,
                roots,
            }),
        })
    }

    /// The anchors in the order of the bundle; at least one.
    pub fn certificates(&self) -> &[Certificate] {
        &self.bundle.certificates
    }

    /// The bundle as it was given.
    pub fn pem(&self) -> &[u8] {
        &self.bundle.pem
    }

    /// The SHA-256 of the bundle as it was given, in lower-case hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.bundle.sha256
    }

    /// The anchors as rustls wants them. Proxies and rustls take them as valid
    /// for ever; only our own checks look at their dates.
    pub fn root_store(&self) -> RootCertStore {
        self.bundle.roots.clone()
    }

    /// When the first of them expires.
    pub fn not_after(&self) -> SystemTime {
        let times = self.certificates().iter().map(Certificate::not_after);
        times.min().expect("at least one")
    }

    /// Is `certificate` one of them?
    pub fn contains(&self, certificate: &Certificate) -> bool {
        self.certificates()
            .iter()
            .any(|anchor| anchor.der() == certificate.der())
    }

    pub(crate) fn roots(&self) -> &RootCertStore {
        &self.bundle.roots
    }
}

impl fmt::Debug for TrustAnchors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.certificates().iter().map(Certificate::subject))
            .finish()
    }
}
