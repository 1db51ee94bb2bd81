use anyhow::Context as _;
use ferrule_identity::TrustAnchors;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::{
        NoClientAuth, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Who must show a certificate at a listener (ruling 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    /// Nobody is asked: identity knows its clients by their tokens, and one whose
    /// certificate has expired must be able to renew it.
    None,
    /// Everybody is asked, and a certificate that does not verify is as good as
    /// none: policy is dialled before a proxy has one.
    Asked,
    /// Nobody comes in without a certificate that chains to the trust anchors.
    Required,
}

/// What clients showed, for metrics.
#[derive(Debug, Default)]
pub(crate) struct ClientCertificates {
    /// Verified.
    pub(crate) valid: AtomicU64,
    /// Did not verify.
    pub(crate) invalid: AtomicU64,
}

impl ClientAuth {
    /// The verifier that does it.
    pub(super) fn verifier(
        self,
        anchors: &TrustAnchors,
        counts: &Arc<ClientCertificates>,
    ) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
        if self == ClientAuth::None {
            return Ok(Arc::new(NoClientAuth));
        }
        // Proxies have one certificate: hints would not help them choose.
        let inner = WebPkiClientVerifier::builder(Arc::new(anchors.root_store()))
            .clear_root_hint_subjects()
            .build()
            .context("the trust anchors cannot verify clients")?;
        Ok(Arc::new(Verifier {
            inner,
            required: self == ClientAuth::Required,
            counts: counts.clone(),
        }))
    }
}

impl Verifier {
    /// A signature by a key that cannot be read from the certificate either: that
    /// one counted as none above already.
    fn or_none(
        &self,
        verified: Result<HandshakeSignatureValid, Error>,
    ) -> Result<HandshakeSignatureValid, Error> {
        match verified {
            Err(_) if !self.required => Ok(HandshakeSignatureValid::assertion()),
            verified => verified,
        }
    }
}

/// Verifies as rustls does, counts, and lets pass what need not verify.
#[derive(Debug)]
struct Verifier {
    inner: Arc<dyn ClientCertVerifier>,
    required: bool,
    counts: Arc<ClientCertificates>,
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self
            .inner
            .verify_client_cert(end_entity, intermediates, now);
        let count = match &verified {
            Ok(_) => &self.counts.valid,
            Err(_) => &self.counts.invalid,
        };
        count.fetch_add(1, Ordering::Relaxed);
        match verified {
            // Nothing here is decided by who the client is, so it is let in as if
            // it had shown none.
            Err(error) if !self.required => {
                tracing::debug!(%error, "a client's certificate does not verify");
                Ok(ClientCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.inner.verify_tls12_signature(message, cert, dss);
        self.or_none(verified)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verified = self.inner.verify_tls13_signature(message, cert, dss);
        self.or_none(verified)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
