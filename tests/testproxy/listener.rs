//! A gRPC listener with mesh TLS that remembers who came.

use ferrule_tests::{Leaf, TestAuthority};
use rustls::{
    RootCertStore, ServerConfig, SignatureScheme,
    crypto::aws_lc_rs::default_provider,
    server::{Acceptor, WebPkiClientVerifier},
    sign::SingleCertAndKey,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// How a listener treats clients.
#[derive(Clone)]
pub(crate) enum Security {
    Plaintext,
    /// TLS with this leaf, which asks nobody for a certificate.
    Tls(Leaf),
    /// TLS that verifies a client's certificate if there is one.
    Optional(Leaf, String),
    /// TLS that wants one.
    Required(Leaf, String),
    /// As the first, but no newer than 1.2.
    Tls12(Leaf),
}

/// A listener on loopback, until the runtime of the test ends.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    hellos: Arc<Mutex<Vec<Hello>>>,
    open: Arc<Mutex<Vec<std::net::TcpStream>>>,
}

/// What clients said as they connected.
#[derive(Clone, Debug)]
pub(crate) struct Hello {
    pub(crate) server_name: Option<String>,
    pub(crate) offers_alpn: bool,
    pub(crate) schemes: Vec<SignatureScheme>,
}

/// Who is at the other end, for services: the name in its certificate.
#[derive(Clone, Debug)]
pub(crate) struct Peer(pub(crate) Option<String>);

impl Security {
    fn config(&self) -> Option<Arc<ServerConfig>> {
        let versions = match self {
            Self::Tls12(_) => &[&rustls::version::TLS12],
            _ => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap();
        let (builder, leaf) = match self {
            Self::Plaintext => return None,
            Self::Tls(leaf) | Self::Tls12(leaf) => (builder.with_no_client_auth(), leaf),
            Self::Optional(leaf, anchors) => {
                let verifier = verifier(anchors).allow_unauthenticated().build().unwrap();
                (builder.with_client_cert_verifier(verifier), leaf)
            }
            Self::Required(leaf, anchors) => {
                let verifier = verifier(anchors).build().unwrap();
                (builder.with_client_cert_verifier(verifier), leaf)
            }
        };
        let shown = SingleCertAndKey::from(leaf.certified_key());
        Some(builder.with_cert_resolver(Arc::new(shown)).into())
    }

    /// TLS as the service `name` of `authority`, for clients of the same.
    pub(crate) fn optional(authority: &TestAuthority, name: &str) -> Self {
        Self::Optional(leaf(authority, name), authority.anchors_pem())
    }

    pub(crate) fn required(authority: &TestAuthority, name: &str) -> Self {
        Self::Required(leaf(authority, name), authority.anchors_pem())
    }
}

fn leaf(authority: &TestAuthority, name: &str) -> Leaf {
    let hour = std::time::Duration::from_secs(3600);
    authority
        .leaf(name, ferrule_tests::Validity::For(hour))
        .unwrap()
}

fn verifier(anchors: &str) -> rustls::server::ClientCertVerifierBuilder {
    let mut roots = RootCertStore::empty();
    for anchor in CertificateDer::pem_slice_iter(anchors.as_bytes()) {
        roots.add(anchor.unwrap()).unwrap();
    }
    WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::new(default_provider()))
}

impl Listener {
    pub(crate) async fn start(security: Security, routes: Routes) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Self {
            addr: tcp.local_addr().unwrap(),
            hellos: Arc::default(),
            open: Arc::default(),
        };
        let (connections, incoming) = mpsc::channel::<io::Result<Connection>>(16);
        let (config, hellos) = (security.config(), listener.hellos.clone());
        let open = listener.open.clone();
        tokio::spawn(async move {
            loop {
                let (accepted, _) = tcp.accept().await.unwrap();
                let accepted = accepted.into_std().unwrap();
                open.lock().unwrap().push(accepted.try_clone().unwrap());
                let accepted = TcpStream::from_std(accepted).unwrap();
                let connections = connections.clone();
                let (config, hellos) = (config.clone(), hellos.clone());
                tokio::spawn(async move {
                    // A handshake that fails is the client's to see.
                    if let Ok(connection) = accept(accepted, config, &hellos).await {
                        let _ = connections.send(Ok(connection)).await;
                    }
                });
            }
        });
        let server = Server::builder().add_routes(routes);
        tokio::spawn(server.serve_with_incoming(ReceiverStream::new(incoming)));
        listener
    }

    /// Ends all connections, without a word.
    pub(crate) fn break_connections(&self) {
        for tcp in self.open.lock().unwrap().drain(..) {
            // The client may have gone first.
            let _ = tcp.shutdown(std::net::Shutdown::Both);
        }
    }

    /// What the clients of all connections said, in order; nothing of those in
    /// plaintext but that they came.
    pub(crate) fn hellos(&self) -> Vec<Hello> {
        self.hellos.lock().unwrap().clone()
    }
}

async fn accept(
    tcp: TcpStream,
    config: Option<Arc<ServerConfig>>,
    hellos: &Mutex<Vec<Hello>>,
) -> io::Result<Connection> {
    let Some(config) = config else {
        hellos.lock().unwrap().push(Hello {
            server_name: None,
            offers_alpn: false,
            schemes: Vec::new(),
        });
        return Ok(Connection::Plain(tcp));
    };
    let handshake = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
    let hello = handshake.client_hello();
    hellos.lock().unwrap().push(Hello {
        server_name: hello.server_name().map(str::to_owned),
        offers_alpn: hello.alpn().is_some(),
        schemes: hello.signature_schemes().to_vec(),
    });
    Ok(Connection::Tls(Box::new(
        handshake.into_stream(config).await?,
    )))
}

pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        let Self::Tls(tls) = self else {
            return Peer(None);
        };
        let leaf = tls
            .get_ref()
            .1
            .peer_certificates()
            .map(|chain| chain[0].clone());
        Peer(leaf.map(|leaf| {
            let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
            let name = leaf.subject().iter_common_name().next().unwrap();
            name.as_str().unwrap().to_owned()
        }))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
