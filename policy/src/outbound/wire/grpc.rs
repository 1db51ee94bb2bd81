use super::{
    RequestWire, RouteBackend, Wire, distributions,
    requests::{Attempts, rules},
};
use crate::route::{filter, host, matches};
use ferrule_cluster::object::{
    Name,
    route::{Filter, GrpcMatch},
    traffic::{GrpcCode, Retry, Traffic},
};
use ferrule_proto::{
    grpc_route::{GrpcFailureInjector, GrpcRouteMatch},
    meta::Metadata,
    outbound::{
        GrpcRoute,
        grpc_route::{self, retry},
    },
};

/// GRPCRoutes.
pub(in crate::outbound) enum Grpc {}

impl Grpc {
    /// A route of calls.
    pub(in crate::outbound) fn route(
        metadata: Metadata,
        hosts: &[Name],
        rules: Vec<grpc_route::Rule>,
    ) -> GrpcRoute {
        GrpcRoute {
            metadata: Some(metadata),
            hosts: host::hosts(hosts),
            rules,
        }
    }

    /// Answers every call with a code.
    pub(in crate::outbound) fn answer(code: u32, message: String) -> grpc_route::Filter {
        let failure = GrpcFailureInjector {
            code,
            message,
            ratio: None,
        };
        filter(grpc_route::filter::Kind::FailureInjector(failure))
    }
}

impl Wire for Grpc {
    const PENALIZES: bool = true;

    distributions!(grpc_route);

    /// That is no code of gRPC, but clients know it (policy.md, D-17).
    fn failure(message: String) -> grpc_route::Filter {
        Self::answer(500, message)
    }

    /// Only headers of requests: there is no word for the others, and a filter
    /// that says nothing costs the whole policy (policy.md, D-2).
    fn filters(filters: &[Filter]) -> Vec<grpc_route::Filter> {
        use grpc_route::filter::Kind;
        let filters = filters.iter().filter_map(|one| match one {
            Filter::RequestHeaders(changes) => Some(filter(Kind::RequestHeaderModifier(
                filter::request_headers(changes),
            ))),
            Filter::ResponseHeaders(_) | Filter::Redirect(_) => None,
        });
        filters.collect()
    }
}

impl RequestWire for Grpc {
    type Model = GrpcMatch;
    type Match = GrpcRouteMatch;
    type Code = GrpcCode;
    type Retry = grpc_route::Retry;

    fn requests(calls: &GrpcMatch) -> GrpcRouteMatch {
        matches::grpc(calls)
    }

    fn retry_of(traffic: &Traffic) -> Option<&Retry<GrpcCode>> {
        traffic.grpc_retry.as_ref()
    }

    fn retry(retry: &Retry<GrpcCode>) -> grpc_route::Retry {
        let attempts = Attempts::from(retry);
        let has = |code| retry.conditions.contains(&code);
        grpc_route::Retry {
            max_retries: attempts.max_retries,
            max_request_bytes: attempts.max_request_bytes,
            conditions: Some(retry::Conditions {
                cancelled: has(GrpcCode::Cancelled),
                deadine_exceeded: has(GrpcCode::DeadlineExceeded),
                resource_exhausted: has(GrpcCode::ResourceExhausted),
                internal: has(GrpcCode::Internal),
                unavailable: has(GrpcCode::Unavailable),
            }),
            timeout: attempts.timeout,
            backoff: attempts.backoff,
        }
    }

    rules!(grpc_route);
}

impl From<RouteBackend<Grpc>> for grpc_route::RouteBackend {
    fn from(backend: RouteBackend<Grpc>) -> Self {
        Self {
            backend: Some(backend.backend),
            filters: backend.filters,
            ..Self::default()
        }
    }
}

fn filter(kind: grpc_route::filter::Kind) -> grpc_route::Filter {
    grpc_route::Filter { kind: Some(kind) }
}
