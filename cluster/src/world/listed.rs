//! Objects that slices list, by ids: a slice may name one before it is there, and
//! is found again when it comes (destination.md D4).

use super::slices::SliceId;
use crate::object::ObjectKey;
use rustc_hash::FxHashMap;
use slab::Slab;
use smallvec::SmallVec;
use std::hash::Hash;

/// Objects of one kind that exist or that a slice lists. An id is an object's
/// until neither holds, and may then be another's.
pub(super) struct Listed<T> {
    ids: FxHashMap<ObjectKey, u32>,
    entries: Slab<Entry<T>>,
    count: usize,
}

struct Entry<T> {
    key: ObjectKey,
    /// `None` while slices list an object that is not there.
    object: Option<T>,
    slices: SmallVec<[SliceId; 2]>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self {
            ids: FxHashMap::default(),
            entries: Slab::new(),
            count: 0,
        }
    }
}

impl<T> Listed<T> {
    pub(super) fn id(&self, key: &ObjectKey) -> Option<u32> {
        self.ids.get(key).copied()
    }

    pub(super) fn get(&self, id: u32) -> Option<(&ObjectKey, &T)> {
        let entry = self.entries.get(id as usize)?;
        entry.object.as_ref().map(|object| (&entry.key, object))
    }

    pub(super) fn named(&self, key: &ObjectKey) -> Option<&T> {
        self.get(self.id(key)?).map(|(_, object)| object)
    }

    pub(super) fn slices(&self, id: u32) -> &[SliceId] {
        self.entries
            .get(id as usize)
            .map_or(&[], |entry| &entry.slices)
    }

    /// How many exist.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The keys of those that exist.
    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.object.is_some())
            .map(|(_, entry)| entry.key.clone())
            .collect()
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (u32, &T)> {
        self.entries
            .iter()
            .filter(move |(_, entry)| *entry.key.namespace == *namespace)
            .filter_map(|(id, entry)| Some((id_at(id), entry.object.as_ref()?)))
    }

    /// The object is there, with this content; its id, and what it was before.
    pub(super) fn put(&mut self, key: &ObjectKey, object: T) -> (u32, Option<T>) {
        let id = self.intern(key);
        let old = self.entries[id as usize].object.replace(object);
        self.count += usize::from(old.is_none());
        (id, old)
    }

    /// The object is gone; what it was.
    pub(super) fn take(&mut self, id: u32) -> Option<T> {
        let old = self.entries.get_mut(id as usize)?.object.take();
        self.count -= usize::from(old.is_some());
        self.release(id);
        old
    }

    /// Notes that a slice lists the object of this key.
    pub(super) fn list(&mut self, key: &ObjectKey, slice: SliceId) -> u32 {
        let id = self.intern(key);
        let slices = &mut self.entries[id as usize].slices;
        if !slices.contains(&slice) {
            slices.push(slice);
        }
        id
    }

    /// Notes that a slice no longer lists the object.
    pub(super) fn unlist(&mut self, id: u32, slice: SliceId) {
        // A slice may list an object twice; the first call ends both.
        if let Some(entry) = self.entries.get_mut(id as usize) {
            entry.slices.retain(|listed| *listed != slice);
            self.release(id);
        }
    }

    fn intern(&mut self, key: &ObjectKey) -> u32 {
        if let Some(id) = self.id(key) {
            return id;
        }
        let id = id_at(self.entries.insert(Entry {
            key: key.clone(),
            object: None,
            slices: SmallVec::new(),
        }));
        self.ids.insert(key.clone(), id);
        id
    }

    fn release(&mut self, id: u32) {
        let index = id as usize;
        if let Some(entry) = self.entries.get(index)
            && entry.object.is_none()
            && entry.slices.is_empty()
        {
            let entry = self.entries.remove(index);
            self.ids.remove(&entry.key);
        }
    }
}

fn id_at(index: usize) -> u32 {
    u32::try_from(index).expect("a cluster has fewer than 2^32 objects of a kind")
}

/// Which objects are found at a place: an address, perhaps with a port.
pub(super) struct Places<K>(FxHashMap<K, SmallVec<[u32; 2]>>);

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self(FxHashMap::default())
    }
}

impl<K: Hash + Eq> Places<K> {
    pub(super) fn at(&self, place: &K) -> &[u32] {
        self.0.get(place).map_or(&[], |ids| ids)
    }

    pub(super) fn insert(&mut self, place: K, id: u32) {
        let ids = self.0.entry(place).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }

    pub(super) fn remove(&mut self, place: &K, id: u32) {
        if let Some(ids) = self.0.get_mut(place) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.0.remove(place);
            }
        }
    }
}
