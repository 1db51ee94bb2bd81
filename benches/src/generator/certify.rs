//! Proxies that ask identity for certificates.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::call::{call, is_ok, status};
use super::dialer::Dialer;
use super::messages::MessageCounter;
use crate::frames;
use crate::protocol::{Certified, Certify, ConnectionUse, Failures};
use crate::quantiles::Quantiles;

const PATH: &str = "/io.linkerd.proxy.identity.Identity/Certify";

/// Makes all calls, and returns when each is answered or has failed.
///
/// # Errors
///
/// When the files cannot be read, or no connection be made that all calls would share.
pub(super) async fn certify(order: Certify) -> Result<Certified> {
    let file = &order.requests;
    let requests = std::fs::read(file)
        .with_context(|| format!("cannot read the requests {}", file.display()))?;
    let requests = frames::split(requests.into())?;
    ensure!(
        !requests.is_empty(),
        "there is no request in {}",
        file.display()
    );
    let dialer = Dialer::new(order.server, Some(&order.tls))?;

    let mut warm = Vec::new();
    if let ConnectionUse::Warm(count) = order.connections {
        for _ in 0..count {
            let mut connection = dialer.connect().await.map_err(anyhow::Error::msg)?;
            connection.seen().await.map_err(anyhow::Error::msg)?;
            warm.push(connection);
        }
    }
    let plan = Arc::new(Plan {
        dialer,
        requests,
        calls: order.calls,
        next: AtomicUsize::new(0),
        deadline: Instant::now() + Duration::from_millis(order.timeout_ms),
    });

    let began = Instant::now();
    let mut workers = JoinSet::new();
    for number in 0..order.in_flight {
        let send = (!warm.is_empty()).then(|| warm[number % warm.len()].send.clone());
        workers.spawn(work(plan.clone(), send));
    }
    let mut outcomes = Vec::with_capacity(order.calls);
    for worker in workers.join_all().await {
        outcomes.extend(worker);
    }
    Ok(report(outcomes, began.elapsed()))
}

struct Plan {
    dialer: Dialer,
    requests: Vec<Bytes>,
    calls: usize,
    /// The call that nobody makes yet.
    next: AtomicUsize,
    deadline: Instant,
}

/// What came back.
pub(super) struct Answer {
    pub(super) after: Duration,
    pub(super) bytes: usize,
}

/// Makes one call after another, until there are enough.
async fn work(plan: Arc<Plan>, send: Option<SendRequest<Bytes>>) -> Vec<Result<Answer, String>> {
    let mut outcomes = Vec::new();
    loop {
        let number = plan.next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.calls {
            return outcomes;
        }
        let request = plan.requests[number % plan.requests.len()].clone();
        let began = Instant::now();
        let outcome = async {
            let bytes = match &send {
                Some(send) => ask(send.clone(), request).await?,
                None => {
                    let connection = plan.dialer.connect().await?;
                    let bytes = ask(connection.send.clone(), request).await?;
                    connection.close().await;
                    bytes
                }
            };
            let after = began.elapsed();
            Ok(Answer { after, bytes })
        };
        let outcome = timeout_at(plan.deadline, outcome).await;
        outcomes.push(outcome.unwrap_or_else(|_| Err("no answer in time".to_owned())));
    }
}

/// One call; how many bytes its answer has.
async fn ask(send: SendRequest<Bytes>, request: Bytes) -> Result<usize, String> {
    let failed = |error: h2::Error| error.to_string();
    let mut body = call(send, PATH, request).await?;
    let mut counter = MessageCounter::default();
    let (mut bytes, mut messages) = (0, 0);
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(failed)?;
        messages += counter.push(&chunk);
        bytes += chunk.len();
        body.flow_control()
            .release_capacity(chunk.len())
            .map_err(failed)?;
    }
    let trailers = body.trailers().await.map_err(failed)?;
    if messages != 1 || !is_ok(trailers.as_ref()) {
        let status = trailers.as_ref().and_then(status);
        return Err(format!("{messages} messages, status {status:?}"));
    }
    Ok(bytes)
}

/// The sum of it.
pub(super) fn report(outcomes: Vec<Result<Answer, String>>, elapsed: Duration) -> Certified {
    let (mut each_ms, mut bytes, mut failed) = (Vec::new(), Vec::new(), Failures::default());
    for outcome in outcomes {
        match outcome {
            Ok(answer) => {
                each_ms.push(answer.after.as_secs_f64() * 1e3);
                bytes.push(answer.bytes as f64);
            }
            Err(reason) => failed.add(reason),
        }
    }
    Certified {
        answered: each_ms.len(),
        seconds: elapsed.as_secs_f64(),
        each_ms: Quantiles::of(each_ms),
        bytes: Quantiles::of(bytes),
        failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::server::{self, Stream};
    use crate::mesh::{Mesh, certify_request, to_identity};
    use http::{HeaderMap, HeaderValue};

    fn trailers(status: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            HeaderValue::from_static(status),
        )])
    }

    fn accept(stream: &mut Stream) {
        let answer = Bytes::from_static(&[0, 0, 0, 0, 1, 7]);
        stream.send_data(answer, false).unwrap();
        stream.send_trailers(trailers("0")).unwrap();
    }

    fn refuse(stream: &mut Stream) {
        stream.send_trailers(trailers("9")).unwrap();
    }

    async fn ask(connections: ConnectionUse, answer: fn(&mut Stream)) -> Certified {
        let mesh = Mesh::create().unwrap();
        let tls = to_identity(mesh.trust_anchors());
        let config = server::config(&mesh, &tls.server_name, false);
        let requests = mesh.issuer_dir().join("requests");
        let request = |token| frames::frame(&certify_request("web", "shop", token).unwrap());
        std::fs::write(&requests, [request("a"), request("b")].concat()).unwrap();
        let order = Certify {
            server: server::start(Some(config), answer).await,
            tls,
            requests,
            calls: 21,
            in_flight: 4,
            connections,
            timeout_ms: 10_000,
        };
        certify(order).await.unwrap()
    }

    #[tokio::test]
    async fn calls_are_made_on_shared_connections_and_on_their_own() {
        for connections in [ConnectionUse::Warm(3), ConnectionUse::OnePerCall] {
            let certified = ask(connections, accept).await;
            assert_eq!(certified.answered, 21, "{connections:?}: {certified:?}");
            assert_eq!(certified.failed.count, 0);
            assert_eq!(certified.bytes.max, 6.0);
        }
    }

    #[tokio::test]
    async fn a_refusal_is_no_answer() {
        let certified = ask(ConnectionUse::Warm(1), refuse).await;
        assert_eq!((certified.answered, certified.failed.count), (0, 21));
        assert_eq!(certified.failed.reasons.len(), 1);
        assert!(certified.failed.reasons[0].contains('9'), "{certified:?}");
    }
}
