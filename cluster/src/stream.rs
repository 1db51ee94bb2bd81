//! A server-streaming gRPC answer as a raw HTTP body.
//!
//! tonic's encoder copies each message into a private buffer that grows to the
//! largest message and stays; a body of our own hands hyper reference-counted
//! frames instead, shared by all streams that are told the same. hyper asks for
//! a frame only when the last one found window, so a slow client holds one
//! position, never a queue.

use crate::{
    Origin,
    grpc::Calls,
    origin::as_i64,
    subscribers::{Slot, Subscription},
    trace::{Fact, Place, Span},
};
use bytes::{BufMut, Bytes, BytesMut};
use http_body::Frame;
use smallvec::SmallVec;
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tonic::{Code, Status};

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

/// What a stream is told at a time.
#[derive(Debug)]
pub struct Told {
    /// The messages, never none.
    pub frames: Frames,
    /// Where what is new of them comes from; `None` for a stream that is told its first.
    pub origin: Option<Origin>,
}

/// What a stream is told, as it becomes ready.
pub trait Feed: Send + Unpin + 'static {
    /// What comes next; pending after registering `slot` with
    /// the waker. An error ends the stream with that status.
    fn poll_frames(&mut self, slot: &Arc<Slot>, cx: &mut Context<'_>)
    -> Poll<Result<Told, Status>>;
}

/// The body of a streaming answer; open until the client goes, the feed fails or
/// the process drains.
pub(crate) struct StreamBody<F: Feed> {
    feed: F,
    slot: Arc<Slot>,
    pending: Frames,
    done: bool,
    calls: Arc<Calls>,
    membership: Option<Subscription>,
    /// Where the call is in its trace, if it is in one. Seldom, so it is small.
    trace: Option<Box<Traced>>,
}

/// A stream that is recorded.
struct Traced {
    call: Place,
    is_told: bool,
}

impl<F: Feed> StreamBody<F> {
    /// A body over `feed`, counted in `calls`. `slot` is the one that the feed is
    /// woken through.
    pub(crate) fn new(feed: F, slot: Arc<Slot>, calls: Arc<Calls>, call: Option<Place>) -> Self {
        let membership = calls.open.join(slot.clone());
        if membership.is_none() {
            slot.end();
        }
        Self {
            feed,
            slot,
            pending: Frames::new(),
            done: false,
            calls,
            membership,
            trace: call.map(|call| {
                Box::new(Traced {
                    call,
                    is_told: false,
                })
            }),
        }
    }

    /// The HTTP response that carries the body.
    pub(crate) fn into_response(self) -> http::Response<tonic::body::Body> {
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
        self.ended(status.code());
        let mut trailers = http::HeaderMap::new();
        // Only fails on metadata that is not ASCII; we set none.
        let _ = status.add_header(&mut trailers);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl<F: Feed> StreamBody<F> {
    fn ended(&mut self, code: Code) {
        self.calls.note_handled(code, self.slot.age());
        if let Some(traced) = self.trace.take() {
            let facts = || vec![Fact::new("rpc.grpc.status_code", i64::from(code as i32))];
            drop(Span::part_of(
                &traced.call,
                "stream end",
                Duration::ZERO,
                facts,
            ));
        }
    }

    /// Counts and records what is about to be handed to the transport.
    fn note_told(&mut self, told: &Told) {
        if let Some(origin) = &told.origin {
            self.calls.note_latency(origin.age());
            origin.written(|| self.facts(&told.frames));
        }
        let first = self.trace.as_mut().filter(|traced| !traced.is_told);
        if let Some(traced) = first {
            traced.is_told = true;
            let call = traced.call.clone();
            let facts = || self.facts(&told.frames);
            drop(Span::part_of(
                &call,
                "stream first update",
                self.slot.age(),
                facts,
            ));
        }
    }

    fn facts(&self, frames: &Frames) -> Vec<Fact> {
        let bytes: usize = frames.iter().map(Bytes::len).sum();
        let mut facts = vec![
            Fact::new("rpc.service", self.calls.service()),
            Fact::new("rpc.method", self.calls.method().name),
            Fact::new("ferrule.bytes", as_i64(bytes as u64)),
            Fact::new("ferrule.version", as_i64(self.slot.position())),
        ];
        if let Some(client) = self.slot.client() {
            facts.push(Fact::new("ferrule.client", client.token.to_string()));
        }
        facts
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
            this.slot.note_asked();
            let skipped = this.slot.skipped();
            let told = this.feed.poll_frames(&this.slot, cx);
            let skipped = this.slot.skipped().wrapping_sub(skipped);
            if skipped > 0 {
                this.calls.note_skipped(skipped);
            }
            match told {
                Poll::Ready(Ok(told)) => {
                    this.note_told(&told);
                    this.pending = told.frames;
                    this.pending.reverse();
                    if this.pending.len() > 1 {
                        this.slot.note_due();
                    }
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
        this.calls.note_sent(frame.len());
        this.slot.note_sent();
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.done
    }
}

impl<F: Feed> Drop for StreamBody<F> {
    fn drop(&mut self) {
        if !self.done {
            self.ended(Code::Cancelled);
        }
    }
}
