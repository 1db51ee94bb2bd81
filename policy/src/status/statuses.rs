//! The index's side of statuses: what is to be written, whenever that changes.

use super::{
    egress_network_status,
    outbox::{Judged, Outbox, Said},
    rate_limit::Limits,
    route::Judge,
};
use crate::PolicySettings;
use ferrule_cluster::{
    World,
    index::Projection,
    object::{
        Kind, Name, ObjectKey, RateLimit, StatusCondition,
        route::{ParentKind, ParentStatus, Route, RouteKey, RouteKind},
    },
    world::Changes,
};
use rustc_hash::FxHashSet;
use std::{convert::Infallible, fmt, sync::Arc, time::Instant};

/// An object that has a status.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatusKey {
    /// Its kind: a route's, an EgressNetwork's or a rate limit's.
    pub kind: Kind,
    /// Where it is.
    pub key: ObjectKey,
}

/// What is to be said of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// Of a route: of each parent.
    Route(Vec<ParentStatus>),
    /// Of an EgressNetwork.
    EgressNetwork(StatusCondition),
    /// Of a rate limit.
    RateLimit {
        /// The Server that it is for.
        server: Name,
        /// Whether it takes effect.
        condition: StatusCondition,
    },
}

impl fmt::Display for StatusKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.key)
    }
}

impl From<RouteKey> for StatusKey {
    fn from(RouteKey { kind, key }: RouteKey) -> Self {
        let kind = kind.kind();
        Self { kind, key }
    }
}

impl Status {
    /// Every condition, and the parent that it is about if it is a route's.
    pub fn conditions(&self) -> impl Iterator<Item = (Option<&ParentStatus>, &StatusCondition)> {
        let (parents, own) = match self {
            Self::Route(parents) => (&parents[..], None),
            Self::EgressNetwork(condition) | Self::RateLimit { condition, .. } => {
                (&[][..], Some(condition))
            }
        };
        let of_parents = parents.iter().flat_map(|parent| {
            let conditions = parent.conditions.iter();
            conditions.map(move |condition| (Some(parent), condition))
        });
        of_parents.chain(own.map(|condition| (None, condition)))
    }
}

/// Judges the objects that have a status: all of them once, then those of which
/// something changed.
pub struct Statuses {
    settings: Arc<PolicySettings>,
    outbox: Arc<Outbox>,
    /// Kinds of parents that had been listed when it judged last.
    listed: [bool; ParentKind::ALL.len()],
}

impl Statuses {
    /// What is to be written goes into `outbox`.
    pub fn new(settings: Arc<PolicySettings>, outbox: Arc<Outbox>) -> Self {
        Self {
            settings,
            outbox,
            listed: [false; _],
        }
    }

    fn judge_all(&self, world: &World) {
        let routes = RouteKind::ALL.into_iter().flat_map(|kind| {
            let keys = world.keys(kind.kind()).into_iter();
            keys.map(move |key| RouteKey { kind, key })
        });
        let rate_limits: FxHashSet<_> = world.keys(Kind::RateLimit).into_iter().collect();
        let changes = Changes {
            routes: routes.collect(),
            policies: rate_limits
                .iter()
                .map(|key| key.namespace.clone())
                .collect(),
            rate_limits,
            egress_networks: world.keys(Kind::EgressNetwork).into_iter().collect(),
            ..Changes::default()
        };
        self.judge(world, &changes);
    }

    fn judge(&self, world: &World, changes: &Changes) {
        let mut judged = Vec::new();
        self.judge_egress_networks(world, changes, &mut judged);
        self.judge_rate_limits(world, changes, &mut judged);
        self.judge_routes(world, changes, &mut judged);
        if !judged.is_empty() {
            self.outbox.put(judged);
        }
    }

    fn judge_egress_networks(&self, world: &World, changes: &Changes, judged: &mut Vec<Judged>) {
        judged.extend(changes.egress_networks.iter().map(|key| {
            let network = world.egress_network(key);
            let status = network.map(|network| {
                let status = egress_network_status(&self.settings, network);
                let said = said(&network.conditions, &status);
                (Status::EgressNetwork(status), said)
            });
            Judged::new(Kind::EgressNetwork, key, true, status)
        }));
    }

    fn judge_rate_limits(&self, world: &World, changes: &Changes, judged: &mut Vec<Judged>) {
        for namespace in &changes.policies {
            let limits = Limits::of(world, namespace);
            judged.extend(world.rate_limits(namespace).map(|(name, limit)| {
                let key = ObjectKey::new(namespace.clone(), name.clone());
                let is_seen = changes.rate_limits.contains(&key);
                let status = limits.status(name, limit);
                let status = status.and_then(|status| rate_limit(limit, status));
                Judged::new(Kind::RateLimit, &key, is_seen, status)
            }));
        }
        let gone = changes.rate_limits.iter().filter(|key| {
            let mut there = world.rate_limits(&key.namespace);
            !there.any(|(name, _)| *name == key.name)
        });
        judged.extend(gone.map(|key| Judged::new(Kind::RateLimit, key, true, None)));
    }

    fn judge_routes(&self, world: &World, changes: &Changes, judged: &mut Vec<Judged>) {
        let on_parents = changes.parents.iter().flat_map(|parent| {
            let routes = world.routes_of(parent);
            routes.map(|(key, _)| key)
        });
        let routes: FxHashSet<&RouteKey> = changes.routes.iter().chain(on_parents).collect();
        let mut judge = Judge::new(&self.settings, world);
        judged.extend(routes.into_iter().map(|key| {
            let entry = world.route(key);
            let status = entry.map(|entry| {
                let status = judge.status(key, &entry.route);
                let said = said_of_route(&entry.route, &status);
                (Status::Route(status), said)
            });
            let is_seen = changes.routes.contains(key);
            Judged::new(key.kind.kind(), &key.key, is_seen, status)
        }));
    }
}

impl Projection for Statuses {
    type Request = Infallible;

    fn update(&mut self, world: &World, changes: &Changes) {
        let listed = ParentKind::ALL.map(|kind| world.is_kind_listed(kind.kind()));
        if listed == self.listed {
            self.judge(world, changes);
        } else {
            // Of a kind that was forbidden nothing could be said before.
            self.listed = listed;
            self.judge_all(world);
        }
    }

    fn handle(&mut self, _: &World, request: Infallible) {
        match request {}
    }

    fn synced(&mut self, world: &World) {
        self.listed = ParentKind::ALL.map(|kind| world.is_kind_listed(kind.kind()));
        self.judge_all(world);
        self.outbox.set_synced();
    }

    fn tidy(&mut self, _: Instant) {}
}

fn rate_limit(limit: &RateLimit, condition: StatusCondition) -> Option<(Status, Said)> {
    let server = limit.server.clone()?;
    let said = said(&limit.conditions, &condition);
    Some((Status::RateLimit { server, condition }, said))
}

/// What these conditions say: this only if they say it, and nothing else of its type.
fn said(conditions: &[StatusCondition], status: &StatusCondition) -> Said {
    let mut of_type = conditions
        .iter()
        .filter(|condition| condition.kind == status.kind);
    match (of_type.next(), of_type.next()) {
        (None, _) => Said::Nothing,
        (Some(said), None) if said == status => Said::This,
        _ => Said::Other,
    }
}

/// What a route's status says: this in any order of parents (policy.md section
/// 7.7).
fn said_of_route(route: &Route, status: &[ParentStatus]) -> Said {
    fn sorted(parents: &[ParentStatus]) -> Vec<&ParentStatus> {
        let mut parents: Vec<_> = parents.iter().collect();
        parents.sort_by_key(|entry| (&entry.parent.key.name, &entry.parent.key.namespace));
        parents
    }
    if route.status.len() == status.len() && sorted(&route.status) == sorted(status) {
        Said::This
    } else if route.status.is_empty() {
        Said::Nothing
    } else {
        Said::Other
    }
}
