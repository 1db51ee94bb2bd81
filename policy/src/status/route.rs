use super::{condition, is_egress_network_accepted};
use crate::PolicySettings;
use ferrule_cluster::{
    World,
    object::{
        Service, StatusCondition,
        route::{Parent, ParentKey, ParentKind, ParentStatus, Route, RouteKey},
    },
};

/// What is to be said of a route and each of its parents, in their order.
pub fn route_status(
    settings: &PolicySettings,
    world: &World,
    key: &RouteKey,
    route: &Route,
) -> Vec<ParentStatus> {
    let parents = route.parents.iter();
    let statuses = parents.map(|parent| {
        let accepted = accepted(settings, world, key, parent);
        let conditions = match parent.key.kind {
            ParentKind::Server => [accepted].into(),
            _ => [accepted, resolved(world, key, route, parent)].into(),
        };
        ParentStatus {
            parent: parent.key.clone(),
            port: parent.port,
            conditions,
        }
    });
    statuses.collect()
}

/// Whether a route takes effect on a parent.
pub(super) fn accepted(
    settings: &PolicySettings,
    world: &World,
    key: &RouteKey,
    parent: &Parent,
) -> StatusCondition {
    let result = missing(settings, world, &parent.key)
        .map_err(|message| ("NoMatchingParent", message))
        .and_then(|()| {
            if is_displaced(world, key, parent) {
                Err(("RouteReasonConflicted", ""))
            } else {
                Ok("Accepted")
            }
        });
    condition(StatusCondition::ACCEPTED, result)
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

/// Whether a route of a more specific kind is on the very same parent, accepted
/// there or not.
fn is_displaced(world: &World, key: &RouteKey, parent: &Parent) -> bool {
    let own = key.kind.specificity();
    world.routes_of(&parent.key).any(|(other, entry)| {
        let mut parents = entry.route.parents.iter();
        other.kind.specificity() > own
            && parents.any(|on| on.key == parent.key && on.port == parent.port)
    })
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
