use super::condition;
use ferrule_cluster::{
    World,
    object::{Kind, Name, ObjectKey, RateLimit, StatusCondition},
};
use rustc_hash::FxHashMap;

/// What is to be said of a rate limit (policy.md section 7.5); nothing of one
/// whose target is no Server.
pub fn rate_limit_status(
    world: &World,
    key: &ObjectKey,
    limit: &RateLimit,
) -> Option<StatusCondition> {
    Limits::of(world, &key.namespace).status(&key.name, limit)
}

/// The rate limits of a namespace.
pub(super) struct Limits<'w> {
    world: &'w World,
    namespace: &'w str,
    /// By Server, the rate limit that counts.
    first: FxHashMap<&'w Name, Place<'w>>,
}

/// Among the rate limits of a Server the least counts: the oldest, by name among
/// those of an age. One without a time comes last.
type Place<'w> = (bool, Option<i64>, &'w Name);

impl<'w> Limits<'w> {
    pub(super) fn of(world: &'w World, namespace: &'w str) -> Self {
        let mut first = FxHashMap::default();
        for (name, limit) in world.rate_limits(namespace) {
            if let Some(server) = &limit.server {
                let place: Place<'_> = (limit.created.is_none(), limit.created, name);
                let found = first.entry(server).or_insert(place);
                *found = place.min(*found);
            }
        }
        Self {
            world,
            namespace,
            first,
        }
    }

    /// What is to be said of one of them.
    pub(super) fn status(&self, name: &Name, limit: &RateLimit) -> Option<StatusCondition> {
        let server = limit.server.as_ref()?;
        if !self.world.is_kind_listed(Kind::Server) {
            // Nobody can tell whether it is there.
            return None;
        }
        let result = if self.world.server(self.namespace, server).is_none() {
            Err(("NoMatchingTarget", ""))
        } else if self.first.get(server).map(|first| first.2) != Some(name) {
            Err(("RateLimitReasonAlreadyExists", ""))
        } else {
            Ok("Accepted")
        };
        Some(condition(StatusCondition::ACCEPTED, result))
    }
}
