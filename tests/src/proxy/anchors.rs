//! The certificates that all trust in a mesh begins with.

use rustls_pki_types::{CertificateDer, TrustAnchor, pem::PemObject as _};
use std::sync::Arc;

/// Trust anchors, read once.
#[derive(Clone, Debug)]
pub(crate) struct TrustAnchors(Arc<[TrustAnchor<'static>]>);

/// Why text holds no trust anchors.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnchorsError {
    #[error("the trust anchors are not PEM: {0}")]
    Pem(rustls_pki_types::pem::Error),

    #[error("the trust anchors have no certificate that can be used")]
    None,
}

impl TrustAnchors {
    /// As a proxy reads them: one malformed block is the end, certificates that
    /// cannot be anchors are passed over, and one must be left.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, AnchorsError> {
        let mut anchors = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(AnchorsError::Pem)?;
            if let Ok(anchor) = webpki::anchor_from_trusted_cert(&certificate) {
                anchors.push(anchor.to_owned());
            }
        }
        if anchors.is_empty() {
            return Err(AnchorsError::None);
        }
        Ok(Self(anchors.into()))
    }

    pub(crate) fn as_slice(&self) -> &[TrustAnchor<'static>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestAuthority;

    #[test]
    fn a_bundle_is_read_whole_or_not_at_all() {
        let root = TestAuthority::new().unwrap().anchors_pem();
        let other = TestAuthority::new().unwrap().anchors_pem();
        let unusable = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let malformed = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
        for (pem, anchors) in [
            (root.clone(), Some(1)),
            (format!("{root}\n{other}"), Some(2)),
            (format!("{unusable}{root}"), Some(1)),
            (format!("{root}{malformed}"), None),
            (unusable.to_owned(), None),
            (String::new(), None),
        ] {
            let read = TrustAnchors::from_pem(&pem).ok();
            assert_eq!(read.map(|read| read.as_slice().len()), anchors, "{pem}");
        }
    }
}
