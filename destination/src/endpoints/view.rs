//! The versioned set of endpoints that one class of clients is told.
//!
//! ```text
//!   entries: address -> encoded endpoint          what a fresh stream is told,
//!      └── snapshot: all of them, encoded           made when one asks
//!   deltas:  v41 ── v42 ── v43 = newest           each encoded once
//!                    ▲
//!      a stream at v42 is told one delta, one at v41 two merged, one older than
//!      the deltas everything and what of its own has gone (tombstones)
//! ```

use super::{
    candidates::{Addr, Identity},
    wire::{adds, removes, snapshot},
};
use bytes::Bytes;
use ferrule_cluster::{Origin, Slot, Subscribers, Subscription, stream::Frames};
use rustc_hash::FxHashMap;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use tonic::Status;

/// How much of its past a view keeps for streams that are behind.
#[derive(Clone, Copy, Debug)]
pub struct History {
    /// Deltas at most; a stream further behind gets the whole set's difference.
    pub deltas: usize,
    /// Bytes of deltas: this many, or a quarter of the snapshot's. The same holds
    /// (with a half) for what the snapshot may have lost before it is made again.
    pub bytes: usize,
    /// Gone endpoints that are kept without asking who still needs them: this
    /// many, or a quarter of the living.
    pub gone: usize,
}

impl Default for History {
    fn default() -> Self {
        Self {
            deltas: 256,
            bytes: 64 << 10,
            gone: 256,
        }
    }
}

/// What views count together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Versions of the views that differ in nothing but their clients' zone.
    updates: AtomicU64,
    /// Messages that all views put together.
    encoded: Arc<AtomicU64>,
}

impl Tally {
    /// A new one of those that count what they encode there.
    pub(crate) fn new(encoded: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self {
            updates: AtomicU64::new(0),
            encoded,
        })
    }

    fn encoded(&self, frames: usize) {
        self.encoded.fetch_add(frames as u64, Ordering::Relaxed);
    }
}

/// What the index writes and streams read. The lock is held for microseconds,
/// except while a merge or a snapshot is put together (about a millisecond for
/// 5,000 endpoints), which happens once for all who need it, and while a
/// publication asks where the streams are, once the gone endpoints are many.
#[derive(Debug, Default)]
pub(crate) struct EndpointsView {
    subscribers: Arc<Subscribers>,
    version: AtomicU64,
    /// How many endpoints are published, for those who only count.
    count: AtomicUsize,
    tally: Arc<Tally>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    history: History,
    tally: Arc<Tally>,
    version: u64,
    /// Where the newest version comes from.
    origin: Option<Origin>,
    /// What newcomers get instead of a stream; those who are here stay.
    refusal: Option<Status>,
    /// Another view has taken this one's place: everything that its streams may
    /// have been told.
    replaced: Option<Arc<[Addr]>>,
    entries: FxHashMap<Addr, Entry>,
    set_labels: Bytes,
    snapshot: Snapshot,
    /// Consecutive, the last one leads to `version`. None leads to the first
    /// version: who was told nothing is told everything.
    deltas: VecDeque<Delta>,
    delta_bytes: usize,
    /// Endpoints that are gone and that a stream may still hold.
    tombstones: FxHashMap<Addr, Lifetime>,
    /// Merged deltas up to `version`, by where they begin.
    merged: FxHashMap<u64, Frames>,
}

/// A published endpoint.
#[derive(Debug)]
struct Entry {
    /// As an element of a set; a slice of the snapshot once there is one.
    element: Bytes,
    /// The version that first told the address, as far as any stream may know.
    added: u64,
    identity: Identity,
}

#[derive(Debug, Default)]
struct Snapshot {
    version: u64,
    frames: Frames,
    bytes: usize,
    /// Bytes of elements that have changed or gone since.
    stale: usize,
}

/// One version's difference to the one before: what each address is now.
#[derive(Debug)]
struct Delta {
    changes: Vec<(Addr, Option<Bytes>)>,
    frames: Frames,
    bytes: usize,
}

/// From the version that first told an endpoint to the one that removed it.
#[derive(Clone, Copy, Debug)]
struct Lifetime {
    added: u64,
    removed: u64,
}

/// What a stream is to be told.
#[derive(Debug)]
pub(crate) enum Next {
    /// These messages, perhaps none, lead to the newest version, which comes from there.
    Frames(Frames, Option<Origin>),
    /// The view is history; the one that replaced it is to be asked for.
    Replaced(Arc<[Addr]>),
}

/// What the index found to be different.
#[derive(Debug, Default)]
pub(super) struct Update {
    /// Endpoints as they are to be told, if they are not already.
    pub(super) puts: Vec<(Addr, Identity, Bytes)>,
    /// Endpoints that are no longer there, unless another has their address.
    pub(super) gone: Vec<(Addr, Identity)>,
    /// New labels of the set: everything is told again.
    pub(super) set_labels: Option<Bytes>,
}

impl EndpointsView {
    pub(super) fn new(history: History, tally: Arc<Tally>) -> Self {
        let state = State {
            history,
            tally: tally.clone(),
            ..State::default()
        };
        Self {
            tally,
            state: Mutex::new(state),
            ..Self::default()
        }
    }

    pub(crate) fn subscribers(&self) -> &Arc<Subscribers> {
        &self.subscribers
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Begins to follow; `Ok(None)` if the view was given up in the meantime.
    pub(crate) fn join(&self, slot: &Arc<Slot>) -> Result<Option<Subscription>, Status> {
        let state = self.lock();
        if let Some(refusal) = &state.refusal {
            return Err(refusal.clone());
        }
        if state.replaced.is_some() {
            return Ok(None);
        }
        Ok(self.subscribers.join(slot.clone()))
    }

    /// What a stream lacks, and its slot moved on to the newest version: under
    /// the same lock, so that nothing it holds can be forgotten in between.
    pub(crate) fn advance(&self, slot: &Slot) -> Next {
        let mut state = self.lock();
        if let Some(told) = &state.replaced {
            return Next::Replaced(told.clone());
        }
        let position = slot.position();
        let frames = state.since(position);
        slot.advance(state.version);
        Next::Frames(frames, state.origin.clone().filter(|_| position > 0))
    }

    pub(super) fn set_refusal(&self, refusal: Option<Status>) {
        self.lock().refusal = refusal;
    }

    /// The bytes of the snapshot and of the deltas.
    pub(crate) fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.snapshot.bytes, state.delta_bytes)
    }

    /// How many endpoints are published.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether newcomers are let in, as they are while there is such a Service.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().refusal.is_none()
    }

    /// What it counts together with others.
    pub(crate) fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// Versions of all views that differ from this one in nothing but their
    /// clients' zone.
    pub(crate) fn updates(&self) -> u64 {
        self.tally.updates.load(Ordering::Relaxed)
    }

    /// What is published, and since which version.
    pub(crate) fn addrs(&self) -> Vec<(Addr, u64)> {
        let state = self.lock();
        state
            .entries
            .iter()
            .map(|(addr, entry)| (*addr, entry.added))
            .collect()
    }

    /// Whether each address is free or has the endpoint that is named with it.
    pub(super) fn are_free<'a>(
        &self,
        mut addrs: impl Iterator<Item = (&'a Addr, &'a Identity)>,
    ) -> bool {
        let state = self.lock();
        addrs.all(|(addr, identity)| {
            let entry = state.entries.get(addr);
            entry.is_none_or(|entry| entry.identity == *identity)
        })
    }

    /// Makes the next version known and wakes the streams, if anything differs.
    pub(super) fn publish(&self, update: Update) -> bool {
        let mut state = self.lock();
        let changes = state.apply(update);
        if changes.is_empty() {
            return false;
        }
        state.version += 1;
        state.origin = Some(Origin::now(state.version, self.subscribers.len()));
        if state.version > 1 {
            state.push(changes);
        }
        if state.tombstones.len() > state.history.gone + state.entries.len() / 4 {
            state.bury(&self.subscribers.positions());
        }
        if state.snapshot.stale > state.history.bytes.max(state.snapshot.bytes / 2) {
            state.snapshot();
        }
        self.version.store(state.version, Ordering::Release);
        self.count.store(state.entries.len(), Ordering::Relaxed);
        self.tally.updates.fetch_add(1, Ordering::Relaxed);
        drop(state);
        self.subscribers.wake();
        true
    }

    /// Ends the view's life: its streams go over to another one.
    pub(super) fn replace(&self) {
        let mut state = self.lock();
        let gone = state.tombstones.keys();
        state.replaced = Some(state.entries.keys().chain(gone).copied().collect());
        self.version.fetch_add(1, Ordering::Release);
        drop(state);
        self.subscribers.close();
        self.subscribers.wake();
    }

    /// Gives up what no stream needs any more: merges, and the past that all of
    /// them have been told. A day of changes would else leave each view with all
    /// of the history that it may have.
    pub(super) fn tidy(&self) {
        let mut state = self.lock();
        state.merged = FxHashMap::default();
        state.forget(&self.subscribers.positions());
    }

    /// What leads a stream that was told `told` by another view to this one's
    /// present version: an Add of everything, then a Remove of the rest.
    pub(super) fn takeover(&self, told: &[Addr]) -> Frames {
        let mut state = self.lock();
        let mut frames = state.since(0);
        let rest = told.iter().filter(|addr| !state.entries.contains_key(addr));
        let rest = removes(rest.copied());
        state.tally.encoded(rest.len());
        frames.extend(rest);
        frames
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The difference that the update makes, as the next version.
    fn apply(&mut self, update: Update) -> Vec<(Addr, Option<Bytes>)> {
        let next = self.version + 1;
        let mut changes = Vec::with_capacity(update.puts.len() + update.gone.len());
        for (addr, identity, element) in update.puts {
            let added = match self.entries.get_mut(&addr) {
                Some(entry) if entry.element == element => {
                    entry.identity = identity;
                    continue;
                }
                Some(entry) => {
                    self.snapshot.stale += entry.element.len();
                    entry.added
                }
                // A stream that slept since before it went may still hold it.
                None => self.tombstones.get(&addr).map_or(next, |gone| gone.added),
            };
            self.tombstones.remove(&addr);
            changes.push((addr, Some(element.clone())));
            let entry = Entry {
                element,
                added,
                identity,
            };
            self.entries.insert(addr, entry);
        }
        for (addr, identity) in update.gone {
            if self
                .entries
                .get(&addr)
                .is_none_or(|entry| entry.identity != identity)
            {
                continue;
            }
            if let Some(entry) = self.entries.remove(&addr) {
                self.snapshot.stale += entry.element.len();
                let lifetime = Lifetime {
                    added: entry.added,
                    removed: next,
                };
                self.tombstones.insert(addr, lifetime);
                changes.push((addr, None));
            }
        }
        if let Some(labels) = update.set_labels {
            self.set_labels = labels;
            self.snapshot.version = 0;
            changes.retain(|(_, element)| element.is_none());
            let all = self.entries.iter();
            changes.extend(all.map(|(addr, entry)| (*addr, Some(entry.element.clone()))));
        }
        changes
    }

    fn push(&mut self, changes: Vec<(Addr, Option<Bytes>)>) {
        self.merged.clear();
        let changed = changes
            .iter()
            .map(|(addr, element)| (*addr, element.as_ref()));
        let frames = encode(changed.clone(), &self.set_labels);
        self.tally.encoded(frames.len());
        let elements: usize = changed
            .filter_map(|(_, element)| Some(element?.len()))
            .sum();
        let bytes = elements + frames.iter().map(Bytes::len).sum::<usize>();
        self.deltas.push_back(Delta {
            changes,
            frames,
            bytes,
        });
        self.delta_bytes += bytes;
        let limit = self.history.bytes.max(self.snapshot.bytes / 4);
        // The newest is kept whatever its size: everybody wants it.
        while self.deltas.len() > self.history.deltas.max(1)
            || (self.delta_bytes > limit && self.deltas.len() > 1)
        {
            if let Some(old) = self.deltas.pop_front() {
                self.delta_bytes -= old.bytes;
            }
        }
    }

    /// What a stream that has been told everything up to `position` lacks.
    fn since(&mut self, position: u64) -> Frames {
        let behind = self.version - position.min(self.version);
        if behind == 0 {
            return Frames::new();
        }
        if position == 0 {
            return self.snapshot();
        }
        match (usize::try_from(behind), self.deltas.back()) {
            (Ok(1), Some(newest)) => newest.frames.clone(),
            (Ok(behind), _) if behind <= self.deltas.len() => self.merge(position, behind),
            _ => self.whole_difference(position),
        }
    }

    /// Everything, in the newest version.
    fn snapshot(&mut self) -> Frames {
        if self.snapshot.version != self.version {
            let elements = self.entries.values().map(|entry| &entry.element);
            let (frames, slices) = snapshot(elements, &self.set_labels);
            self.tally.encoded(frames.len());
            for (entry, slice) in self.entries.values_mut().zip(slices) {
                entry.element = slice;
            }
            self.snapshot = Snapshot {
                version: self.version,
                bytes: frames.iter().map(Bytes::len).sum(),
                frames,
                stale: 0,
            };
        }
        self.snapshot.frames.clone()
    }

    /// The last `behind` deltas as one Add and one Remove.
    fn merge(&mut self, position: u64, behind: usize) -> Frames {
        if let Some(frames) = self.merged.get(&position) {
            return frames.clone();
        }
        let mut merged: BTreeMap<Addr, Option<&Bytes>> = BTreeMap::new();
        for delta in self.deltas.range(self.deltas.len() - behind..) {
            let changes = delta.changes.iter();
            merged.extend(changes.map(|(addr, element)| (*addr, element.as_ref())));
        }
        let changes = merged.iter().map(|(addr, element)| (*addr, *element));
        let frames = encode(changes, &self.set_labels);
        self.tally.encoded(frames.len());
        self.merged.insert(position, frames.clone());
        frames
    }

    /// For a stream that the deltas no longer reach: everything there is, then
    /// what it may hold of what there is not.
    fn whole_difference(&mut self, position: u64) -> Frames {
        if let Some(frames) = self.merged.get(&position) {
            return frames.clone();
        }
        let mut frames = self.snapshot();
        let gone = removes(
            self.tombstones
                .iter()
                .filter(|(_, lifetime)| lifetime.added <= position && position < lifetime.removed)
                .map(|(addr, _)| *addr),
        );
        self.tally.encoded(gone.len());
        frames.extend(gone);
        self.merged.insert(position, frames.clone());
        frames
    }

    /// Forgets the deltas that all streams have passed, who are at `positions`,
    /// and the gone endpoints that none holds.
    fn forget(&mut self, positions: &[u64]) {
        // Who was told nothing is told everything, by no delta.
        let last = positions.iter().copied().find(|&position| position > 0);
        let needed = self.version - last.unwrap_or(self.version);
        while self.deltas.len() as u64 > needed {
            if let Some(old) = self.deltas.pop_front() {
                self.delta_bytes -= old.bytes;
            }
        }
        self.deltas.shrink_to_fit();
        self.bury(positions);
        self.tombstones.shrink_to_fit();
    }

    /// Forgets the gone endpoints that no stream holds: what is left is bounded
    /// by what the streams that are behind were told.
    fn bury(&mut self, positions: &[u64]) {
        self.tombstones.retain(|_, lifetime| {
            let at = positions.partition_point(|&position| position < lifetime.added);
            positions
                .get(at)
                .is_some_and(|&position| position < lifetime.removed)
        });
    }
}

fn encode<'a>(
    changes: impl Iterator<Item = (Addr, Option<&'a Bytes>)> + Clone,
    labels: &[u8],
) -> Frames {
    let mut frames = adds(changes.clone().filter_map(|(_, element)| element), labels);
    let gone = changes.filter(|(_, element)| element.is_none());
    frames.extend(removes(gone.map(|(addr, _)| addr)));
    frames
}

#[cfg(test)]
mod tests;
