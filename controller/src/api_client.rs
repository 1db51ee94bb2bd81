//! The client of the Kubernetes API, and what its requests come to.

use ferrule_cluster::{Distribution, Histogram};
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tower::{Layer, Service};

/// Upper bounds for how long an answer takes to begin, in seconds: an idle API
/// server takes a few milliseconds, and lists some seconds.
const LATENCY: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Requests to the API server, counted. Series are as many as pairs of method and
/// status occur.
#[derive(Debug, Default)]
pub(crate) struct ApiRequests {
    in_flight: AtomicUsize,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    answered: BTreeMap<(&'static str, u16), Histogram>,
    failed: BTreeMap<&'static str, u64>,
}

impl ApiRequests {
    /// Requests whose answer has not begun.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// By method and status, how long answers took to begin.
    pub(crate) fn answered(&self) -> Vec<(&'static str, String, Distribution)> {
        let seen = self.seen();
        let answered = seen.answered.iter();
        answered
            .map(|((method, code), latency)| (*method, code.to_string(), latency.read()))
            .collect()
    }

    /// By method, requests without an answer.
    pub(crate) fn failed(&self) -> Vec<(&'static str, u64)> {
        let seen = self.seen();
        seen.failed
            .iter()
            .map(|(method, count)| (*method, *count))
            .collect()
    }

    fn note(&self, method: &'static str, status: Option<StatusCode>, took: Duration) {
        let mut seen = self.seen();
        match status {
            Some(status) => {
                let latency = seen.answered.entry((method, status.as_u16()));
                let latency = latency.or_insert_with(|| Histogram::new(LATENCY));
                latency.observe(took);
            }
            None => *seen.failed.entry(method).or_default() += 1,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client whose requests are counted in `requests`.
pub(crate) fn client(config: Config, requests: Arc<ApiRequests>) -> kube::Result<Client> {
    let counted = ClientBuilder::try_from(config)?.with_layer(&Counted(requests));
    Ok(counted.build())
}

struct Counted(Arc<ApiRequests>);

impl<S> Layer<S> for Counted {
    type Service = CountedService<S>;

    fn layer(&self, inner: S) -> CountedService<S> {
        CountedService {
            inner,
            requests: self.0.clone(),
        }
    }
}

struct CountedService<S> {
    inner: S,
    requests: Arc<ApiRequests>,
}

impl<S, B> Service<Request<Body>> for CountedService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = method(request.method());
        let flight = Flight::begin(self.requests.clone());
        let answer = self.inner.call(request);
        let begun = Instant::now();
        Box::pin(async move {
            let answer = answer.await;
            let status = answer.as_ref().ok().map(Response::status);
            flight.0.note(method, status, begun.elapsed());
            answer
        })
    }
}

/// A request in flight, also if nobody waits for it any more.
struct Flight(Arc<ApiRequests>);

impl Flight {
    fn begin(requests: Arc<ApiRequests>) -> Self {
        requests.in_flight.fetch_add(1, Relaxed);
        Self(requests)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// As other clients' metrics spell it.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}
