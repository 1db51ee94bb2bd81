use crate::trace::{Fact, Place, Span};
use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// How many streams' writes of a version are recorded: what all of them do is in the
/// metrics.
const WRITES: u32 = 16;

/// Where a version of a view comes from: the batch of changes that brought it.
#[derive(Clone, Debug)]
pub struct Origin {
    began: Instant,
    /// Where its trace goes on, if it is of one.
    trace: Option<Arc<Published>>,
}

#[derive(Debug)]
struct Published {
    place: Place,
    at: Instant,
    /// Writes that may still be recorded.
    writes: AtomicU32,
}

thread_local! {
    static BATCH: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The batch that is being taken in on this thread.
pub(crate) struct Batch(());

impl Batch {
    /// One that began then.
    pub(crate) fn begin(began: Instant) -> Self {
        BATCH.set(Some(began));
        Self(())
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        BATCH.set(None);
    }
}

impl Origin {
    /// Of a version that is published now, to so many streams.
    pub fn now(version: u64, streams: usize) -> Self {
        let began = BATCH.get().unwrap_or_else(Instant::now);
        let update = Span::part("view update", || {
            vec![
                Fact::new("ferrule.version", as_i64(version)),
                Fact::new("ferrule.streams", as_i64(streams as u64)),
            ]
        });
        let trace = update.place().filter(|_| streams > 0).map(|place| {
            Arc::new(Published {
                place,
                at: Instant::now(),
                writes: AtomicU32::new(WRITES),
            })
        });
        Self { began, trace }
    }

    /// How long ago its batch began.
    pub(crate) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Records that it was written to a stream, as one of the first.
    pub(crate) fn written(&self, facts: impl FnOnce() -> Vec<Fact>) {
        let Some(published) = &self.trace else {
            return;
        };
        let one_less = |left: u32| left.checked_sub(1);
        let may = published
            .writes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if may.is_ok() {
            let ago = published.at.elapsed();
            drop(Span::part_of(&published.place, "stream write", ago, facts));
        }
    }
}

/// Numbers in traces have a sign.
pub(crate) fn as_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
