use crate::{Distribution, Histogram, Subscribers};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tonic::Code;

/// Upper bounds for how long calls take, in seconds (destination.md section 14).
const HANDLING: &[f64] = &[0.1, 1.0, 300.0, 3600.0];

/// Upper bounds for how long a change takes to a stream, in seconds: a few
/// milliseconds to thousands of streams, and more if something is wrong.
const LATENCY: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// A method of a gRPC service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// Whether it answers with a stream of messages, or with one.
    pub is_streaming: bool,
}

impl Method {
    /// A method that answers with a stream.
    pub const fn streaming(name: &'static str) -> Self {
        Self {
            name,
            is_streaming: true,
        }
    }

    /// A method that answers with one message.
    pub const fn unary(name: &'static str) -> Self {
        Self {
            name,
            is_streaming: false,
        }
    }
}

/// The calls of one gRPC method: how many there were, what they were told, and
/// the streams that are open.
#[derive(Debug)]
pub struct Calls {
    service: &'static str,
    method: Method,
    pub(crate) open: Arc<Subscribers>,
    started: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    bytes: AtomicU64,
    skipped: AtomicU64,
    refused: AtomicU64,
    handled: [AtomicU64; 17],
    handling: Histogram,
    latency: Histogram,
}

impl Calls {
    pub(crate) fn new(service: &'static str, method: Method) -> Self {
        Self {
            service,
            method,
            open: Arc::default(),
            started: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            handled: Default::default(),
            handling: Histogram::new(HANDLING),
            latency: Histogram::new(LATENCY),
        }
    }

    /// The full name of the service.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// How many streams are open.
    pub fn active(&self) -> usize {
        self.open.len()
    }

    /// Calls begun.
    pub fn started(&self) -> u64 {
        self.started.load(Relaxed)
    }

    /// Messages that clients sent and that could be read.
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Messages handed to the transport.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Their bytes, gRPC headers included.
    pub fn sent_bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Versions that were never told to a stream, since a newer one was there
    /// before its client was ready for them.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Relaxed)
    }

    /// Streams that were refused because there were as many as there may be.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn note_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Calls that have ended, by code; codes that never occurred are left out. A
    /// client that went away ends its call with CANCELLED.
    pub fn handled(&self) -> impl Iterator<Item = (Code, u64)> {
        self.handled
            .iter()
            .enumerate()
            .map(|(code, count)| (Code::from(code as i32), count.load(Relaxed)))
            .filter(|(_, count)| *count > 0)
    }

    /// How long calls that have ended took, streams included.
    pub fn handling(&self) -> Distribution {
        self.handling.read()
    }

    /// How long changes took from the beginning of their batch until they were handed
    /// to the transport, stream by stream.
    pub fn latency(&self) -> Distribution {
        self.latency.read()
    }

    /// How many streams have lacked something for so long that they should have been
    /// told: their clients do not read.
    pub fn behind(&self, by: Duration) -> usize {
        self.open.behind(by)
    }

    pub(crate) fn note_latency(&self, latency: Duration) {
        self.latency.observe(latency);
    }

    /// Ends every stream with UNAVAILABLE, evenly spread over `window`, so that
    /// their clients do not all reconnect in the same second. New ones end at
    /// once.
    pub async fn drain(&self, window: Duration) {
        self.open.close();
        let slots = self.open.slots();
        // Timers are good for a millisecond; more streams than that go in groups.
        let groups = (window.as_millis() / 10).clamp(1, 1_000) as usize;
        let size = slots.len().div_ceil(groups).max(1);
        let pause = window / u32::try_from(groups).expect("clamped to 1,000");
        for group in slots.chunks(size) {
            // The first ones wait, too: connections are told to go at the same time,
            // and a client that hears of its stream first would ask here again.
            tokio::time::sleep(pause).await;
            for slot in group {
                slot.end();
            }
        }
    }

    pub(super) fn note_received(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    pub(crate) fn note_sent(&self, bytes: usize) {
        self.sent.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn note_skipped(&self, versions: u32) {
        self.skipped.fetch_add(versions.into(), Relaxed);
    }

    pub(crate) fn note_handled(&self, code: Code, took: Duration) {
        self.handled[code as usize].fetch_add(1, Relaxed);
        self.handling.observe(took);
    }
}

/// A call from its beginning until it is answered; one that is dropped before
/// was given up by its client.
pub(super) struct Handling {
    calls: Arc<Calls>,
    begun: Option<Instant>,
}

impl Handling {
    pub(super) fn begin(calls: Arc<Calls>) -> Self {
        calls.started.fetch_add(1, Relaxed);
        Self {
            calls,
            begun: Some(Instant::now()),
        }
    }

    pub(super) fn end(mut self, code: Code) {
        self.note(code);
    }

    /// The answer is a stream, which tells its own end.
    pub(super) fn goes_on(mut self) {
        self.begun = None;
    }

    fn note(&mut self, code: Code) {
        if let Some(begun) = self.begun.take() {
            self.calls.note_handled(code, begun.elapsed());
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.note(Code::Cancelled);
    }
}
