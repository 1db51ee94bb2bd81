use super::{RouteBackend, Wire, distributions};
use ferrule_cluster::object::route::Filter;
use ferrule_proto::{
    meta::Metadata,
    opaque_route::{Forbidden, Invalid},
    outbound::{OpaqueRoute, opaque_route},
};

/// TCPRoutes.
pub(in crate::outbound) enum Opaque {}

impl Opaque {
    /// A route of every connection.
    pub(in crate::outbound) fn route(
        metadata: Metadata,
        backends: opaque_route::Distribution,
        filters: Vec<opaque_route::Filter>,
    ) -> OpaqueRoute {
        OpaqueRoute {
            metadata: Some(metadata),
            rules: vec![opaque_route::Rule {
                backends: Some(backends),
                filters,
            }],
        }
    }

    /// Refuses every connection.
    pub(in crate::outbound) fn forbidden() -> opaque_route::Filter {
        opaque_route::Filter {
            kind: Some(opaque_route::filter::Kind::Forbidden(Forbidden {})),
        }
    }
}

impl Wire for Opaque {
    const PENALIZES: bool = false;

    distributions!(opaque_route);

    fn failure(message: String) -> opaque_route::Filter {
        opaque_route::Filter {
            kind: Some(opaque_route::filter::Kind::Invalid(Invalid { message })),
        }
    }

    fn filters(_: &[Filter]) -> Vec<opaque_route::Filter> {
        Vec::new()
    }
}

impl From<RouteBackend<Opaque>> for opaque_route::RouteBackend {
    fn from(backend: RouteBackend<Opaque>) -> Self {
        Self {
            backend: Some(backend.backend),
            filters: backend.filters,
        }
    }
}
