//! The task that owns the world.

mod problems;

use self::problems::Problems;
use crate::{
    Interner,
    object::Kind,
    origin::{Batch, as_i64},
    source::{CHANNEL_CAPACITY, Event, Sink, unix_millis},
    trace::{Fact, Place, Span},
    world::{Changes, World},
};
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A batch ends after this many events,
const BATCH_EVENTS: usize = 1024;
/// or after this long, whichever comes first (design: from an event to the wire).
const BATCH_TIME: Duration = Duration::from_millis(5);
/// How often views that nobody follows are looked for.
const TIDY_INTERVAL: Duration = Duration::from_secs(10);
/// Names are looked through once a minute: at 100,000 pods it takes milliseconds.
const SWEEP_TICKS: u32 = 6;
/// How many changes of a batch that are traced are linked to it.
const MOST_TRACES: usize = 16;
/// How many questions may wait for the index. Whoever asks waits in turn.
const REQUEST_CAPACITY: usize = 1024;

/// What is derived from the world for one kind of client.
pub trait Projection: Send + 'static {
    /// A question that only the owner of the world can answer.
    type Request: Send + 'static;

    /// Brings the views up to date with what a batch changed. Called only once
    /// the world is synced.
    fn update(&mut self, world: &World, changes: &Changes);

    /// Answers a question; the world may not be synced yet.
    fn handle(&mut self, world: &World, request: Self::Request);

    /// The world has been listed whole for the first time.
    fn synced(&mut self, world: &World);

    /// Gives up what nobody has needed for a while.
    fn tidy(&mut self, now: Instant);
}

/// What the index says of itself, for metrics and probes.
#[derive(Debug, Default)]
pub struct IndexStats {
    /// The world has been listed whole once. Never goes back to false.
    pub synced: AtomicBool,
    /// Events applied.
    pub events: AtomicU64,
    /// Batches of them.
    pub batches: AtomicU64,
    /// Nanoseconds spent on batches.
    pub busy_nanos: AtomicU64,
    applied: [AtomicU64; Kind::ALL.len()],
    counts: [AtomicUsize; Kind::ALL.len()],
    kinds_synced: [AtomicBool; Kind::ALL.len()],
}

impl IndexStats {
    /// How many objects of the kind are known.
    pub fn count(&self, kind: Kind) -> usize {
        self.counts[kind as usize].load(Ordering::Relaxed)
    }

    /// When an object of the kind last came, changed or went, in milliseconds since
    /// 1970; 0 if none did.
    pub fn applied_millis(&self, kind: Kind) -> u64 {
        self.applied[kind as usize].load(Ordering::Relaxed)
    }

    /// Whether the kind has been listed once, or is done without.
    pub fn is_kind_synced(&self, kind: Kind) -> bool {
        self.kinds_synced[kind as usize].load(Ordering::Relaxed)
    }

    /// Whether everything has been listed once.
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }
}

/// The world, what is projected from it, and the ends of the channels into both.
pub struct Index {
    world: World,
    changes: Changes,
    /// The kinds whose objects came, changed or went in this batch.
    applied: [bool; Kind::ALL.len()],
    problems: Problems,
    seats: Vec<Box<dyn Seated>>,
    events: mpsc::Receiver<Event>,
    interner: Interner,
    stats: Arc<IndexStats>,
    /// Where the traces of this batch's changes go on.
    traced: Vec<Place>,
}

/// What an index is reached by.
pub struct Handle {
    /// Where sources send events.
    pub events: Sink,
    /// What it says of itself.
    pub stats: Arc<IndexStats>,
}

impl Index {
    /// An empty index; `interner` is the one that its sources use.
    pub fn new(interner: Interner) -> (Self, Handle) {
        let (events_tx, events) = mpsc::channel(CHANNEL_CAPACITY);
        let stats = Arc::<IndexStats>::default();
        let handle = Handle {
            events: events_tx,
            stats: stats.clone(),
        };
        let index = Self {
            world: World::default(),
            changes: Changes::default(),
            applied: Default::default(),
            problems: Problems::default(),
            seats: Vec::new(),
            events,
            interner,
            stats,
            traced: Vec::new(),
        };
        (index, handle)
    }

    /// Adds a projection of the one world; its questions go where is returned.
    pub fn project<P: Projection>(&mut self, projection: P) -> mpsc::Sender<P::Request> {
        let (requests_tx, requests) = mpsc::channel(REQUEST_CAPACITY);
        self.seats.push(Box::new(Seat {
            projection,
            requests,
        }));
        requests_tx
    }

    /// Works until cancelled. Sources that end do not end it: the last known
    /// state is served on.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut tidy = tokio::time::interval(TIDY_INTERVAL);
        tidy.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut sources = true;
        let mut ticks = 0_u32;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = poll_fn(|cx| poll_answers(&mut self.seats, &self.world, cx)) => {}
                event = self.events.recv(), if sources => match event {
                    Some(event) => self.batch(event),
                    None => sources = false,
                },
                _ = tidy.tick() => {
                    let now = Instant::now();
                    self.seats.iter_mut().for_each(|seat| seat.tidy(now));
                    ticks += 1;
                    if ticks.is_multiple_of(SWEEP_TICKS) {
                        self.interner.sweep();
                    }
                }
            }
        }
    }

    /// Applies this event and all that are ready, then updates the views once.
    fn batch(&mut self, first: Event) {
        let start = Instant::now();
        let _batch = Batch::begin(start);
        let mut events = 0;
        let mut next = Some(first);
        while let Some(event) = next {
            self.apply(event);
            events += 1;
            next = if events < BATCH_EVENTS && start.elapsed() < BATCH_TIME {
                self.events.try_recv().ok()
            } else {
                None
            };
        }
        let span = self.span(start, events);
        let _part = span.enter();
        self.publish();
        self.stats
            .events
            .fetch_add(events as u64, Ordering::Relaxed);
        self.stats.batches.fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.stats.busy_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// The batch in the trace of the first of its changes that has one.
    fn span(&mut self, start: Instant, events: usize) -> Span {
        let places = std::mem::take(&mut self.traced);
        Span::part_of_all(&places, "index batch", start.elapsed(), || {
            vec![Fact::new("ferrule.events", as_i64(events as u64))]
        })
    }

    /// Applies one event to the world without telling the views.
    pub fn apply(&mut self, event: Event) {
        let event = match event {
            Event::Traced(traced) => {
                if self.traced.len() < MOST_TRACES {
                    self.traced.push(traced.place);
                }
                traced.event
            }
            event => event,
        };
        self.problems.report(&event);
        match &event {
            Event::Applied { object, .. } => self.applied[object.kind() as usize] = true,
            Event::Deleted(kind, _) => self.applied[*kind as usize] = true,
            Event::Relisting(_) | Event::Synced(_) | Event::Unavailable(..) | Event::Traced(_) => {}
        }
        self.world.apply(event, &mut self.changes);
    }

    /// Tells the views what has been applied.
    pub fn publish(&mut self) {
        if self.world.is_synced() {
            let first = !self.stats.is_synced();
            for seat in &mut self.seats {
                if first {
                    seat.synced(&self.world);
                } else {
                    seat.update(&self.world, &self.changes);
                }
            }
            self.stats.synced.store(true, Ordering::Release);
        }
        self.changes.clear();
        let now = unix_millis();
        for (applied, at) in self.applied.iter_mut().zip(&self.stats.applied) {
            if std::mem::take(applied) {
                at.store(now, Ordering::Relaxed);
            }
        }
        for kind in Kind::ALL {
            self.stats.counts[kind as usize].store(self.world.count(kind), Ordering::Relaxed);
            self.stats.kinds_synced[kind as usize]
                .store(self.world.is_kind_synced(kind), Ordering::Relaxed);
        }
    }

    /// Answers the questions that wait; for tests that drive an index by hand.
    pub fn answer(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while poll_answers(&mut self.seats, &self.world, &mut cx).is_ready() {}
    }
}

/// A projection and the questions that wait for it.
struct Seat<P: Projection> {
    projection: P,
    requests: mpsc::Receiver<P::Request>,
}

/// A [`Seat`] whatever its questions are.
trait Seated: Send {
    fn update(&mut self, world: &World, changes: &Changes);
    fn synced(&mut self, world: &World);
    fn tidy(&mut self, now: Instant);
    /// Answers the next question, if one waits.
    fn poll_answer(&mut self, world: &World, cx: &mut Context<'_>) -> Poll<()>;
}

impl<P: Projection> Seated for Seat<P> {
    fn update(&mut self, world: &World, changes: &Changes) {
        self.projection.update(world, changes);
    }

    fn synced(&mut self, world: &World) {
        self.projection.synced(world);
    }

    fn tidy(&mut self, now: Instant) {
        self.projection.tidy(now);
    }

    fn poll_answer(&mut self, world: &World, cx: &mut Context<'_>) -> Poll<()> {
        match self.requests.poll_recv(cx) {
            Poll::Ready(Some(request)) => {
                self.projection.handle(world, request);
                Poll::Ready(())
            }
            // Nobody is left who could ask.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Answers what waits, in turn, for as long as a batch of events may take:
/// neither holds up the other. Pending if nothing waited.
fn poll_answers(seats: &mut [Box<dyn Seated>], world: &World, cx: &mut Context<'_>) -> Poll<()> {
    let start = Instant::now();
    let mut answered = Poll::Pending;
    loop {
        let mut any = false;
        for seat in &mut *seats {
            any |= seat.poll_answer(world, cx).is_ready();
        }
        if !any {
            return answered;
        }
        answered = Poll::Ready(());
        if start.elapsed() >= BATCH_TIME {
            return answered;
        }
    }
}
