//! What a proxy shows to its peers.

use crate::TrustAnchors;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use std::{io, sync::Arc};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio_rustls::TlsConnector;
use webpki::{EndEntityCert, KeyUsage};

/// The chain that is shown to who shows nothing and asks for `name`, leaf first. It may
/// be under anybody; that its key is there is verified.
///
/// # Errors
/// Nobody answers, or not in TLS 1.3.
pub async fn dial(
    addr: impl ToSocketAddrs,
    name: ServerName<'static>,
) -> io::Result<Vec<CertificateDer<'static>>> {
    let stream = TcpStream::connect(addr).await?;
    let provider = CryptoProvider::get_default().expect("installed first in main");
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(shown.iter().map(|der| der.clone().into_owned()).collect())
}

/// Whether a shown chain leads to one of `anchors`, as proxies verify it; whatever its
/// name is, which may be a SPIFFE ID.
pub(crate) fn verify(shown: &[CertificateDer<'_>], anchors: &TrustAnchors) -> Result<(), String> {
    let (leaf, parents) = shown.split_first().ok_or("it shows no certificate")?;
    let leaf = EndEntityCert::try_from(leaf).map_err(|error| error.to_string())?;
    let provider = CryptoProvider::get_default().expect("installed first in main");
    let roots = anchors.root_store();
    let verified = leaf.verify_for_usage(
        provider.signature_verification_algorithms.all,
        &roots.roots,
        parents,
        UnixTime::now(),
        KeyUsage::server_auth(),
        None,
        None,
    );
    verified.map(drop).map_err(|error| match error {
        webpki::Error::UnknownIssuer => "its certificate is not under the new anchor".to_owned(),
        error => error.to_string(),
    })
}

/// Takes every certificate, to look at it.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let provider = CryptoProvider::get_default().expect("installed first in main");
        let algorithms = &provider.signature_verification_algorithms;
        verify_tls13_signature(message, leaf, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = CryptoProvider::get_default().expect("installed first in main");
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
