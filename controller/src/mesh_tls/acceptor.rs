//! Accepts connections, and does TLS on them.

use super::{
    client_auth::ClientAuth,
    own::{OwnCertificate, Served},
};
use ferrule_cluster::grpc;
use futures::{Stream, StreamExt, stream};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::{Connected, TcpIncoming};

/// Connections on which HTTP/2 has not begun are noticed to be dead by this.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// How long to wait before accepting again when the system refuses, for lack of
/// files most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many handshakes may be under way; further clients wait to be accepted. All
/// proxies come back at once when a replica goes, and a handshake takes half a
/// millisecond of a core.
const HANDSHAKES: usize = 1024;
/// A proxy gives up after a second (its connect timeout covers TLS); who takes
/// longer only holds a place.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How many connections may wait for HTTP/2 to begin.
const READY: usize = 64;

/// How handshakes went, for metrics.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// Done.
    pub(crate) done: AtomicU64,
    /// Broken off or refused.
    pub(crate) failed: AtomicU64,
    /// Took too long.
    pub(crate) timed_out: AtomicU64,
}

/// Where a listener's connections come from.
pub(crate) enum Connections {
    /// As they are.
    Plaintext(TcpListener),
    /// Wrapped in mesh TLS.
    MeshTls {
        /// Where.
        listener: TcpListener,
        /// Which name is presented.
        certificate: Arc<OwnCertificate>,
        /// What is asked of clients.
        auth: ClientAuth,
        /// How it goes.
        handshakes: Arc<Handshakes>,
    },
}

impl Connections {
    /// Connections as they become ready.
    pub(crate) fn accept(self) -> Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>> {
        match self {
            Connections::Plaintext(listener) => {
                Box::pin(accepted(listener).map(|stream| stream.map(Connection::Plaintext)))
            }
            Connections::MeshTls {
                listener,
                certificate,
                auth,
                handshakes,
            } => {
                let (ready_tx, ready) = mpsc::channel(READY);
                let served = certificate.subscribe();
                tokio::spawn(shake_hands(listener, served, auth, handshakes, ready_tx));
                Box::pin(stream::unfold(ready, async |mut ready| {
                    Some((Ok(ready.recv().await?), ready))
                }))
            }
        }
    }
}

/// Does handshakes beside each other until nobody wants their connections.
async fn shake_hands(
    listener: TcpListener,
    mut served: watch::Receiver<Option<Arc<Served>>>,
    auth: ClientAuth,
    handshakes: Arc<Handshakes>,
    ready: mpsc::Sender<Connection>,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    let work = async {
        // Before there is a certificate, clients wait to be accepted.
        if served.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut streams = std::pin::pin!(accepted(listener));
        while let Some(stream) = streams.next().await {
            let Ok(stream) = stream else {
                continue;
            };
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            // A certificate or anchors that are swapped count from the next accept.
            let config = served.borrow().as_ref().map(|served| served.config(auth));
            let Some(config) = config else {
                return;
            };
            let (handshakes, ready) = (handshakes.clone(), ready.clone());
            tokio::spawn(async move {
                let handshake = TlsAcceptor::from(config).accept(stream);
                let done = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await;
                let count = match &done {
                    Ok(Ok(_)) => &handshakes.done,
                    Ok(Err(_)) => &handshakes.failed,
                    Err(_) => &handshakes.timed_out,
                };
                count.fetch_add(1, Ordering::Relaxed);
                match done {
                    Ok(Ok(stream)) => {
                        // Nobody is there once the process drains.
                        let _ = ready.send(Connection::Tls(Box::new(stream))).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
                // Not before: whoever waits to be served holds one, too.
                drop(place);
            });
        }
    };
    tokio::select! {
        () = work => {}
        () = ready.closed() => {}
    }
}

/// Connections, which are noticed to be dead and send what is written at once. An
/// error is the peer's own, or has been logged.
pub(crate) fn accepted(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> {
    TcpIncoming::from(listener)
        .with_nodelay(Some(true))
        .with_keepalive(Some(TCP_KEEPALIVE))
        .then(async |connection| {
            if let Err(error) = &connection
                && !is_peers_fault(error)
            {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            connection
        })
}

fn is_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// A connection that HTTP/2 can begin on.
pub(crate) enum Connection {
    Plaintext(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = grpc::Connection;

    fn connect_info(&self) -> grpc::Connection {
        let stream = match self {
            Connection::Plaintext(stream) => stream,
            Connection::Tls(stream) => stream.get_ref().0,
        };
        // One that has gone already calls nothing.
        let nowhere = SocketAddr::from(([0; 4], 0));
        grpc::Connection::new(stream.peer_addr().unwrap_or(nowhere))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plaintext(stream) => Pin::new(stream).poll_read(cx, buffer),
            Connection::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plaintext(stream) => Pin::new(stream).poll_write(cx, buffer),
            Connection::Tls(stream) => Pin::new(stream).poll_write(cx, buffer),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plaintext(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Connection::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Connection::Plaintext(stream) => stream.is_write_vectored(),
            Connection::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plaintext(stream) => Pin::new(stream).poll_flush(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plaintext(stream) => Pin::new(stream).poll_shutdown(cx),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
