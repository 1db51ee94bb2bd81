//! A cluster's history as an API server tells it: what is true, and what each
//! kind's watch has not delivered yet. Watches break, lists come whole, in any
//! order and with repetitions, and the truth itself may go back in time.
#![forbid(unsafe_code)]

use ferrule_cluster::{
    object::{Kind, Object, ObjectKey},
    source::Event,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

/// What an API server does, whatever is true.
#[derive(Clone, Debug)]
pub enum Act {
    /// The watch of a kind brings some events,
    Deliver(Kind, usize),
    /// or breaks: what was on its way is lost and a list comes, from this seed.
    Relist(Kind, u64),
    /// A list breaks off after some objects and is begun again.
    BrokenList(Kind, usize, u64),
    /// etcd is saved,
    Save,
    /// or restored to what was saved: every kind is listed again.
    Restore(u64),
}

/// The truth, and what is on its way.
#[derive(Debug)]
pub struct ApiServer {
    kinds: Vec<Kind>,
    truth: Objects,
    saved: Objects,
    watches: BTreeMap<Kind, VecDeque<Event>>,
}

type Objects = BTreeMap<(Kind, ObjectKey), Object>;

impl ApiServer {
    /// One without objects, which tells of these kinds.
    pub fn of(kinds: impl IntoIterator<Item = Kind>) -> Self {
        Self {
            kinds: kinds.into_iter().collect(),
            truth: Objects::new(),
            saved: Objects::new(),
            watches: BTreeMap::new(),
        }
    }

    /// What is true of an object.
    pub fn get(&self, kind: Kind, key: &ObjectKey) -> Option<&Object> {
        self.truth.get(&(kind, key.clone()))
    }

    /// All objects that there are.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.truth.values()
    }

    /// Creates an object or writes it.
    pub fn put(&mut self, key: ObjectKey, object: Object) {
        let kind = object.kind();
        let watch = self.watches.entry(kind).or_default();
        watch.push_back(applied(key.clone(), object.clone()));
        self.truth.insert((kind, key), object);
    }

    /// Deletes an object, if it is there.
    pub fn delete(&mut self, kind: Kind, key: ObjectKey) {
        if self.truth.remove(&(kind, key.clone())).is_some() {
            let watch = self.watches.entry(kind).or_default();
            watch.push_back(Event::Deleted(kind, key));
        }
    }

    /// Does this; the events that arrive now.
    pub fn act(&mut self, act: &Act) -> Vec<Event> {
        match act {
            Act::Deliver(kind, count) => {
                let watch = self.watches.entry(*kind).or_default();
                return watch.drain(..watch.len().min(*count)).collect();
            }
            Act::Relist(kind, seed) => {
                let list = self.list(*kind, *seed);
                self.watches.insert(*kind, list.into());
            }
            Act::BrokenList(kind, after, seed) => {
                let mut events = self.list(*kind, *seed);
                events.truncate(1 + after);
                events.extend(self.list(*kind, seed.wrapping_add(1)));
                self.watches.insert(*kind, events.into());
            }
            Act::Save => self.saved = self.truth.clone(),
            Act::Restore(seed) => {
                self.truth = self.saved.clone();
                for kind in self.kinds.clone() {
                    let list = self.list(kind, *seed);
                    self.watches.insert(kind, list.into());
                }
            }
        }
        Vec::new()
    }

    /// Everything that is on its way.
    pub fn rest(&mut self) -> Vec<Event> {
        self.watches.values_mut().flat_map(std::mem::take).collect()
    }

    /// What a process is told that starts now.
    pub fn lists(&self) -> impl Iterator<Item = Event> {
        self.kinds.iter().flat_map(|kind| self.list(*kind, 1))
    }

    /// A full list of a kind, in an order and with repetitions given by `seed`.
    fn list(&self, kind: Kind, seed: u64) -> Vec<Event> {
        let mut random = seed | 1;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut items = Vec::new();
        for ((of, key), object) in &self.truth {
            let times = if *of != kind { 0 } else { 1 + next() % 4 / 3 };
            for _ in 0..times {
                items.push((next(), applied(key.clone(), object.clone())));
            }
        }
        items.sort_by_key(|(order, _)| *order);
        let mut events = vec![Event::Relisting(kind)];
        events.extend(items.into_iter().map(|(_, event)| event));
        events.push(Event::Synced(kind));
        events
    }
}

/// The object is there, and nothing is wrong with it.
pub fn applied(key: ObjectKey, object: Object) -> Event {
    Event::Applied {
        key,
        object,
        problems: Vec::new(),
    }
}

/// Anything that an API server does with objects of such kinds.
pub fn acts(kinds: impl Strategy<Value = Kind> + 'static) -> impl Strategy<Value = Act> {
    let kind = kinds.boxed();
    prop_oneof![
        18 => (kind.clone(), 1..6_usize).prop_map(|(kind, count)| Act::Deliver(kind, count)),
        2 => (kind.clone(), any::<u64>()).prop_map(|(kind, seed)| Act::Relist(kind, seed)),
        1 => (kind, 0..4_usize, any::<u64>())
            .prop_map(|(kind, after, seed)| Act::BrokenList(kind, after, seed)),
        1 => Just(Act::Save),
        1 => any::<u64>().prop_map(Act::Restore),
    ]
}

/// How many histories are tried: `PROPTEST_CASES`, else a few seconds' worth.
pub fn config() -> ProptestConfig {
    let given = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: given.and_then(|cases| cases.parse().ok()).unwrap_or(3_000),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    }
}
