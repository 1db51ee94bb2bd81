//! What the streams have seen, written by their tasks and read by the reports.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crate::protocol::{Later, Opened};
use crate::quantiles::Quantiles;

/// How many reasons a report repeats; one is usually the reason of all.
const MAX_REASONS: usize = 5;

/// The counts of one set of connections.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// When the clock started.
    start: OnceLock<Instant>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    first_ms: Vec<f64>,
    first_bytes: Vec<f64>,
    later: Vec<u64>,
    bytes: u64,
    ended: usize,
    reasons: Vec<String>,
}

impl Tally {
    pub(crate) fn start_clock(&self) {
        let _ = self.start.set(Instant::now());
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

    pub(crate) fn data(&self, bytes: usize) {
        self.lock().bytes += bytes as u64;
    }

    /// A stream or a connection ended, which none should before it is told to.
    pub(crate) fn ended(&self, reason: String) {
        let mut counts = self.lock();
        counts.ended += 1;
        if counts.reasons.len() < MAX_REASONS && !counts.reasons.contains(&reason) {
            counts.reasons.push(reason);
        }
    }

    /// How many streams are answered or have ended.
    pub(crate) fn decided(&self) -> usize {
        let counts = self.lock();
        counts.first_ms.len() + counts.ended
    }

    /// How many later messages are not reported yet.
    pub(crate) fn unreported(&self) -> usize {
        self.lock().later.len()
    }

    pub(crate) fn opened(&self) -> Opened {
        let counts = self.lock();
        Opened {
            answered: counts.first_ms.len(),
            first_ms: Quantiles::of(counts.first_ms.clone()),
            first_bytes: Quantiles::of(counts.first_bytes.clone()),
            bytes: counts.bytes,
            ended: counts.ended,
            reasons: counts.reasons.clone(),
        }
    }

    /// Takes the later messages out.
    pub(crate) fn take_later(&self) -> Later {
        let mut counts = self.lock();
        Later {
            times: std::mem::take(&mut counts.later),
            ended: counts.ended,
            reasons: counts.reasons.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
