use super::{condition, is_egress_network_accepted};
use crate::PolicySettings;
use ferrule_cluster::{
    World,
    object::{
        Service, StatusCondition,
        route::{Parent, ParentKey, ParentKind, ParentStatus, Route, RouteKey},
    },
};
use rustc_hash::FxHashMap;

/// What is to be said of a route and each of its parents, in their order.
pub fn route_status(
    settings: &PolicySettings,
    world: &World,
    key: &RouteKey,
    route: &Route,
) -> Vec<ParentStatus> {
    Judge::new(settings, world).status(key, route)
}

/// Judges routes of one world; what it finds of a parent counts for all of the
/// routes on it.
pub(super) struct Judge<'w> {
    settings: &'w PolicySettings,
    world: &'w World,
    /// By parent and port, the most specific kind of route.
    specificities: FxHashMap<ParentKey, FxHashMap<Option<u16>, u8>>,
}

impl<'w> Judge<'w> {
    pub(super) fn new(settings: &'w PolicySettings, world: &'w World) -> Self {
        Self {
            settings,
            world,
            specificities: FxHashMap::default(),
        }
    }

    /// What is to be said of a route and each of its parents, in their order.
    pub(super) fn status(&mut self, key: &RouteKey, route: &Route) -> Vec<ParentStatus> {
        let parents = route.parents.iter();
        let statuses = parents.filter_map(|parent| {
            if !self.world.is_kind_listed(parent.key.kind.kind()) {
                // Nobody can tell whether it is there: what was said stands.
                return written(route, parent).cloned();
            }
            let accepted = self.accepted(key, parent);
            let conditions = match parent.key.kind {
                ParentKind::Server => [accepted].into(),
                _ => [accepted, resolved(self.world, key, route, parent)].into(),
            };
            Some(ParentStatus {
                parent: parent.key.clone(),
                port: parent.port,
                conditions,
            })
        });
        statuses.collect()
    }

    /// Whether a route takes effect on a parent.
    fn accepted(&mut self, key: &RouteKey, parent: &Parent) -> StatusCondition {
        let result = missing(self.settings, self.world, &parent.key)
            .map_err(|message| ("NoMatchingParent", message))
            .and_then(|()| {
                if self.is_displaced(key, parent) {
                    Err(("RouteReasonConflicted", ""))
                } else {
                    Ok("Accepted")
                }
            });
        condition(StatusCondition::ACCEPTED, result)
    }

    /// Whether a route of a more specific kind is on the very same parent, accepted
    /// there or not.
    fn is_displaced(&mut self, key: &RouteKey, parent: &Parent) -> bool {
        if !self.specificities.contains_key(&parent.key) {
            let found = specificities(self.world, &parent.key);
            self.specificities.insert(parent.key.clone(), found);
        }
        let highest = self.specificities[&parent.key].get(&parent.port);
        highest.is_some_and(|highest| *highest > key.kind.specificity())
    }
}

/// Whether a route takes effect on a parent.
pub(super) fn is_accepted(
    settings: &PolicySettings,
    world: &World,
    key: &RouteKey,
    parent: &Parent,
) -> bool {
    super::holds(&Judge::new(settings, world).accepted(key, parent))
}

/// What the route's status says of a parent.
fn written<'r>(route: &'r Route, parent: &Parent) -> Option<&'r ParentStatus> {
    let mut written = route.status.iter();
    written.find(|status| status.parent == parent.key && status.port == parent.port)
}

fn specificities(world: &World, parent: &ParentKey) -> FxHashMap<Option<u16>, u8> {
    let mut found = FxHashMap::default();
    for (key, entry) in world.routes_of(parent) {
        for on in entry.route.parents.iter().filter(|on| on.key == *parent) {
            let highest = found.entry(on.port).or_default();
            *highest = key.kind.specificity().max(*highest);
        }
    }
    found
}

/// Why there is no such parent.
fn missing(
    settings: &PolicySettings,
    world: &World,
    parent: &ParentKey,
) -> Result<(), &'static str> {
    match parent.kind {
        ParentKind::Server => world.has_parent(parent).then_some(()).ok_or(""),
        ParentKind::Service => match world.service(&parent.key) {
            None => Err(""),
            Some(service) if !has_cluster_ip(service) => {
                Err("parent service must have a ClusterIP")
            }
            Some(_) => Ok(()),
        },
        ParentKind::EgressNetwork => match world.egress_network(&parent.key) {
            None => Err(""),
            Some(network) if !is_egress_network_accepted(settings, network) => {
                Err("EgressNetwork parent has not been accepted")
            }
            Some(_) => Ok(()),
        },
    }
}

fn has_cluster_ip(service: &Service) -> bool {
    !service.external_name && !service.cluster_ips.is_empty()
}

/// Whether everything that a route leads to from a parent is there; the first
/// thing that is not decides.
fn resolved(world: &World, key: &RouteKey, route: &Route, parent: &Parent) -> StatusCondition {
    let backends = route.spec.iter().flat_map(|spec| spec.backends());
    let problem = backends.map(|backend| &backend.target).find_map(|target| {
        let Some(object) = target.key(&key.key.namespace) else {
            return Some(("InvalidKind", ""));
        };
        if !world.has_parent(&object) {
            return Some(("BackendNotFound", ""));
        }
        let is_elsewhere = object.kind == ParentKind::EgressNetwork && object != parent.key;
        is_elsewhere.then_some((
            "InvalidKind",
            "EgressNetwork backend needs to be on a route that has an EgressNetwork parent",
        ))
    });
    condition("ResolvedRefs", problem.map_or(Ok("ResolvedRefs"), Err))
}
