//! Connections as linkerd2-proxy makes them.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedCipherSuite};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::protocol::Tls;

/// linkerd2-proxy's windows.
const STREAM_WINDOW: u32 = 65_535;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// For TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Doubled at each attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(60);
/// A proxy's pauses are longer than these by up to a tenth.
const JITTER_PERCENT: usize = 10;

/// In a proxy's order.
const CIPHER_SUITES: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];
const KEY_EXCHANGES: [&dyn SupportedKxGroup; 4] = [
    kx_group::X25519MLKEM768,
    kx_group::X25519,
    kx_group::SECP256R1,
    kx_group::SECP384R1,
];

/// Makes connections to one server.
pub(super) struct Dialer {
    server: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// An HTTP/2 connection; dropping it drops it, as a proxy that is killed does.
pub(super) struct Connection {
    pub(super) send: SendRequest<Bytes>,
    pings: Option<PingPong>,
    /// Ends with the connection, and says why it did.
    task: JoinSet<Result<(), h2::Error>>,
}

/// What HTTP/2 is spoken over.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Dialer {
    /// # Errors
    ///
    /// When the files of `tls` are not what they should be.
    pub(super) fn new(server: SocketAddr, tls: Option<&Tls>) -> Result<Self> {
        let tls = tls.map(|tls| {
            let name = ServerName::try_from(tls.server_name.clone())?;
            let connector = TlsConnector::from(Arc::new(client_config(tls)?));
            anyhow::Ok((connector, name))
        });
        Ok(Self {
            server,
            tls: tls.transpose()?,
        })
    }

    pub(super) async fn connect(&self) -> Result<Connection, String> {
        let failed = |error: &dyn Display| format!("connecting: {error}");
        let tcp = TcpStream::connect(self.server)
            .await
            .map_err(|error| failed(&error))?;
        tcp.set_nodelay(true).map_err(|error| failed(&error))?;
        let io: Box<dyn Io> = match &self.tls {
            None => Box::new(tcp),
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), tcp).await;
                Box::new(tls.map_err(|error| failed(&error))?)
            }
        };
        let (send, mut connection) = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(io)
            .await
            .map_err(|error| failed(&error))?;
        let pings = connection.ping_pong();
        let mut task = JoinSet::new();
        task.spawn(connection);
        Ok(Connection { send, pings, task })
    }

    /// Connects as the proxy that is the `number`th of all does: it waits for a second, and
    /// tries again later and later. `given_up` is called when it has waited.
    pub(super) async fn connect_at_last(&self, number: usize, given_up: impl Fn()) -> Connection {
        let mut backoff = FIRST_BACKOFF;
        loop {
            if let Ok(Ok(connection)) = timeout(CONNECT_TIMEOUT, self.connect()).await {
                return connection;
            }
            given_up();
            let jitter = (number % (JITTER_PERCENT + 1)) as f64 / 100.0;
            sleep(backoff.mul_f64(1.0 + jitter)).await;
            backoff = (backoff * 2).min(LAST_BACKOFF);
        }
    }
}

impl Connection {
    /// Waits until the server has seen it: by then it has accepted a client's certificate, and
    /// its settings are here. Only the first time.
    pub(super) async fn seen(&mut self) -> Result<(), String> {
        if let Some(mut pings) = self.pings.take() {
            let Err(error) = pings.ping(Ping::opaque()).await else {
                return Ok(());
            };
            // The connection itself knows better, if it has ended: an alert of TLS, say.
            let error = match self.task.join_next().await {
                Some(Ok(Err(reason))) => reason,
                _ => error,
            };
            return Err(format!("connecting: {error}"));
        }
        Ok(())
    }

    /// Ends it in good order, once its streams have ended.
    pub(super) async fn close(mut self) {
        drop((self.send, self.pings));
        while self.task.join_next().await.is_some() {}
    }
}

/// TLS 1.3, no ALPN, no resumption. A proxy compares the server's names by itself; that costs
/// as much as what rustls does.
fn client_config(tls: &Tls) -> Result<ClientConfig> {
    let read = |path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>> {
        let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        certificates.with_context(|| format!("no certificates in {}", path.display()))
    };
    let mut anchors = RootCertStore::empty();
    for certificate in read(&tls.trust_anchors)? {
        anchors.add(certificate)?;
    }
    let provider = CryptoProvider {
        cipher_suites: CIPHER_SUITES.to_vec(),
        kx_groups: KEY_EXCHANGES.to_vec(),
        ..default_provider()
    };
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(anchors);
    let mut config = match &tls.certificate {
        None => config.with_no_client_auth(),
        Some(certificate) => {
            let key = PrivateKeyDer::from_pem_file(&certificate.key)
                .with_context(|| format!("no key in {}", certificate.key.display()))?;
            config.with_client_auth_cert(read(&certificate.chain)?, key)?
        }
    };
    config.resumption = Resumption::disabled();
    if tls.alpn {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::server;
    use crate::mesh::{Mesh, to_identity};
    use tokio::net::TcpListener;

    async fn connect(server: SocketAddr, tls: &Tls) -> Result<(), String> {
        let dialer = Dialer::new(server, Some(tls)).unwrap();
        let mut connection = dialer.connect().await?;
        connection.seen().await?;
        connection.close().await;
        Ok(())
    }

    #[tokio::test]
    async fn both_sides_of_mesh_tls_are_verified() {
        let (mesh, other) = (Mesh::create().unwrap(), Mesh::create().unwrap());
        let tls = mesh.to_destination();
        let config = server::config(&mesh, &tls.server_name, true);
        let server = server::start(Some(config), |_| ()).await;
        connect(server, &tls).await.unwrap();

        let anonymous = Tls {
            certificate: None,
            ..tls.clone()
        };
        let stranger = Tls {
            certificate: other.to_destination().certificate,
            ..tls.clone()
        };
        let other_server = to_identity(mesh.trust_anchors());
        let other_mesh = other.to_destination();
        for (tls, told) in [
            // The alert that says why may be lost with the connection.
            (anonymous, "connecting"),
            (stranger, "connecting"),
            (other_server, "not valid for name"),
            // Its anchor has the same name, and another key.
            (other_mesh, "BadSignature"),
        ] {
            let error = connect(server, &tls).await.unwrap_err();
            assert!(error.contains(told), "expected {told}: {error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_proxy_gives_up_after_a_second_and_comes_back() {
        // Accepted by the system, but nobody does TLS with it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mesh = Mesh::create().unwrap();
        let server = listener.local_addr().unwrap();
        let dialer = Dialer::new(server, Some(&mesh.to_destination())).unwrap();
        let given_up = std::cell::Cell::new(0);
        let patient = dialer.connect_at_last(0, || given_up.set(given_up.get() + 1));
        let outcome = timeout(Duration::from_millis(3_250), patient).await;
        // At 1 s, at 2.1 s; 0.2 s later it tries a third time.
        assert!(outcome.is_err());
        assert_eq!(given_up.get(), 2);
    }
}
