//! What is to be written, between the index and the writer.

use super::statuses::{Status, StatusKey};
use ferrule_cluster::object::{Kind, Name, ObjectKey};
use rustc_hash::FxHashMap;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, watch};

/// The objects whose status is not what it should be, and what it should be.
///
/// It holds an object at most once, with what is to be said of it now; one leaves
/// when the watch brings it with that status, or when it has gone. So it is as large
/// as what is left to do, and empty in a quiet cluster.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    changed: Notify,
    synced: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    pending: FxHashMap<StatusKey, Arc<Status>>,
    /// Those of them that the writer has not been told of, and whether each was edited.
    fresh: FxHashMap<StatusKey, bool>,
    /// Conditions that are not True, of all objects.
    unmet: FxHashMap<StatusKey, Box<[(Name, Name)]>>,
    put: u64,
}

/// An object of which the writer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// The object.
    pub key: StatusKey,
    /// Whether somebody has just written it, and it says something else already: who
    /// reads it to write it back may be at it again.
    pub is_edited: bool,
}

/// What an object says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Other,
    This,
}

/// A condition that is not True.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unmet {
    /// The kind of the objects.
    pub kind: Kind,
    /// The condition's type.
    pub condition: Name,
    /// Its reason.
    pub reason: Name,
}

/// What was found of an object.
pub(super) struct Judged {
    key: StatusKey,
    /// Whether the object itself changed.
    is_seen: bool,
    /// What is to be said of it, and what it says; nothing is of one that is gone.
    status: Option<(Status, Said)>,
}

impl Judged {
    pub(super) fn new(
        kind: Kind,
        key: &ObjectKey,
        is_seen: bool,
        status: Option<(Status, Said)>,
    ) -> Self {
        let key = key.clone();
        Self {
            key: StatusKey { kind, key },
            is_seen,
            status,
        }
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            synced: watch::Sender::new(false),
        }
    }
}

impl Outbox {
    /// How many objects wait.
    pub fn len(&self) -> usize {
        self.state().pending.len()
    }

    /// Whether every object says what it should.
    pub fn is_empty(&self) -> bool {
        self.state().pending.is_empty()
    }

    /// Every object that waits, in no order.
    pub fn keys(&self) -> Vec<StatusKey> {
        self.state().pending.keys().cloned().collect()
    }

    /// What is to be said of an object, unless it says so.
    pub fn get(&self, key: &StatusKey) -> Option<Arc<Status>> {
        self.state().pending.get(key).cloned()
    }

    /// Waits until there is something to [take](Self::take_fresh); for one writer.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The objects that came to wait, or of which something else is to be said, since
    /// this was last asked; also those that changed and still do not say what they
    /// should.
    pub fn take_fresh(&self) -> Vec<Fresh> {
        let mut state = self.state();
        let fresh = state.fresh.drain();
        fresh
            .map(|(key, is_edited)| Fresh { key, is_edited })
            .collect()
    }

    /// How often something was put here.
    pub fn put_count(&self) -> u64 {
        self.state().put
    }

    /// How many conditions are not True of all objects that were judged.
    pub fn unmet(&self) -> BTreeMap<Unmet, usize> {
        let mut counts = BTreeMap::new();
        for (key, conditions) in &self.state().unmet {
            for (condition, reason) in conditions {
                let unmet = Unmet {
                    kind: key.kind,
                    condition: condition.clone(),
                    reason: reason.clone(),
                };
                *counts.entry(unmet).or_default() += 1;
            }
        }
        counts
    }

    /// Waits until the world has been listed once, so that everything is judged.
    pub async fn synced(&self) {
        // The sender is here: it cannot be closed.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(super) fn set_synced(&self) {
        self.synced.send_replace(true);
    }

    pub(super) fn put(&self, judged: Vec<Judged>) {
        let mut state = self.state();
        for judged in judged {
            state.put(judged);
        }
        let is_fresh = !state.fresh.is_empty();
        drop(state);
        if is_fresh {
            self.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, judged: Judged) {
        let Judged {
            key,
            is_seen,
            status,
        } = judged;
        let conditions = status.iter().flat_map(|(status, _)| status.conditions());
        let unmet = conditions.filter(|(_, condition)| *condition.status != *"True");
        let unmet: Box<[_]> = unmet
            .map(|(_, condition)| (condition.kind.clone(), condition.reason.clone()))
            .collect();
        if unmet.is_empty() {
            self.unmet.remove(&key);
        } else {
            self.unmet.insert(key.clone(), unmet);
        }
        match status {
            Some((status, said @ (Said::Nothing | Said::Other))) => {
                let known = self.pending.get(&key);
                if is_seen || known.is_none_or(|known| **known != status) {
                    self.pending.insert(key.clone(), Arc::new(status));
                    let is_edited = is_seen && said == Said::Other;
                    *self.fresh.entry(key).or_insert(is_edited) &= is_edited;
                    self.put += 1;
                }
            }
            None | Some((_, Said::This)) => {
                self.pending.remove(&key);
                self.fresh.remove(&key);
            }
        }
    }
}
