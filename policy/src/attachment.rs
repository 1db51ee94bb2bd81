//! Which routes take effect where.

use crate::{PolicySettings, status};
use ferrule_cluster::{
    World,
    object::{
        ObjectKey,
        route::{Parent, ParentKey, ParentKind, Route, RouteKey, RouteSpec},
    },
};

/// A route that takes effect on a parent.
#[derive(Clone, Copy)]
pub(crate) struct Attached<'w> {
    pub(crate) key: &'w RouteKey,
    pub(crate) spec: &'w RouteSpec,
    created: Option<i64>,
}

/// The routes of what comes in to a Server's port, in order (policy.md section
/// 5.7).
pub(crate) fn to_server<'w>(
    settings: &PolicySettings,
    world: &'w World,
    server: &ObjectKey,
) -> Vec<Attached<'w>> {
    let parent = ParentKey::new(ParentKind::Server, server.clone());
    attached(settings, world, &parent, |key, route, _| {
        let mut parents = route.parents.iter();
        key.key.namespace == server.namespace
            && parents.all(|parent| {
                let is_here = parent.key.key.namespace == server.namespace;
                parent.key.kind != ParentKind::Server || (is_here && !parent.is_part)
            })
    })
}

/// The routes of what clients in a namespace send to a port of a Service or
/// EgressNetwork, in order (policy.md section 6.5): those of its own namespace
/// are for all clients, those of others for the clients there.
pub(crate) fn to_port<'w>(
    settings: &PolicySettings,
    world: &'w World,
    parent: &ParentKey,
    port: u16,
    client: &str,
) -> Vec<Attached<'w>> {
    attached(settings, world, parent, |key, _, on| {
        let namespace = &key.key.namespace;
        let is_for_client = *namespace == parent.key.namespace || **namespace == *client;
        is_for_client
            && match on.port {
                Some(named) => named == port,
                None => parent.kind == ParentKind::Service,
            }
    })
}

/// The accepted ones of a parent's routes that are also `wanted`: the oldest
/// first; of those of one age by name, then where nothing is prescribed, so that
/// every process decides alike, by namespace and group.
fn attached<'w>(
    settings: &PolicySettings,
    world: &'w World,
    parent: &ParentKey,
    wanted: impl Fn(&RouteKey, &Route, &Parent) -> bool,
) -> Vec<Attached<'w>> {
    let routes = world.routes_of(parent).filter_map(|(key, entry)| {
        let mut parents = entry.route.parents.iter();
        let takes_effect = parents.any(|on| {
            on.key == *parent
                && wanted(key, &entry.route, on)
                && status::is_accepted(settings, world, key, &entry.route, on)
        });
        takes_effect.then_some(Attached {
            key,
            spec: entry.spec.as_deref()?,
            created: entry.route.created,
        })
    });
    let mut routes: Vec<_> = routes.collect();
    routes.sort_unstable_by_key(|route| {
        let RouteKey { kind, key } = route.key;
        let age = (route.created.is_none(), route.created);
        (age, &key.name, &key.namespace, kind.group(), kind.name())
    });
    routes
}
