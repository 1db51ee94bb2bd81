use super::{
    RequestWire, RouteBackend, Wire, distributions,
    requests::{Attempts, rules},
};
use crate::route::{filter, host, matches};
use ferrule_cluster::object::{
    Name,
    route::{Filter, HttpMatch},
    traffic::{Retry, StatusCodes, Traffic},
};
use ferrule_proto::{
    http_route::{HttpFailureInjector, HttpRouteMatch},
    meta::Metadata,
    outbound::{
        HttpRoute,
        http_route::{
            self,
            retry::{self, conditions::StatusRange},
        },
    },
};

/// HTTPRoutes.
pub(in crate::outbound) enum Http {}

impl Http {
    /// A route of every request whose rules are these.
    pub(in crate::outbound) fn route(
        metadata: Metadata,
        hosts: &[Name],
        rules: Vec<http_route::Rule>,
    ) -> HttpRoute {
        HttpRoute {
            metadata: Some(metadata),
            hosts: host::hosts(hosts),
            rules,
        }
    }

    /// Answers every request with a status.
    pub(in crate::outbound) fn answer(status: u32, message: String) -> http_route::Filter {
        let failure = HttpFailureInjector {
            status,
            message,
            ratio: None,
        };
        filter(http_route::filter::Kind::FailureInjector(failure))
    }
}

impl Wire for Http {
    const PENALIZES: bool = true;

    distributions!(http_route);

    fn failure(message: String) -> http_route::Filter {
        Self::answer(500, message)
    }

    fn filters(filters: &[Filter]) -> Vec<http_route::Filter> {
        use http_route::filter::Kind;
        let filters = filters.iter().map(|one| {
            filter(match one {
                Filter::RequestHeaders(changes) => {
                    Kind::RequestHeaderModifier(filter::request_headers(changes))
                }
                Filter::ResponseHeaders(changes) => {
                    Kind::ResponseHeaderModifier(filter::response_headers(changes))
                }
                Filter::Redirect(redirect) => Kind::Redirect(filter::redirect(redirect)),
            })
        });
        filters.collect()
    }
}

impl RequestWire for Http {
    type Model = HttpMatch;
    type Match = HttpRouteMatch;
    type Code = StatusCodes;
    type Retry = http_route::Retry;

    fn requests(requests: &HttpMatch) -> HttpRouteMatch {
        matches::http(requests)
    }

    fn retry_of(traffic: &Traffic) -> Option<&Retry<StatusCodes>> {
        traffic.http_retry.as_ref()
    }

    fn retry(retry: &Retry<StatusCodes>) -> http_route::Retry {
        let attempts = Attempts::from(retry);
        let ranges = retry.conditions.iter().map(|codes| StatusRange {
            start: codes.first.into(),
            end: codes.last.into(),
        });
        http_route::Retry {
            max_retries: attempts.max_retries,
            max_request_bytes: attempts.max_request_bytes,
            conditions: Some(retry::Conditions {
                status_ranges: ranges.collect(),
            }),
            timeout: attempts.timeout,
            backoff: attempts.backoff,
        }
    }

    rules!(http_route);
}

impl From<RouteBackend<Http>> for http_route::RouteBackend {
    fn from(backend: RouteBackend<Http>) -> Self {
        Self {
            backend: Some(backend.backend),
            filters: backend.filters,
            ..Self::default()
        }
    }
}

fn filter(kind: http_route::filter::Kind) -> http_route::Filter {
    http_route::Filter { kind: Some(kind) }
}
