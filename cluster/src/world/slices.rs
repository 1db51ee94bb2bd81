use super::{
    changes::{Changes, Touched},
    members::{Member, Members},
    services::Services,
};
use crate::object::{Endpoint, EndpointSlice, ObjectKey};
use rustc_hash::{FxHashMap, FxHashSet};
use slab::Slab;

/// A slice that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SliceId(u32);

#[derive(Default)]
pub(super) struct Slices {
    ids: FxHashMap<ObjectKey, SliceId>,
    entries: Slab<SliceEntry>,
}

/// An EndpointSlice with what its endpoints are.
#[derive(Debug)]
pub struct SliceEntry {
    /// Where the slice is.
    pub key: ObjectKey,
    /// Its content.
    pub slice: EndpointSlice,
    /// Whether any endpoint has zone hints.
    pub hinted: bool,
    members: Box<[Option<Member>]>,
}

impl SliceEntry {
    /// The Service that the slice belongs to.
    pub fn service_key(&self) -> Option<ObjectKey> {
        service_key(&self.key, &self.slice)
    }

    /// The endpoints that mean something to the mesh, with what they are.
    pub fn members(&self) -> impl Iterator<Item = (Member, &Endpoint)> {
        self.members
            .iter()
            .zip(&self.slice.endpoints)
            .filter_map(|(member, endpoint)| Some(((*member)?, endpoint)))
    }
}

impl Slices {
    pub(super) fn get(&self, id: SliceId) -> &SliceEntry {
        &self.entries[id.0 as usize]
    }

    pub(super) fn named(&self, key: &ObjectKey) -> Option<&SliceEntry> {
        self.ids.get(key).map(|&id| self.get(id))
    }

    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.ids.keys().cloned().collect()
    }

    pub(super) fn apply(
        &mut self,
        key: ObjectKey,
        slice: EndpointSlice,
        services: &mut Services,
        listed: &mut Members,
        changes: &mut Changes,
    ) {
        let Some(&id) = self.ids.get(&key) else {
            let id =
                SliceId(u32::try_from(self.entries.vacant_key()).expect("fewer than 2^32 slices"));
            self.ids.insert(key.clone(), id);
            self.entries.insert(SliceEntry::new(key, slice, id, listed));
            let entry = self.get(id);
            if let Some(service) = entry.service_key() {
                services.attach(&service, id);
                touch_all(&service, entry, changes);
            }
            return;
        };
        if self.get(id).slice == slice {
            return;
        }
        let new = SliceEntry::new(key, slice, id, listed);
        let old = std::mem::replace(&mut self.entries[id.0 as usize], new);
        let new = self.get(id);
        let (before, after) = (old.service_key(), new.service_key());
        if before == after && old.same_but_for_endpoints(new) {
            if let Some(service) = &after {
                touch_differing(service, &old, new, changes);
                if old.slice.resource_version != new.slice.resource_version {
                    touch_shared(service, new, services, listed, changes);
                }
            }
        } else {
            if let Some(service) = &before {
                touch_all(service, &old, changes);
            }
            if let Some(service) = &after {
                touch_all(service, new, changes);
            }
        }
        if before != after {
            if let Some(service) = before {
                services.detach(&service, id);
            }
            if let Some(service) = after {
                services.attach(&service, id);
            }
        }
        let still: FxHashSet<_> = new.members.iter().flatten().collect();
        for member in old.members.iter().flatten() {
            if !still.contains(member) {
                listed.unlist(*member, id);
            }
        }
    }

    pub(super) fn remove(
        &mut self,
        key: &ObjectKey,
        services: &mut Services,
        listed: &mut Members,
        changes: &mut Changes,
    ) {
        let Some(id) = self.ids.remove(key) else {
            return;
        };
        let old = self.entries.remove(id.0 as usize);
        if let Some(service) = old.service_key() {
            touch_all(&service, &old, changes);
            services.detach(&service, id);
        }
        for member in old.members.iter().flatten() {
            listed.unlist(*member, id);
        }
    }
}

impl SliceEntry {
    fn new(key: ObjectKey, slice: EndpointSlice, id: SliceId, listed: &mut Members) -> Self {
        let endpoints = slice.endpoints.iter();
        let members = endpoints
            .map(|endpoint| listed.list(endpoint, id))
            .collect();
        Self {
            hinted: slice
                .endpoints
                .iter()
                .any(|endpoint| !endpoint.zone_hints.is_empty()),
            key,
            slice,
            members,
        }
    }

    fn same_but_for_endpoints(&self, other: &Self) -> bool {
        let (a, b) = (&self.slice, &other.slice);
        a.ports == b.ports
            && a.address_type == b.address_type
            && a.mirror == b.mirror
            && self.hinted == other.hinted
    }
}

fn service_key(key: &ObjectKey, slice: &EndpointSlice) -> Option<ObjectKey> {
    let name = slice.service.clone()?;
    Some(ObjectKey::new(key.namespace.clone(), name))
}

fn touch_all(service: &ObjectKey, entry: &SliceEntry, changes: &mut Changes) {
    let change = changes.service(service);
    if entry.hinted || entry.slice.mirror.is_some() {
        // Whether anybody is without a hint decides about everybody, and a
        // mirror labels its whole set.
        change.members = Touched::All;
    }
    if let Touched::Some(members) = &mut change.members {
        members.extend(entry.members.iter().flatten());
    }
}

/// Of two slices that list one endpoint the one written last counts: a new
/// version alone may turn that around.
fn touch_shared(
    service: &ObjectKey,
    entry: &SliceEntry,
    services: &Services,
    listed: &Members,
    changes: &mut Changes,
) {
    let slices = services
        .get(service)
        .map_or(0, |service| service.slices.len());
    if let Touched::Some(members) = &mut changes.service(service).members {
        let shared = entry
            .members
            .iter()
            .flatten()
            .filter(|member| match member {
                Member::Address(_) => slices > 1,
                object => listed.slices(**object).len() > 1,
            });
        members.extend(shared);
    }
}

/// Endpoints are compared as sets by what they are: controllers reorder them.
fn touch_differing(service: &ObjectKey, old: &SliceEntry, new: &SliceEntry, changes: &mut Changes) {
    let change = changes.service(service);
    if new.hinted {
        change.members = Touched::All;
        return;
    }
    let Touched::Some(members) = &mut change.members else {
        return;
    };
    let mut before: FxHashMap<Member, &Endpoint> = FxHashMap::default();
    for (member, endpoint) in old.members() {
        if before.insert(member, endpoint).is_some() {
            members.insert(member);
        }
    }
    for (member, endpoint) in new.members() {
        match before.remove(&member) {
            Some(known) if known == endpoint => {}
            _ => {
                members.insert(member);
            }
        }
    }
    members.extend(before.into_keys());
}
