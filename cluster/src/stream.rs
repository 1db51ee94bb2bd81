//! A server-streaming gRPC answer as a raw HTTP body.
//!
//! tonic's encoder copies each message into a private buffer that grows to the
//! largest message and stays; a body of our own hands hyper reference-counted
//! frames instead, shared by all streams that are told the same. hyper asks for
//! a frame only when the last one found window, so a slow client holds one
//! position, never a queue.

use crate::subscribers::{Slot, Subscribers, Subscription};
use bytes::{BufMut, Bytes, BytesMut};
use http_body::Frame;
use smallvec::SmallVec;
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tonic::Status;

/// gRPC messages with their 5-byte headers, ready for the wire. Rarely more
/// than an Add and a Remove.
pub type Frames = SmallVec<[Bytes; 2]>;

/// The bytes of gRPC's message header: compression flag and u32 length.
pub const HEADER_LEN: usize = 5;

/// A message's header and body in one buffer; `encode` must append exactly
/// `len` bytes.
pub fn frame(len: usize, encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut buffer = BytesMut::with_capacity(HEADER_LEN + len);
    buffer.put_u8(0);
    buffer.put_u32(u32::try_from(len).expect("a message is split long before 4 GiB"));
    encode(&mut buffer);
    debug_assert_eq!(buffer.len(), HEADER_LEN + len);
    buffer.freeze()
}

/// A whole message with its header.
pub fn message(message: &impl prost::Message) -> Bytes {
    frame(message.encoded_len(), |buffer| message.encode_raw(buffer))
}

/// What a stream is told, as it becomes ready.
pub trait Feed: Send + Unpin + 'static {
    /// The next messages, never empty; pending after registering `slot` with
    /// the waker. An error ends the stream with that status.
    fn poll_frames(
        &mut self,
        slot: &Arc<Slot>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Frames, Status>>;
}

/// All open streams of one gRPC method, and what they were sent.
#[derive(Debug, Default)]
pub struct Streams {
    subscribers: Arc<Subscribers>,
    /// Streams opened since the start.
    pub opened: AtomicU64,
    /// Messages handed to the transport.
    pub messages: AtomicU64,
    /// Bytes handed to the transport, gRPC headers included.
    pub bytes: AtomicU64,
}

impl Streams {
    /// How many streams are open.
    pub fn active(&self) -> usize {
        self.subscribers.len()
    }

    /// Ends every stream with UNAVAILABLE, evenly spread over `window`, so that
    /// their clients do not all reconnect in the same second. New ones end at
    /// once.
    pub async fn drain(&self, window: Duration) {
        self.subscribers.close();
        let slots = self.subscribers.slots();
        // Timers are good for a millisecond; more streams than that go in groups.
        let groups = (window.as_millis() / 10).clamp(1, 1_000) as usize;
        let size = slots.len().div_ceil(groups).max(1);
        let pause = window / u32::try_from(groups).expect("clamped to 1,000");
        for group in slots.chunks(size) {
            for slot in group {
                slot.end();
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// The body of a streaming answer; open until the client goes, the feed fails or
/// the process drains.
pub struct StreamBody<F> {
    feed: F,
    slot: Arc<Slot>,
    pending: Frames,
    done: bool,
    streams: Arc<Streams>,
    membership: Option<Subscription>,
}

impl<F: Feed> StreamBody<F> {
    /// A body over `feed`, counted in `streams`. `slot` is the one that the feed
    /// is woken through.
    pub fn new(feed: F, slot: Arc<Slot>, streams: Arc<Streams>) -> Self {
        streams.opened.fetch_add(1, Ordering::Relaxed);
        let membership = streams.subscribers.join(slot.clone());
        if membership.is_none() {
            slot.end();
        }
        Self {
            feed,
            slot,
            pending: Frames::new(),
            done: false,
            streams,
            membership,
        }
    }

    /// The HTTP response that carries the body.
    pub fn into_response(self) -> http::Response<tonic::body::Body> {
        let mut response = http::Response::new(tonic::body::Body::new(self));
        response.headers_mut().insert(
            http::header::CONTENT_TYPE,
            http::HeaderValue::from_static("application/grpc"),
        );
        response
    }

    fn finish(&mut self, status: &Status) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.done = true;
        self.membership = None;
        let mut trailers = http::HeaderMap::new();
        // Only fails on metadata that is not ASCII; we set none.
        let _ = status.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl<F: Feed> http_body::Body for StreamBody<F> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        // A client that was told the adds of a version is told its removes too.
        if this.pending.is_empty() {
            if this.slot.is_ended() {
                return this.finish(&Status::unavailable("this replica is shutting down"));
            }
            match this.feed.poll_frames(&this.slot, cx) {
                Poll::Ready(Ok(frames)) => {
                    this.pending = frames;
                    this.pending.reverse();
                }
                Poll::Ready(Err(status)) => return this.finish(&status),
                // The feed registered the waker before it looked; look again at
                // what else can wake this stream.
                Poll::Pending if this.slot.is_ended() => {
                    return this.finish(&Status::unavailable("this replica is shutting down"));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        let Some(frame) = this.pending.pop() else {
            return Poll::Pending;
        };
        this.streams.messages.fetch_add(1, Ordering::Relaxed);
        this.streams
            .bytes
            .fetch_add(frame.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }
}
