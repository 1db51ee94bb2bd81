//! What the streams have seen, written by their tasks and read by the reports.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::protocol::{Failures, Later, Opened, Told, ToldEndpoint};
use crate::quantiles::Quantiles;

/// The counts of one set of connections.
#[derive(Debug)]
pub(crate) struct Tally {
    /// When connections began to be made.
    begin: Instant,
    /// When the clock started.
    start: OnceLock<Instant>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    connect_ms: Vec<f64>,
    given_up: usize,
    first_ms: Vec<f64>,
    first_bytes: Vec<f64>,
    later: Vec<u64>,
    told: HashMap<Ipv4Addr, Vec<u64>>,
    tellings: usize,
    telling_messages: usize,
    bytes: u64,
    ended: Failures,
}

impl Tally {
    /// Nothing yet, from now on.
    pub(crate) fn begin() -> Self {
        Self {
            begin: Instant::now(),
            start: OnceLock::new(),
            counts: Mutex::default(),
        }
    }

    pub(crate) fn start_clock(&self) {
        let _ = self.start.set(Instant::now());
    }

    /// One more connection is up.
    pub(crate) fn connected(&self) {
        let elapsed = self.begin.elapsed().as_secs_f64() * 1e3;
        self.lock().connect_ms.push(elapsed);
    }

    /// How many connections are, or were, up.
    pub(crate) fn connections(&self) -> usize {
        self.lock().connect_ms.len()
    }

    /// A connection took too long to be made.
    pub(crate) fn gave_up(&self) {
        self.lock().given_up += 1;
    }

    /// A stream's first message is whole, after `bytes` bytes of DATA.
    pub(crate) fn first(&self, bytes: u64) {
        let elapsed = self.start.get().map(Instant::elapsed).unwrap_or_default();
        let mut counts = self.lock();
        counts.first_ms.push(elapsed.as_secs_f64() * 1e3);
        counts.first_bytes.push(bytes as f64);
    }

    /// `count` more messages of a stream became whole at `time`.
    pub(crate) fn later(&self, count: usize, time: u64) {
        let mut counts = self.lock();
        counts.later.extend(std::iter::repeat_n(time, count));
    }

    /// A stream was told of new endpoints at `time`, or of none, by `messages` messages.
    pub(crate) fn told(&self, messages: usize, endpoints: &[Ipv4Addr], time: u64) {
        let mut counts = self.lock();
        counts.telling_messages += messages;
        counts.tellings += endpoints.len();
        for endpoint in endpoints {
            counts.told.entry(*endpoint).or_default().push(time);
        }
    }

    pub(crate) fn data(&self, bytes: usize) {
        self.lock().bytes += bytes as u64;
    }

    /// A stream or a connection ended, which none should before it is told to.
    pub(crate) fn ended(&self, reason: String) {
        self.lock().ended.add(reason);
    }

    /// How many streams are answered or have ended.
    pub(crate) fn decided(&self) -> usize {
        let counts = self.lock();
        counts.first_ms.len() + counts.ended.count
    }

    /// How many later messages are not reported yet.
    pub(crate) fn unreported(&self) -> usize {
        self.lock().later.len()
    }

    /// How often a stream was told of an endpoint, not reported yet.
    pub(crate) fn tellings(&self) -> usize {
        self.lock().tellings
    }

    pub(crate) fn opened(&self) -> Opened {
        let counts = self.lock();
        Opened {
            answered: counts.first_ms.len(),
            connect_ms: Quantiles::of(counts.connect_ms.clone()),
            given_up: counts.given_up,
            first_ms: Quantiles::of(counts.first_ms.clone()),
            first_bytes: Quantiles::of(counts.first_bytes.clone()),
            bytes: counts.bytes,
            ended: counts.ended.clone(),
        }
    }

    /// Takes the later messages out.
    pub(crate) fn take_later(&self) -> Later {
        let mut counts = self.lock();
        Later {
            times: std::mem::take(&mut counts.later),
            ended: counts.ended.clone(),
        }
    }

    /// Takes out which endpoints were told.
    pub(crate) fn take_told(&self) -> Told {
        let mut counts = self.lock();
        counts.tellings = 0;
        let endpoints = std::mem::take(&mut counts.told).into_iter();
        let endpoints = endpoints.map(|(address, mut times)| {
            times.sort_unstable();
            ToldEndpoint {
                address,
                streams: times.len(),
                median: times[times.len() / 2],
                last: times[times.len() - 1],
            }
        });
        Told {
            endpoints: endpoints.collect(),
            messages: std::mem::take(&mut counts.telling_messages),
            bytes: counts.bytes,
            ended: counts.ended.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
