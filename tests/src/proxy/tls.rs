//! The client's side of mesh TLS (api.md section 2.2).

use super::{anchors::TrustAnchors, certificate::verify};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, PeerIncompatible,
    SignatureScheme,
    client::{
        ResolvesClientCert, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms,
        aws_lc_rs::{cipher_suite, default_provider, kx_group},
        verify_tls13_signature,
    },
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use webpki::aws_lc_rs as algorithm;

/// The signatures that a proxy accepts: in chains ECDSA, Ed25519 and RSA as
/// PKCS#1 v1.5, for the peer's own key the first two. TLS 1.3 wants RSA keys to
/// sign as PSS, so a peer that has one cannot be talked to.
pub(crate) static SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[
        algorithm::ECDSA_P256_SHA256,
        algorithm::ECDSA_P256_SHA384,
        algorithm::ECDSA_P384_SHA256,
        algorithm::ECDSA_P384_SHA384,
        algorithm::ECDSA_P521_SHA512,
        algorithm::ED25519,
        algorithm::RSA_PKCS1_2048_8192_SHA256,
        algorithm::RSA_PKCS1_2048_8192_SHA384,
        algorithm::RSA_PKCS1_2048_8192_SHA512,
    ],
    mapping: &[
        (
            SignatureScheme::ECDSA_NISTP256_SHA256,
            &[algorithm::ECDSA_P256_SHA256],
        ),
        (
            SignatureScheme::ECDSA_NISTP384_SHA384,
            &[algorithm::ECDSA_P384_SHA384],
        ),
        (
            SignatureScheme::ECDSA_NISTP521_SHA512,
            &[algorithm::ECDSA_P521_SHA512],
        ),
        (SignatureScheme::ED25519, &[algorithm::ED25519]),
    ],
};

/// How a proxy that trusts `anchors` speaks to the service `name`, showing
/// `certificate` if it is asked for one: TLS 1.3, no ALPN, no resumption.
///
/// # Panics
/// Never: the provider has what TLS 1.3 needs.
pub(crate) fn client_config(
    anchors: &TrustAnchors,
    name: &str,
    certificate: Option<Arc<CertifiedKey>>,
) -> Arc<ClientConfig> {
    let verifier = NamedService {
        anchors: anchors.clone(),
        name: name.to_owned(),
    };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("its cipher suites are those of TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(Shown(certificate)));
    config.resumption = Resumption::disabled();
    config.into()
}

pub(super) fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        signature_verification_algorithms: SIGNATURES,
        ..default_provider()
    }
}

/// Accepts the one service that has this name. Who it was dialled as does not
/// matter.
#[derive(Debug)]
struct NamedService {
    anchors: TrustAnchors,
    name: String,
}

impl ServerCertVerifier for NamedService {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match verify(leaf, intermediates, &self.anchors, &self.name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(rejection) => {
                let error = CertificateError::Other(OtherError(Arc::new(rejection)));
                Err(Error::InvalidCertificate(error))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &SIGNATURES)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURES.supported_schemes()
    }
}

/// The certificate that servers are shown, if they ask.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Shown {
    /// Only where P-256 is accepted: a proxy's key is never of another kind.
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let certificate = self.0.as_ref()?;
        schemes
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| certificate.clone())
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TestAuthority, Validity};
    use std::time::Duration;

    #[test]
    fn a_certificate_is_shown_only_where_its_kind_of_key_is_accepted() {
        let hour = Validity::For(Duration::from_secs(3600));
        let leaf = TestAuthority::new().unwrap().leaf("web.shop", hour);
        let shown = Shown(Some(leaf.unwrap().certified_key()));
        let ours = SignatureScheme::ECDSA_NISTP256_SHA256;
        let others = [SignatureScheme::ED25519, SignatureScheme::RSA_PSS_SHA256];
        assert!(shown.resolve(&[], &[others[0], ours]).is_some());
        assert!(shown.resolve(&[], &others).is_none());
        assert!(Shown(None).resolve(&[], &[ours]).is_none());
    }
}
