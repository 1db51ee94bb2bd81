//! Routes that no object of the cluster configures.

use crate::metadata;
use ferrule_proto::{
    http_route::{HttpRouteMatch, PathMatch, Timeouts, path_match},
    opaque_route::Forbidden,
    outbound::{Backend, HttpRoute, OpaqueRoute, http_route, opaque_route},
};

/// Every request to a Service.
pub(super) fn http(backend: Backend) -> HttpRoute {
    let any_path = HttpRouteMatch {
        path: Some(PathMatch {
            kind: Some(path_match::Kind::Prefix("/".into())),
        }),
        ..HttpRouteMatch::default()
    };
    http_route("http", any_path, backend, Some(Timeouts::default()))
}

/// Every request to an address that is no Service's.
pub(super) fn any_http(name: &str, backend: Backend) -> HttpRoute {
    http_route(name, HttpRouteMatch::default(), backend, None)
}

fn http_route(
    name: &str,
    requests: HttpRouteMatch,
    backend: Backend,
    timeouts: Option<Timeouts>,
) -> HttpRoute {
    use http_route::{Distribution, RouteBackend, Rule, distribution};
    let first = distribution::FirstAvailable {
        backends: vec![RouteBackend {
            backend: Some(backend),
            ..RouteBackend::default()
        }],
    };
    HttpRoute {
        metadata: Some(metadata::default(name)),
        hosts: Vec::new(),
        rules: vec![Rule {
            matches: vec![requests],
            backends: Some(Distribution {
                kind: Some(distribution::Kind::FirstAvailable(first)),
            }),
            timeouts,
            ..Rule::default()
        }],
    }
}

/// Every connection.
pub(super) fn opaque(name: &str, backend: Backend) -> OpaqueRoute {
    use opaque_route::{RouteBackend, distribution};
    let first = distribution::FirstAvailable {
        backends: vec![RouteBackend {
            backend: Some(backend),
            filters: Vec::new(),
        }],
    };
    opaque_route(name, distribution::Kind::FirstAvailable(first), Vec::new())
}

/// Every connection is refused.
pub(super) fn forbidden(name: &str) -> OpaqueRoute {
    use opaque_route::{Filter, distribution, filter};
    let nowhere = distribution::Kind::Empty(distribution::Empty {});
    let refused = Filter {
        kind: Some(filter::Kind::Forbidden(Forbidden {})),
    };
    opaque_route(name, nowhere, vec![refused])
}

fn opaque_route(
    name: &str,
    distribution: opaque_route::distribution::Kind,
    filters: Vec<opaque_route::Filter>,
) -> OpaqueRoute {
    OpaqueRoute {
        metadata: Some(metadata::default(name)),
        rules: vec![opaque_route::Rule {
            backends: Some(opaque_route::Distribution {
                kind: Some(distribution),
            }),
            filters,
        }],
    }
}
