//! When proxies take an endpoint out (policy.md section 6.9).

use super::duration::duration;
use ferrule_cluster::object::traffic::{AccrualMode, Traffic};
use ferrule_proto::outbound::{
    ExponentialBackoff, FailureAccrual,
    failure_accrual::{ConsecutiveFailures, Kind, Unified},
};

/// Proxies refuse a policy with more, also where the rate of success does not
/// count; only there can more be asked for.
const MAX_MIN_REQUESTS: u32 = 1_000_000;

/// What a parent's annotations say of it.
pub(super) fn message(parent: Option<&Traffic>) -> Option<FailureAccrual> {
    let accrual = parent?.accrual.as_ref()?;
    let backoff = |respect_retry_after_hint| {
        Some(ExponentialBackoff {
            min_backoff: Some(duration(accrual.min_penalty)),
            max_backoff: Some(duration(accrual.max_penalty)),
            jitter_ratio: accrual.jitter,
            respect_retry_after_hint,
        })
    };
    let kind = match &accrual.mode {
        AccrualMode::Consecutive => Kind::ConsecutiveFailures(ConsecutiveFailures {
            max_failures: accrual.max_failures,
            backoff: backoff(false),
        }),
        AccrualMode::Unified(rate) => Kind::Unified(Unified {
            success_rate_threshold: rate.threshold,
            decay: Some(duration(rate.window)),
            min_requests: rate.min_requests.min(MAX_MIN_REQUESTS),
            max_consecutive_failures: accrual.max_failures,
            backoff: backoff(rate.honor_retry_after),
        }),
    };
    Some(FailureAccrual {
        kind: Some(kind),
        ejection: None,
    })
}
