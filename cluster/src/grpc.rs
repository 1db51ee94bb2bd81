//! A gRPC service on streams of our own (see [`crate::stream`]): the calls come
//! as raw bodies, one request message each.

use crate::{
    Slot,
    stream::{Feed, StreamBody, Streams},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::Frame;
use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
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

    /// Answers a call; `None` is no such method.
    fn call(
        &self,
        method: &str,
        body: Body,
    ) -> impl Future<Output = Option<Result<Response, Status>>> + Send;
}

/// The tower service of some [`Methods`].
pub struct Server<M>(Arc<Inner<M>>);

struct Inner<M> {
    methods: M,
    refused: Refusals,
}

/// How many calls were refused, by code.
#[derive(Debug, Default)]
pub struct Refusals([AtomicU64; 17]);

impl Refusals {
    /// Every code that was answered at least once, with how often.
    pub fn counts(&self) -> impl Iterator<Item = (Code, u64)> {
        self.0
            .iter()
            .enumerate()
            .map(|(code, count)| (Code::from(code as i32), count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }

    /// Counts one.
    pub fn count(&self, code: Code) {
        self.0[code as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl<M: Methods> Server<M> {
    /// Serves `methods`.
    pub fn new(methods: M) -> Self {
        Self(Arc::new(Inner {
            methods,
            refused: Refusals::default(),
        }))
    }

    /// The calls that were refused.
    pub fn refused(&self) -> &Refusals {
        &self.0.refused
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
            let (head, body) = request.into_parts();
            let path = head.uri.path();
            let method = path.rsplit_once('/').map_or(path, |(_, method)| method);
            let answered = inner.methods.call(method, body).await;
            let response = answered
                .unwrap_or_else(|| Err(Status::unimplemented(format!("no such method: {path}"))));
            Ok(response.unwrap_or_else(|status| {
                inner.refused.count(status.code());
                status.into_http()
            }))
        })
    }
}

/// The one message of a call.
///
/// # Errors
/// INVALID_ARGUMENT where there is none; what the decoder says otherwise.
pub async fn read_message<M>(body: Body) -> Result<M, Status>
where
    M: prost::Message + Default + 'static,
{
    let decoder = tonic_prost::ProstCodec::<(), M>::default().decoder();
    let mut messages = tonic::Streaming::new_request(decoder, body, None, Some(MAX_REQUEST));
    messages
        .message()
        .await?
        .ok_or_else(|| Status::invalid_argument("the request has no message"))
}

/// A streaming answer.
pub fn stream<F: Feed>(feed: F, slot: Arc<Slot>, streams: &Arc<Streams>) -> Response {
    StreamBody::new(feed, slot, streams.clone()).into_response()
}

/// The answer of a unary call: one message, already framed.
pub fn unary(frame: Bytes) -> Response {
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
