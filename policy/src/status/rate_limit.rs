use super::condition;
use ferrule_cluster::{
    World,
    object::{Name, ObjectKey, RateLimit, StatusCondition},
};

/// What is to be said of a rate limit (policy.md section 7.5); nothing of one
/// whose target is no Server.
pub fn rate_limit_status(
    world: &World,
    key: &ObjectKey,
    limit: &RateLimit,
) -> Option<StatusCondition> {
    let server = limit.server.as_ref()?;
    let result = if world.server(&key.namespace, server).is_none() {
        Err(("NoMatchingTarget", ""))
    } else if first(world, &key.namespace, server) != Some(&key.name) {
        Err(("RateLimitReasonAlreadyExists", ""))
    } else {
        Ok("Accepted")
    };
    Some(condition(StatusCondition::ACCEPTED, result))
}

/// The rate limit of a Server that counts.
fn first<'w>(world: &'w World, namespace: &str, server: &Name) -> Option<&'w Name> {
    let limits = world.rate_limits(namespace);
    let of_server = limits.filter(|(_, limit)| limit.server.as_ref() == Some(server));
    let first = of_server
        .min_by_key(|(name, limit)| (limit.created.is_none(), limit.created, (*name).clone()));
    first.map(|(name, _)| name)
}
