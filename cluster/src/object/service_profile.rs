use super::{GoDuration, Match, Name, RequestTest, StatusRange};

/// What the mesh reads of a ServiceProfile (destination.md section 11.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceProfile {
    /// `spec.routes`, in order: the first that matches a request is its route.
    pub routes: Box<[ProfileRoute]>,
    /// `spec.retryBudget`.
    pub retry_budget: Option<RetryBudget>,
    /// `spec.dstOverrides`.
    pub overrides: Box<[Override]>,
}

/// Requests that are counted together and treated alike.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileRoute {
    /// Its name in metrics.
    pub name: Box<str>,
    /// Which requests are its.
    pub condition: Match<RequestTest>,
    /// What its responses mean; the first that matches counts.
    pub response_classes: Box<[ResponseClass]>,
    /// Whether a request that failed is tried again.
    pub retryable: bool,
    /// How long a request may take, never zero; negative ones mean nothing to
    /// proxies.
    pub timeout: Option<GoDuration>,
}

/// Responses that count as successes, or as failures.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseClass {
    /// Which responses.
    pub condition: Match<StatusRange>,
    /// Whether they are failures.
    pub failure: bool,
}

/// How many requests may be retried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    /// Retries for each request that is none.
    pub ratio: f32,
    /// Retries a second that are allowed in any case.
    pub min_per_second: u32,
    /// Over how long requests are counted; proxies ignore budgets that say
    /// another than 1 to 60 seconds.
    pub ttl: GoDuration,
}

/// An authority to which a share of a Service's requests goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// `authority`, with or without a port.
    pub authority: Name,
    /// `weight` in thousandths.
    pub weight: u64,
}
