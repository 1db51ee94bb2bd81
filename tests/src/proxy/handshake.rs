//! Mesh TLS between two proxies, as when one dials the other.

use super::{
    TestProxy,
    anchors::TrustAnchors,
    tls::{client_config, provider},
};
use anyhow::{Context as _, Result};
use rustls::{
    RootCertStore, ServerConfig,
    server::WebPkiClientVerifier,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::ServerName;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

impl TestProxy {
    /// Dials `server` over memory: each shows the certificate that it has now, and
    /// verifies the other's with the trust anchors that it was started with.
    ///
    /// # Errors
    /// If one of them has no certificate, or refuses the other's.
    pub async fn handshake(&self, server: &TestProxy) -> Result<()> {
        let (client_end, server_end) = duplex(1 << 16);
        let anchors = self.anchors.as_ref().context("no trust anchors")?;
        let config = client_config(anchors, &server.local_name, Some(self.own()?));
        let name = ServerName::try_from(server.local_name.clone())?;
        let dial = async {
            let connector = TlsConnector::from(config);
            let mut stream = connector.connect(name, client_end).await?;
            // That the server refuses our certificate shows when it is read from.
            let mut answer = [0; 2];
            stream.read_exact(&mut answer).await?;
            anyhow::Ok(())
        };
        let acceptor = TlsAcceptor::from(server.server_config()?);
        let accept = async {
            let mut stream = acceptor.accept(server_end).await?;
            stream.write_all(b"ok").await?;
            stream.shutdown().await?;
            anyhow::Ok(())
        };
        let (dialled, accepted) = tokio::join!(dial, accept);
        accepted.with_context(|| format!("{} refuses {}", server.local_name, self.local_name))?;
        dialled.with_context(|| format!("{} refuses {}", self.local_name, server.local_name))
    }

    fn own(&self) -> Result<Arc<CertifiedKey>> {
        let own = self.credentials.own.borrow();
        let own = own.value.as_ref().context("there is no certificate yet")?;
        Ok(own.key())
    }

    /// How it accepts other proxies: with a certificate of the mesh.
    fn server_config(&self) -> Result<Arc<ServerConfig>> {
        let anchors: &TrustAnchors = self.anchors.as_ref().context("no trust anchors")?;
        let roots = RootCertStore {
            roots: anchors.as_slice().to_vec(),
        };
        let provider = Arc::new(provider());
        let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(clients.build()?)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::unwrap_or_clone(
                self.own()?,
            ))));
        Ok(config.into())
    }
}
