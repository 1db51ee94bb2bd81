use super::{Admin, Peer};
use axum::{Extension, Router};
use ferrule_cluster::grpc;
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};

/// How many connections there may be; further ones wait. Probes, a few scrapers
/// and a person need a handful.
const CONNECTIONS: usize = 64;
/// How long a request's headers may take, and how long a connection may be idle
/// (destination.md 1.3).
const HEADER_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a client of the gRPC services is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How long its answer may take: as long as a proxy's.
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait before accepting again when the system refuses.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP on bounded connections that cannot be held open by saying
/// nothing.
pub(super) async fn serve(listener: TcpListener, admin: Arc<Admin>, router: Router) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else {
            return;
        };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to the admin address");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let may_speak_http2 = admin.trusts(peer);
        let known = (
            Extension(Peer(peer)),
            Extension(grpc::Connection::new(peer)),
        );
        let service = TowerToHyperService::new(router.clone().layer(known));
        tokio::spawn(async move {
            let connection = converse(stream, service, may_speak_http2);
            // A peer that goes in the middle of something is no concern of ours.
            let _ = connection.await;
            drop(permit);
        });
    }
}

/// HTTP/1, or HTTP/2 with those who may ask the gRPC services.
async fn converse(
    stream: TcpStream,
    service: TowerToHyperService<Router>,
    may_speak_http2: bool,
) -> Result<(), hyper::Error> {
    let http2 = may_speak_http2
        && tokio::time::timeout(HEADER_TIMEOUT, begins_http2(&stream))
            .await
            .unwrap_or_default();
    if http2 {
        return http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

/// Whether the client's first word is that of HTTP/2's preface.
async fn begins_http2(stream: &TcpStream) -> bool {
    let mut word = [0; 3];
    loop {
        match stream.peek(&mut word).await {
            Ok(3) => return word == *b"PRI",
            Ok(0) | Err(_) => return false,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}
