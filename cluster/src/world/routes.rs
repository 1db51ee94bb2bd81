//! Routes, by what they are attached to and by where they lead.

use super::{Changes, World};
use crate::object::{
    ObjectKey,
    route::{ParentKey, ParentKind, Route, RouteKey, RouteKind, RouteSpec},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{hash::Hash, sync::Arc};

/// The routes of all kinds.
#[derive(Default)]
pub(super) struct Routes {
    entries: FxHashMap<RouteKey, RouteEntry>,
    by_parent: FxHashMap<ParentKey, FxHashSet<RouteKey>>,
    by_backend: FxHashMap<ParentKey, FxHashSet<RouteKey>>,
}

/// A route that exists.
pub struct RouteEntry {
    /// As it is.
    pub route: Route,
    /// What it does, as it last could be told; `None` where it never could.
    pub spec: Option<Arc<RouteSpec>>,
}

impl RouteEntry {
    /// The backends that its status speaks of.
    fn keys_of_backends<'e>(&'e self, key: &'e RouteKey) -> impl Iterator<Item = ParentKey> + 'e {
        // A namespace that is not written means the parent's to proxies, and the
        // route's own to its status (policy.md, D-3).
        let parents = self.route.parents.iter();
        let parents = parents.map(|parent| &parent.key.key.namespace);
        let namespaces: FxHashSet<_> = parents.chain([&key.key.namespace]).collect();
        let newest = self.route.spec.iter();
        let specs = newest.chain(&self.spec).flat_map(|spec| spec.backends());
        specs.flat_map(move |backend| {
            let keys = namespaces.iter();
            let keys = keys.filter_map(|namespace| backend.target.key(namespace));
            keys.collect::<Vec<_>>()
        })
    }
}

impl Routes {
    pub(super) fn count(&self, kind: RouteKind) -> usize {
        self.entries.keys().filter(|key| key.kind == kind).count()
    }

    pub(super) fn keys(&self, kind: RouteKind) -> Vec<ObjectKey> {
        let keys = self.entries.keys().filter(|key| key.kind == kind);
        keys.map(|key| key.key.clone()).collect()
    }

    pub(super) fn get(&self, key: &RouteKey) -> Option<&RouteEntry> {
        self.entries.get(key)
    }

    /// Whether that says anything new.
    fn apply(&mut self, key: &RouteKey, route: Route) -> bool {
        let old = self.entries.get(key);
        if old.is_some_and(|entry| entry.route == route) {
            return false;
        }
        let last = old.and_then(|entry| entry.spec.clone());
        self.forget(key);
        let entry = RouteEntry {
            spec: route.spec.clone().or(last),
            route,
        };
        for parent in &entry.route.parents {
            insert(&mut self.by_parent, parent.key.clone(), key);
        }
        for backend in entry.keys_of_backends(key) {
            insert(&mut self.by_backend, backend, key);
        }
        self.entries.insert(key.clone(), entry);
        true
    }

    fn forget(&mut self, key: &RouteKey) -> Option<RouteEntry> {
        let entry = self.entries.remove(key)?;
        for parent in &entry.route.parents {
            remove(&mut self.by_parent, &parent.key, key);
        }
        for backend in entry.keys_of_backends(key) {
            remove(&mut self.by_backend, &backend, key);
        }
        Some(entry)
    }

    fn of<'w>(
        &'w self,
        keys: Option<&'w FxHashSet<RouteKey>>,
    ) -> impl Iterator<Item = (&'w RouteKey, &'w RouteEntry)> {
        let keys = keys.into_iter().flatten();
        keys.filter_map(|key| Some((key, self.entries.get(key)?)))
    }
}

impl World {
    /// The route of this name.
    pub fn route(&self, key: &RouteKey) -> Option<&RouteEntry> {
        self.routes.get(key)
    }

    /// Every route, in no order.
    pub fn routes(&self) -> impl Iterator<Item = (&RouteKey, &RouteEntry)> {
        self.routes.entries.iter()
    }

    /// The routes that name this parent, whether they are accepted or not; in no
    /// order.
    pub fn routes_of(&self, parent: &ParentKey) -> impl Iterator<Item = (&RouteKey, &RouteEntry)> {
        self.routes.of(self.routes.by_parent.get(parent))
    }

    /// The Service or other object of this name, as a parent or a backend of
    /// routes.
    pub fn has_parent(&self, parent: &ParentKey) -> bool {
        let ParentKey { kind, key } = parent;
        match kind {
            ParentKind::Server => self.server(&key.namespace, &key.name).is_some(),
            ParentKind::Service => self.service(key).is_some(),
            ParentKind::EgressNetwork => self.egress_network(key).is_some(),
        }
    }

    pub(super) fn apply_route(&mut self, key: &RouteKey, route: Route, changes: &mut Changes) {
        let old = self
            .routes
            .get(key)
            .map(|entry| entry.route.parents.clone());
        if self.routes.apply(key, route) {
            let old = old.unwrap_or_default();
            let new = &self.routes.entries[key].route.parents;
            for parent in old.iter().chain(new) {
                route_changed(&parent.key, changes);
            }
            changes.routes.insert(key.clone());
        }
    }

    pub(super) fn remove_route(&mut self, key: &RouteKey, changes: &mut Changes) {
        let Some(old) = self.routes.forget(key) else {
            return;
        };
        for parent in &old.route.parents {
            route_changed(&parent.key, changes);
        }
        changes.routes.insert(key.clone());
    }

    /// An object came, went, or reads differently: what its routes and those that
    /// lead to it say may be something else now.
    pub(super) fn parent_changed(&self, parent: &ParentKey, changes: &mut Changes) {
        changes.parents.insert(parent.clone());
        for (_, entry) in self.routes.of(self.routes.by_backend.get(parent)) {
            let parents = entry.route.parents.iter();
            changes
                .parents
                .extend(parents.map(|parent| parent.key.clone()));
        }
    }
}

fn route_changed(parent: &ParentKey, changes: &mut Changes) {
    changes.parents.insert(parent.clone());
    if parent.kind == ParentKind::Server {
        changes.policies.insert(parent.key.namespace.clone());
    }
}

fn insert<K: Hash + Eq>(map: &mut FxHashMap<K, FxHashSet<RouteKey>>, at: K, key: &RouteKey) {
    map.entry(at).or_default().insert(key.clone());
}

fn remove<K: Hash + Eq>(map: &mut FxHashMap<K, FxHashSet<RouteKey>>, at: &K, key: &RouteKey) {
    if let Some(keys) = map.get_mut(at) {
        keys.remove(key);
        if keys.is_empty() {
            map.remove(at);
        }
    }
}
