//! A server for the tests of what connects to one.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::SendStream;
use http::Response;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::mesh::Mesh;

/// The answer to one request.
pub(super) type Stream = SendStream<Bytes>;

/// TLS with a certificate for `name`; clients may have to show theirs.
pub(super) fn config(mesh: &Mesh, name: &str, wants_certificates: bool) -> Arc<ServerConfig> {
    let provider = Arc::new(default_provider());
    let mut anchors = RootCertStore::empty();
    let anchor = CertificateDer::from_pem_file(mesh.trust_anchors()).unwrap();
    anchors.add(anchor).unwrap();
    let verifier = if wants_certificates {
        let anchors = Arc::new(anchors);
        WebPkiClientVerifier::builder_with_provider(anchors, provider.clone())
            .build()
            .unwrap()
    } else {
        Arc::new(NoClientAuth)
    };
    let issued = mesh.issue(name).unwrap();
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    Arc::new(config)
}

/// Answers every request with what `answer` sends. Streams that it does not end stay open.
pub(super) async fn start(
    config: Option<Arc<ServerConfig>>,
    answer: fn(&mut Stream),
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = config.map(TlsAcceptor::from);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                match acceptor {
                    None => serve(tcp, answer).await,
                    Some(acceptor) => {
                        if let Ok(tls) = acceptor.accept(tcp).await {
                            serve(tls, answer).await;
                        }
                    }
                }
            });
        }
    });
    address
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin, answer: fn(&mut Stream)) {
    let Ok(mut connection) = h2::server::handshake(io).await else {
        return;
    };
    let mut open = Vec::new();
    while let Some(Ok((_, mut respond))) = connection.accept().await {
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        answer(&mut stream);
        open.push(stream);
    }
}
