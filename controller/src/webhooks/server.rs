//! HTTPS for the API server.

use super::ServingCertificate;
use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How many connections there may be; further ones wait. API servers keep a few
/// each, and share them among reviews.
const CONNECTIONS: usize = 256;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request's headers may take, and how long a connection may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// How often an HTTP/2 client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Reviews that a connection may ask for at once.
const STREAMS: u32 = 64;
/// How long to wait before accepting again when the system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, and then until what was asked is answered.
pub(super) async fn serve(
    listener: TcpListener,
    certificate: Arc<ServingCertificate>,
    router: Router,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let conversations = TaskTracker::new();
    let accepting = async {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the webhooks' address");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // A new certificate counts from the next connection. Without one there is
            // nothing to say; API servers try again.
            let Some(served) = certificate.current() else {
                continue;
            };
            let acceptor = TlsAcceptor::from(served.config.clone());
            let service = TowerToHyperService::new(router.clone());
            let stop = stop.clone();
            conversations.spawn(async move {
                converse(stream, acceptor, service, stop).await;
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    conversations.close();
    conversations.wait().await;
}

/// A client that goes, or cannot do TLS, is no concern of ours.
async fn converse(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    service: TowerToHyperService<Router>,
    stop: CancellationToken,
) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // An API server that trusts another authority complains like this.
            tracing::debug!(%error, "a TLS handshake with the webhooks failed");
            return;
        }
        Err(_) => return,
    };
    let error = if speaks_http2(&stream) {
        let mut connection = pin!(
            http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_INTERVAL)
                .max_concurrent_streams(STREAMS)
                .serve_connection(TokioIo::new(stream), service)
        );
        tokio::select! {
            ended = connection.as_mut() => ended.err(),
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await.err()
            }
        }
    } else {
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
        );
        tokio::select! {
            ended = connection.as_mut() => ended.err(),
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await.err()
            }
        }
    };
    if let Some(error) = error {
        tracing::debug!(%error, "a connection to the webhooks broke");
    }
}

fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
