//! How many requests a port takes (policy.md section 5.10).

use super::{clients, origin::Origin};
use crate::{PolicySettings, status};
use ferrule_cluster::{
    World,
    object::{ObjectKey, RateLimits},
};
use ferrule_proto::inbound::{
    HttpLocalRateLimit,
    http_local_rate_limit::{Limit, Override, r#override::ClientIdentities},
};

/// The limit of a Server's port. One takes effect; should two seem to for a
/// moment, the oldest, then the name decides.
pub(super) fn of_server(
    settings: &PolicySettings,
    world: &World,
    server: &ObjectKey,
) -> Option<HttpLocalRateLimit> {
    let limits = world.rate_limits(&server.namespace);
    let of_server = limits.filter(|(name, limit)| {
        let key = ObjectKey::new(server.namespace.clone(), (*name).clone());
        limit.server.as_ref() == Some(&server.name)
            && status::is_rate_limit_accepted(settings, world, &key, limit)
    });
    let (name, limit) =
        of_server.min_by_key(|(name, limit)| (limit.created.is_none(), limit.created, *name))?;
    Some(message(settings, name, limit.limits.as_ref()?))
}

fn message(settings: &PolicySettings, name: &str, limits: &RateLimits) -> HttpLocalRateLimit {
    let overrides = limits.overrides.iter().map(|limit| {
        let accounts = limit.clients.iter();
        let identities = accounts.map(|account| clients::service_account(settings, account));
        Override {
            limit: Some(per_second(limit.rate)),
            clients: Some(ClientIdentities {
                identities: identities.collect(),
            }),
        }
    });
    HttpLocalRateLimit {
        metadata: Some(Origin::RateLimit(name).metadata()),
        total: limits.total.map(per_second),
        identity: limits.identity.map(per_second),
        overrides: overrides.collect(),
    }
}

fn per_second(requests: u32) -> Limit {
    Limit {
        requests_per_second: requests,
    }
}
