//! HTTPS for the API server.

use super::{ServingCertificate, activity::Activity, peers::Peers};
use crate::mesh_tls::accepted;
use axum::Router;
use ferrule_cluster::trace::{Fact, Span};
use futures::StreamExt as _;
use hyper::{
    Request,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
#[cfg(unix)]
use std::os::fd::AsFd as _;
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

/// How many connections there may be; further ones wait. API servers keep a few
/// each, and share them among reviews.
const CONNECTIONS: usize = 256;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// What a client may send on a stream before it is read. A connection may hold as
/// much of all its streams and once more: bodies that wait for room stop no other.
const STREAM_WINDOW: u32 = 64 << 10;
/// How long a connection may take to end once it is to: longer than a review.
const GOODBYE: Duration = Duration::from_secs(15);
/// How long a client may take to hear that a connection has ended.
const LINGER: Duration = Duration::from_secs(2);
/// How often an HTTP/2 client is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// Reviews that a connection may ask for at once.
const STREAMS: u32 = 64;

/// Serves until `stop`, and then until what was asked is answered.
pub(super) async fn serve(
    listener: TcpListener,
    certificate: Arc<ServingCertificate>,
    router: Router,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let conversations = TaskTracker::new();
    let peers = Peers::default();
    let accepting = async {
        let mut streams = pin!(accepted(listener));
        while let Some(stream) = streams.next().await {
            let Ok(stream) = stream else {
                continue;
            };
            let Some(room) = stream
                .peer_addr()
                .ok()
                .and_then(|peer| peers.place(peer.ip()))
            else {
                continue;
            };
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let certificate = certificate.clone();
            let (router, stop) = (router.clone(), stop.clone());
            conversations.spawn(async move {
                // A new certificate counts from the next connection. Without one there is
                // nothing to say; API servers try again.
                if let Some(served) = certificate.for_connection().await {
                    let acceptor = TlsAcceptor::from(served.config.clone());
                    converse(stream, acceptor, router, stop).await;
                }
                drop((place, room));
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    conversations.close();
    conversations.wait().await;
}

/// A client that goes, or cannot do TLS, is no concern of ours.
async fn converse(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    router: Router,
    stop: CancellationToken,
) {
    let rest = second(&stream);
    let stream = match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            // An API server that trusts another authority complains like this.
            tracing::debug!(%error, "a TLS handshake with the webhooks failed");
            return;
        }
        Err(_) => return,
    };
    let activity = Activity::new();
    let asked = activity.clone();
    let service = service_fn(move |request| {
        let under_way = asked.begin();
        let span = span(&request);
        let answer = span.during(router.clone().oneshot(request));
        async move {
            let answer = answer.await;
            drop(under_way);
            answer
        }
    });
    // Also a connection on which HTTP/2 never begins.
    let ended = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = activity.ceased() => {}
        }
    };
    let error = if speaks_http2(&stream) {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(2 * STREAMS * STREAM_WINDOW)
            .serve_connection(TokioIo::new(stream), service);
        until(ended, connection).await
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        until(ended, connection).await
    };
    match (error, rest) {
        (Some(error), _) => tracing::debug!(%error, "a connection to the webhooks broke"),
        (None, Some(rest)) => linger(rest).await,
        (None, None) => {}
    }
}

/// The same connection once more.
#[cfg(unix)]
fn second(stream: &TcpStream) -> Option<std::net::TcpStream> {
    let descriptor = stream.as_fd().try_clone_to_owned();
    descriptor.ok().map(Into::into)
}

#[cfg(not(unix))]
fn second(_: &TcpStream) -> Option<std::net::TcpStream> {
    None
}

/// Keeps a connection open for reading that has ended for writing, until the client ends it
/// too. What the client was about to write as it was told to write no more is not answered;
/// by a reset it would fail, and the pod with it, where a client that hears the goodbye asks
/// again elsewhere.
async fn linger(rest: std::net::TcpStream) {
    let Ok(mut rest) = TcpStream::from_std(rest) else {
        return;
    };
    let ended = async {
        let mut lost = [0; 1024];
        while matches!(rest.read(&mut lost).await, Ok(1..)) {}
    };
    let _ = timeout(LINGER, ended).await;
}

/// Serves a connection until its end or this one, and then what is under way on it;
/// how it broke, if it did.
async fn until<C: GracefulConnection>(
    ended: impl Future<Output = ()>,
    connection: C,
) -> Option<C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => ended.err(),
        () = ended => {
            connection.as_mut().graceful_shutdown();
            timeout(GOODBYE, connection).await.ok().and_then(Result::err)
        }
    }
}

/// The review of an object, in the trace of whoever asks for it.
fn span<B>(request: &Request<B>) -> Span {
    Span::for_caller("review", request.headers(), || {
        vec![Fact::new("url.path", request.uri().path().to_owned())]
    })
}

fn speaks_http2(stream: &TlsStream<TcpStream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}
