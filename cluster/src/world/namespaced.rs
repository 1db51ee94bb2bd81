use crate::object::{Name, ObjectKey};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// The objects of one kind in each namespace, by name.
pub(super) struct Namespaced<T> {
    namespaces: FxHashMap<Name, BTreeMap<Name, T>>,
    count: usize,
}

impl<T> Default for Namespaced<T> {
    fn default() -> Self {
        Self {
            namespaces: FxHashMap::default(),
            count: 0,
        }
    }
}

impl<T> Namespaced<T> {
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        let all = self.namespaces.iter();
        all.flat_map(|(namespace, objects)| {
            let keys = objects.keys();
            keys.map(|name| ObjectKey::new(namespace.clone(), name.clone()))
        })
        .collect()
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&T> {
        self.named(&key.namespace, &key.name)
    }

    pub(super) fn named(&self, namespace: &str, name: &str) -> Option<&T> {
        self.namespaces.get(namespace)?.get(name)
    }

    pub(super) fn of(&self, namespace: &str) -> impl Iterator<Item = (&Name, &T)> {
        self.namespaces.get(namespace).into_iter().flatten()
    }

    /// The namespaces in which an object is so.
    pub(super) fn namespaces_with(
        &self,
        mut is_so: impl FnMut(&T) -> bool,
    ) -> impl Iterator<Item = &Name> {
        let all = self.namespaces.iter();
        all.filter(move |(_, objects)| objects.values().any(&mut is_so))
            .map(|(namespace, _)| namespace)
    }

    /// The object that was there before.
    pub(super) fn insert(&mut self, key: &ObjectKey, object: T) -> Option<T> {
        let objects = self.namespaces.entry(key.namespace.clone()).or_default();
        let old = objects.insert(key.name.clone(), object);
        self.count += usize::from(old.is_none());
        old
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<T> {
        let objects = self.namespaces.get_mut(&key.namespace)?;
        let old = objects.remove(&key.name)?;
        self.count -= 1;
        if objects.is_empty() {
            self.namespaces.remove(&key.namespace);
        }
        Some(old)
    }
}

impl<T: PartialEq> Namespaced<T> {
    /// Whether that says anything new.
    pub(super) fn apply(&mut self, key: &ObjectKey, object: T) -> bool {
        if self.get(key) == Some(&object) {
            return false;
        }
        self.insert(key, object);
        true
    }
}
