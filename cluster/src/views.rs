//! The [`ValueView`]s of one kind, by what they were asked of.

use crate::{Slot, ValueFeed, ValueView, value::Updates};
use bytes::Bytes;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::{
    hash::Hash,
    iter,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tonic::Status;

/// How long a view is kept when nobody follows it: proxies end idle streams
/// after five minutes and all after an hour, and come back at once.
pub const LINGER: Duration = Duration::from_secs(60);
/// How often a stream may find its view given up between looking it up and
/// joining it. Once would be much.
const ATTEMPTS: usize = 5;

/// What a view was asked of.
pub trait ViewKey: Clone + Hash + Eq + Send + Sync + 'static {
    /// What its value depends on.
    type Dependency: Clone + Hash + Eq + Send;

    /// The one thing whose changes it follows, and with which it ends.
    fn dependency(&self) -> Self::Dependency;

    /// Something wider, such as a namespace, whose changes it follows too.
    fn scope(&self) -> Option<Self::Dependency> {
        None
    }
}

/// What there is to tell.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The value's frame; `None` says nothing, and those who were told something
    /// keep it.
    pub frame: Option<Bytes>,
    /// Values that are as true as the frame: who was told one of them keeps it.
    pub also_true: Vec<Bytes>,
    /// The frame is for those alone who were told another; newcomers wait for the
    /// next.
    pub hushed: bool,
    /// What newcomers get instead of a stream; those who are here stay.
    pub refusal: Option<Status>,
}

impl From<Status> for Answer {
    fn from(refusal: Status) -> Self {
        Self {
            refusal: Some(refusal),
            ..Self::default()
        }
    }
}

impl From<Bytes> for Answer {
    fn from(frame: Bytes) -> Self {
        Self {
            frame: Some(frame),
            ..Self::default()
        }
    }
}

/// The views that exist, as connections look them up: lock-free, so that a storm
/// of new streams does not queue behind a batch.
pub struct ViewRegistry<K> {
    views: papaya::HashMap<K, Arc<ValueView>, FxBuildHasher>,
    updates: Arc<AtomicU64>,
}

impl<K> Default for ViewRegistry<K> {
    fn default() -> Self {
        Self {
            views: papaya::HashMap::default(),
            updates: Arc::default(),
        }
    }
}

impl<K: ViewKey> ViewRegistry<K> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.views.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// Looks at each of them.
    pub fn for_each(&self, mut look: impl FnMut(&K, &Arc<ValueView>)) {
        for (key, view) in &self.views.pin() {
            look(key, view);
        }
    }

    /// How many values all views have told, those that are gone included.
    pub fn updates(&self) -> u64 {
        self.updates.load(Ordering::Relaxed)
    }

    /// Begins to follow the view of `key`; `open` asks the index for one that is
    /// not there yet.
    ///
    /// # Errors
    /// The refusal in force, or UNAVAILABLE.
    pub async fn follow<F>(
        &self,
        key: &K,
        slot: &Arc<Slot>,
        open: impl Fn(K) -> F,
    ) -> Result<ValueFeed, Status>
    where
        F: Future<Output = Result<Arc<ValueView>, Status>>,
    {
        for attempt in 0..ATTEMPTS {
            // One that was just given up may still be listed; the index knows.
            let known = if attempt == 0 {
                self.views.pin().get(key).cloned()
            } else {
                None
            };
            let view = match known {
                Some(view) => view,
                None => open(key.clone()).await?,
            };
            if let Some(feed) = view.follow(slot)? {
                return Ok(feed);
            }
        }
        Err(Status::unavailable(
            "what was asked for changes faster than it can be looked up",
        ))
    }
}

/// The index's side of the views.
pub struct Views<K: ViewKey> {
    views: FxHashMap<K, Arc<ValueView>>,
    dependents: FxHashMap<K::Dependency, Dependents<K>>,
    /// What the few follow that go by what they found.
    found: FxHashMap<K, K::Dependency>,
    registry: Arc<ViewRegistry<K>>,
    /// How many were made since some were last given up.
    made: usize,
}

/// The views that follow one thing.
struct Dependents<K> {
    keys: FxHashSet<K>,
    updates: Arc<Updates>,
}

impl<K: ViewKey> Views<K> {
    /// No views yet.
    pub fn new(registry: Arc<ViewRegistry<K>>) -> Self {
        Self {
            views: FxHashMap::default(),
            dependents: FxHashMap::default(),
            found: FxHashMap::default(),
            registry,
            made: 0,
        }
    }

    /// The view of `key`; made from `answer` if there is none. Nothing is kept
    /// for what anybody may ask and nobody gets.
    pub fn open(&mut self, key: K, answer: impl FnOnce(&K) -> Answer) -> Arc<ValueView> {
        if let Some(view) = self.views.get(&key) {
            return view.clone();
        }
        let answer = answer(&key);
        if answer.refusal.is_some() {
            let view = Arc::<ValueView>::default();
            view.publish(answer);
            return view;
        }
        self.made += 1;
        let updates = self.attach(key.dependency(), &key);
        if let Some(scope) = key.scope() {
            self.attach(scope, &key);
        }
        let view = ValueView::new(updates);
        view.publish(answer);
        self.registry.views.pin().insert(key.clone(), view.clone());
        self.views.insert(key, view.clone());
        view
    }

    /// Lets a view follow `dependency`, and says where the updates of all that
    /// follow it are counted.
    fn attach(&mut self, dependency: K::Dependency, key: &K) -> Arc<Updates> {
        let alike = self.dependents.entry(dependency);
        let alike = alike.or_insert_with(|| Dependents {
            keys: FxHashSet::default(),
            updates: Updates::new(self.registry.updates.clone()),
        });
        alike.keys.insert(key.clone());
        alike.updates.clone()
    }

    /// Lets a view, if it is there, follow what it has found, too, in place of what
    /// it found before.
    pub fn follow_found(&mut self, key: &K, dependency: K::Dependency) {
        if !self.views.contains_key(key) || self.found.get(key) == Some(&dependency) {
            return;
        }
        if let Some(before) = self.found.remove(key) {
            leave(&mut self.dependents, &before, key);
        }
        self.attach(dependency.clone(), key);
        self.found.insert(key.clone(), dependency);
    }

    /// What a view found last.
    pub fn found(&self, key: &K) -> Option<&K::Dependency> {
        self.found.get(key)
    }

    /// The views that follow `dependency`.
    pub fn dependents<'v>(
        &'v self,
        dependency: &K::Dependency,
    ) -> impl Iterator<Item = (&'v K, &'v Arc<ValueView>)> + use<'v, K> {
        let alike = self.dependents.get(dependency).into_iter();
        let keys = alike.flat_map(|alike| &alike.keys);
        keys.map(|key| (key, &self.views[key]))
    }

    /// Every view.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Arc<ValueView>)> {
        self.views.iter()
    }

    /// Ends the views that follow `dependency`, and their streams with `status`.
    pub fn end(&mut self, dependency: &K::Dependency, status: &Status) {
        let registry = self.registry.views.pin();
        let alike = self.dependents.remove(dependency).into_iter();
        for key in alike.flat_map(|alike| alike.keys) {
            registry.remove(&key);
            detach(&mut self.dependents, &mut self.found, &key);
            if let Some(view) = self.views.remove(&key) {
                view.end(status.clone());
            }
        }
    }

    /// Ends one view, and its streams with `status` once they have been told its
    /// newest value. Who asks again gets another.
    pub fn end_view(&mut self, key: &K, status: &Status) {
        if let Some(view) = self.views.remove(key) {
            self.registry.views.pin().remove(key);
            detach(&mut self.dependents, &mut self.found, key);
            view.end(status.clone());
        }
    }

    /// How many were made since [`Self::give_up`] was last called.
    pub fn made(&self) -> usize {
        self.made
    }

    /// Gives up the views that nobody has followed for so long.
    pub fn give_up(&mut self, linger: Duration, now: Instant) {
        self.made = 0;
        let registry = self.registry.views.pin();
        let (dependents, found) = (&mut self.dependents, &mut self.found);
        self.views.retain(|key, view| {
            let idle = view.subscribers().close_if_idle(linger, now);
            if idle {
                registry.remove(key);
                detach(dependents, found, key);
            }
            !idle
        });
    }
}

/// Ends that a view follows anything.
fn detach<K: ViewKey>(
    dependents: &mut FxHashMap<K::Dependency, Dependents<K>>,
    found: &mut FxHashMap<K, K::Dependency>,
    key: &K,
) {
    let found = found.remove(key);
    let given = iter::once(key.dependency()).chain(key.scope());
    for dependency in given.chain(found) {
        leave(dependents, &dependency, key);
    }
}

fn leave<K: ViewKey>(
    dependents: &mut FxHashMap<K::Dependency, Dependents<K>>,
    dependency: &K::Dependency,
    key: &K,
) {
    if let Some(alike) = dependents.get_mut(dependency) {
        alike.keys.remove(key);
        if alike.keys.is_empty() {
            dependents.remove(dependency);
        }
    }
}
