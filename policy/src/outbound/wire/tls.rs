use super::{RouteBackend, Wire, distributions};
use crate::route::host;
use ferrule_cluster::object::{Name, route::Filter};
use ferrule_proto::{
    meta::Metadata,
    opaque_route::{Forbidden, Invalid},
    outbound::{TlsRoute, tls_route},
};

/// TLSRoutes.
pub(in crate::outbound) enum Tls {}

impl Tls {
    /// A route of connections to these names; to any where there is none.
    pub(in crate::outbound) fn route(
        metadata: Metadata,
        names: &[Name],
        backends: tls_route::Distribution,
        filters: Vec<tls_route::Filter>,
    ) -> TlsRoute {
        TlsRoute {
            metadata: Some(metadata),
            snis: host::snis(names),
            rules: vec![tls_route::Rule {
                backends: Some(backends),
                filters,
            }],
        }
    }

    /// Refuses every connection.
    pub(in crate::outbound) fn forbidden() -> tls_route::Filter {
        tls_route::Filter {
            kind: Some(tls_route::filter::Kind::Forbidden(Forbidden {})),
        }
    }
}

impl Wire for Tls {
    const PENALIZES: bool = false;

    distributions!(tls_route);

    fn failure(message: String) -> tls_route::Filter {
        tls_route::Filter {
            kind: Some(tls_route::filter::Kind::Invalid(Invalid { message })),
        }
    }

    fn filters(_: &[Filter]) -> Vec<tls_route::Filter> {
        Vec::new()
    }
}

impl From<RouteBackend<Tls>> for tls_route::RouteBackend {
    fn from(backend: RouteBackend<Tls>) -> Self {
        Self {
            backend: Some(backend.backend),
            filters: backend.filters,
        }
    }
}
