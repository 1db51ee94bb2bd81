use aws_lc_rs::digest;

/// What proxies are to trust: a bundle of certificates, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustAnchors {
    pem: String,
    sha256: String,
}

impl TrustAnchors {
    /// A bundle as it was read; the fingerprint tells apart even what differs by a
    /// blank only, as the reference's does.
    pub fn new(pem: impl Into<String>) -> Self {
        let pem = pem.into();
        let digest = digest::digest(&digest::SHA256, pem.as_bytes());
        let sha256 = digest
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self { pem, sha256 }
    }

    /// The bundle.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the bundle's bytes, in hexadecimal digits.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.pem.trim().is_empty()
    }
}
