//! What is done to requests and calls besides sending them somewhere (policy.md
//! section 6.8).

use super::Wire;
use crate::outbound::duration::duration;
use ferrule_cluster::object::{
    route::RequestSettings,
    traffic::{Retry, Timeouts, Traffic},
};
use ferrule_proto::{http_route, outbound::ExponentialBackoff};
use prost_types::Duration;

/// The largest request that is kept to be sent again, in bytes.
const MAX_RETRIED_REQUEST: u32 = 64 << 10;

/// How long proxies wait before they try again.
const RETRY_BACKOFF: ExponentialBackoff = ExponentialBackoff {
    min_backoff: Some(Duration {
        seconds: 0,
        nanos: 25_000_000,
    }),
    max_backoff: Some(Duration {
        seconds: 0,
        nanos: 250_000_000,
    }),
    jitter_ratio: 1.0,
    respect_retry_after_hint: false,
};

/// A kind of route that tells requests apart.
pub(in crate::outbound) trait RequestWire: Wire {
    /// Which requests: as the cluster has it,
    type Model;
    /// and as proxies do.
    type Match;
    /// After what is tried again.
    type Code;
    type Retry;

    fn requests(requests: &Self::Model) -> Self::Match;

    /// What a parent's annotations say for this kind.
    fn retry_of(traffic: &Traffic) -> Option<&Retry<Self::Code>>;

    fn retry(retry: &Retry<Self::Code>) -> Self::Retry;

    fn rule(parts: RuleParts<Self>) -> Self::Rule;
}

/// What a rule is made of.
pub(in crate::outbound) struct RuleParts<W: RequestWire> {
    pub(in crate::outbound) matches: Vec<W::Match>,
    pub(in crate::outbound) filters: Vec<W::Filter>,
    pub(in crate::outbound) backends: W::Distribution,
    pub(in crate::outbound) terms: Terms<W>,
    pub(in crate::outbound) allow_l5d_request_headers: bool,
}

/// How long a rule's requests may take and how often they are tried.
pub(in crate::outbound) struct Terms<W: RequestWire> {
    pub(super) timeouts: http_route::Timeouts,
    pub(super) retry: Option<W::Retry>,
}

impl<W: RequestWire> Terms<W> {
    /// Those of the parent.
    pub(in crate::outbound) fn of_parent(parent: Option<&Traffic>) -> Self {
        Self {
            timeouts: parent
                .map(|parent| message(parent.timeouts))
                .unwrap_or_default(),
            retry: parent.and_then(W::retry_of).map(W::retry),
        }
    }

    /// Those of a rule: timeouts are the route's or the parent's, never some of
    /// each; and so are retries.
    pub(in crate::outbound) fn of_rule(
        settings: &RequestSettings<W::Code>,
        timeout: Option<std::time::Duration>,
        parent: Option<&Traffic>,
    ) -> Self {
        let own = Timeouts {
            request: settings.timeouts.request.or(timeout),
            ..settings.timeouts
        };
        let inherited = Self::of_parent(parent);
        Self {
            timeouts: match own.is_empty() {
                true => inherited.timeouts,
                false => message(own),
            },
            retry: settings.retry.as_ref().map(W::retry).or(inherited.retry),
        }
    }
}

/// How requests are tried again, whatever their kind.
pub(super) struct Attempts {
    pub(super) max_retries: u32,
    pub(super) max_request_bytes: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) backoff: Option<ExponentialBackoff>,
}

impl<C> From<&Retry<C>> for Attempts {
    fn from(retry: &Retry<C>) -> Self {
        Self {
            max_retries: retry.limit.into(),
            max_request_bytes: MAX_RETRIED_REQUEST,
            timeout: retry.timeout.map(duration),
            backoff: Some(RETRY_BACKOFF),
        }
    }
}

fn message(timeouts: Timeouts) -> http_route::Timeouts {
    http_route::Timeouts {
        request: timeouts.request.map(duration),
        response: timeouts.response.map(duration),
        idle: timeouts.idle.map(duration),
    }
}

/// The part of [`RequestWire`] that is alike but for the types.
macro_rules! rules {
    ($kind:ident) => {
        fn rule(parts: $crate::outbound::wire::RuleParts<Self>) -> $kind::Rule {
            let $crate::outbound::wire::Terms { timeouts, retry } = parts.terms;
            #[allow(deprecated, reason = "older proxies read nothing else")]
            $kind::Rule {
                matches: parts.matches,
                filters: parts.filters,
                backends: Some(parts.backends),
                request_timeout: timeouts.request,
                timeouts: Some(timeouts),
                retry,
                allow_l5d_request_headers: parts.allow_l5d_request_headers,
            }
        }
    };
}

pub(super) use rules;
