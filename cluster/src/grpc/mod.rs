//! A gRPC service on streams of our own (see [`crate::stream`]): the calls come
//! as raw bodies, one request message each.

mod calls;
mod client;

pub use self::{
    calls::{Calls, Method},
    client::{Client, Connection},
};

use self::calls::Handling;
use crate::{
    Slot,
    stream::{Feed, StreamBody},
    trace::{Fact, Place, Span},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::Frame;
use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Status, body::Body, codec::Codec, server::NamedService};

/// The largest request: a path, a token, and some room.
const MAX_REQUEST: usize = 64 << 10;

/// What a call is answered with.
pub type Response = http::Response<Body>;

/// The methods of a gRPC service.
pub trait Methods: Send + Sync + 'static {
    /// The service's full name.
    const NAME: &'static str;

    /// All that [`call`](Self::call) answers.
    const METHODS: &'static [Method];

    /// Answers a call; `None` is no such method.
    fn call(
        &self,
        method: &str,
        call: Call,
    ) -> impl Future<Output = Option<Result<Response, Status>>> + Send;
}

/// A call that is to be answered.
pub struct Call {
    body: Option<Body>,
    connection: Option<Connection>,
    calls: Arc<Calls>,
    /// Where it is in its trace.
    trace: Option<Place>,
}

impl Call {
    /// The one message of the call.
    ///
    /// # Errors
    /// INVALID_ARGUMENT where there is none; what the decoder says otherwise.
    pub async fn message<M>(&mut self) -> Result<M, Status>
    where
        M: prost::Message + Default + 'static,
    {
        let missing = || Status::invalid_argument("the request has no message");
        let body = self.body.take().ok_or_else(missing)?;
        let decoder = tonic_prost::ProstCodec::<(), M>::default().decoder();
        let mut messages = tonic::Streaming::new_request(decoder, body, None, Some(MAX_REQUEST));
        let message = messages.message().await?.ok_or_else(missing)?;
        self.calls.note_received();
        Ok(message)
    }

    /// The place of a stream to a client that says this of itself.
    pub fn slot(&self, token: &str) -> Arc<Slot> {
        let connection = self.connection.as_ref();
        Slot::of(connection.map(|connection| connection.client(token)))
    }

    /// A streaming answer. `slot` is the one that the feed is woken through.
    pub fn stream<F: Feed>(self, feed: F, slot: Arc<Slot>) -> Response {
        StreamBody::new(feed, slot, self.calls, self.trace).into_response()
    }

    /// The answer of a unary call: one message, already framed.
    pub fn unary(self, frame: Bytes) -> Response {
        self.calls.note_sent(frame.len());
        let mut trailers = http::HeaderMap::new();
        // Only fails on metadata that is not ASCII; there is none.
        let _ = Status::ok("").add_header(&mut trailers);
        let frames = [Frame::data(frame), Frame::trailers(trailers)];
        let frames = futures::stream::iter(frames.map(Ok::<_, Infallible>));
        let mut response = http::Response::new(Body::new(http_body_util::StreamBody::new(frames)));
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/grpc"),
        );
        response
    }
}

/// The tower service of some [`Methods`].
pub struct Server<M>(Arc<Inner<M>>);

struct Inner<M> {
    methods: M,
    calls: Box<[Arc<Calls>]>,
    /// Of methods that there are not.
    unknown: Arc<Calls>,
    /// Streams that there may be at a time.
    most: AtomicUsize,
}

impl<M: Methods> Server<M> {
    /// Serves `methods`.
    pub fn new(methods: M) -> Self {
        let calls = |method| Arc::new(Calls::new(M::NAME, method));
        Self(Arc::new(Inner {
            methods,
            calls: M::METHODS.iter().copied().map(calls).collect(),
            unknown: calls(Method::unary("unknown")),
            most: AtomicUsize::new(usize::MAX),
        }))
    }

    /// Refuses further streams with UNAVAILABLE while there are so many, or a few more
    /// where several begin at the same moment.
    pub fn limit(&self, streams: usize) {
        self.0.most.store(streams, Ordering::Relaxed);
    }

    /// The calls of each method; those of methods that there are not, if there
    /// were any.
    pub fn calls(&self) -> impl Iterator<Item = &Arc<Calls>> {
        let unknown = Some(&self.0.unknown).filter(|unknown| unknown.started() > 0);
        self.0.calls.iter().chain(unknown)
    }
}

impl<M> Inner<M> {
    fn is_full(&self) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let active = || self.calls.iter().map(|calls| calls.active());
        most < usize::MAX && active().sum::<usize>() >= most
    }
}

impl<M> Clone for Server<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Methods> fmt::Debug for Server<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Server").field(&M::NAME).finish()
    }
}

impl<M: Methods> NamedService for Server<M> {
    const NAME: &'static str = M::NAME;
}

impl<M: Methods> tower::Service<http::Request<Body>> for Server<M> {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let path = head.uri.path();
            let name = path.rsplit_once('/').map_or(path, |(_, method)| method);
            let known = inner.calls.iter().find(|calls| calls.method().name == name);
            let calls = known.unwrap_or(&inner.unknown);
            let handling = Handling::begin(calls.clone());
            let span = Span::for_caller(calls.method().name, &head.headers, || {
                let method = calls.method().name;
                vec![
                    Fact::new("rpc.system", "grpc"),
                    Fact::new("rpc.service", calls.service()),
                    Fact::new("rpc.method", method),
                ]
            });
            let call = Call {
                body: Some(body),
                connection: head.extensions.remove(),
                calls: calls.clone(),
                trace: span.place(),
            };
            let answered = if calls.method().is_streaming && inner.is_full() {
                calls.note_refused();
                Some(Err(Status::unavailable(
                    "this replica has as many streams as it may",
                )))
            } else {
                span.clone().during(inner.methods.call(name, call)).await
            };
            let response = answered
                .unwrap_or_else(|| Err(Status::unimplemented(format!("no such method: {path}"))));
            if let Err(status) = &response {
                span.note(|| Fact::new("rpc.grpc.status_code", i64::from(status.code() as i32)));
                span.fail(|| status.message().to_owned());
            }
            Ok(match response {
                Ok(response) => {
                    if calls.method().is_streaming {
                        handling.goes_on();
                    } else {
                        handling.end(Code::Ok);
                    }
                    response
                }
                Err(status) => {
                    handling.end(status.code());
                    status.into_http()
                }
            })
        })
    }
}

/// Asks a projection and waits for the answer.
///
/// # Errors
/// UNAVAILABLE when the index has stopped.
pub async fn ask<R, T>(
    index: &mpsc::Sender<R>,
    question: impl FnOnce(oneshot::Sender<T>) -> R,
) -> Result<T, Status> {
    let stopped = || Status::unavailable("the index has stopped");
    let (reply, answer) = oneshot::channel();
    index.send(question(reply)).await.map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())
}
