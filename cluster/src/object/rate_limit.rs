use super::{Name, ObjectKey, StatusCondition};

/// What the mesh reads of an HTTPLocalRateLimitPolicy: how many requests each pod
/// behind a Server takes (policy.md section 3.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// `metadata.creationTimestamp` in seconds since 1970. The oldest for a
    /// Server counts.
    pub created: Option<i64>,
    /// The Server, in its own namespace. `None` where the target is another kind
    /// or cannot be read: it limits nothing.
    pub server: Option<Name>,
    /// The limits. `None` where they cannot be read: it limits nothing.
    pub limits: Option<RateLimits>,
    /// `status.conditions`.
    pub conditions: Box<[StatusCondition]>,
}

/// Requests a second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// From all clients together.
    pub total: Option<u32>,
    /// From each identity.
    pub identity: Option<u32>,
    /// From some clients.
    pub overrides: Box<[RateOverride]>,
}

/// The limit of some clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateOverride {
    /// Requests a second.
    pub rate: u32,
    /// The clients: ServiceAccounts, there or not.
    pub clients: Box<[ObjectKey]>,
}

impl RateLimit {
    /// Whether its status says that it takes effect.
    pub fn is_accepted(&self) -> bool {
        StatusCondition::holds(&self.conditions, StatusCondition::ACCEPTED)
    }
}
