//! Where rules lead. The messages of each kind of route are types of their own
//! though they say the same.

use ferrule_proto::{
    http_route::{HttpRouteMatch, PathMatch, path_match},
    outbound::Backend,
};

pub(crate) fn prefix(path: &str) -> HttpRouteMatch {
    HttpRouteMatch {
        path: Some(PathMatch {
            kind: Some(path_match::Kind::Prefix(path.into())),
        }),
        ..HttpRouteMatch::default()
    }
}

macro_rules! distributions {
    ($($kind:ident)+) => {$(
        pub(crate) mod $kind {
            use super::Backend;
            use ferrule_proto::outbound::$kind::{
                Distribution, Filter, RouteBackend, WeightedRouteBackend,
                distribution::{FirstAvailable, Kind, RandomAvailable},
            };

            #[allow(clippy::needless_update, reason = "some have a field more, deprecated")]
            fn to(backend: Backend, filters: Vec<Filter>) -> RouteBackend {
                RouteBackend {
                    backend: Some(backend),
                    filters,
                    ..RouteBackend::default()
                }
            }

            /// There, whatever happens.
            pub(crate) fn first(backend: Backend) -> Option<Distribution> {
                let backends = vec![to(backend, vec![])];
                Some(Distribution {
                    kind: Some(Kind::FirstAvailable(FirstAvailable { backends })),
                })
            }

            /// To any of these, by weight.
            pub(crate) fn any(
                backends: impl IntoIterator<Item = (u32, Backend, Vec<Filter>)>,
            ) -> Option<Distribution> {
                let backends = backends.into_iter();
                let backends = backends.map(|(weight, backend, filters)| WeightedRouteBackend {
                    backend: Some(to(backend, filters)),
                    weight,
                });
                Some(Distribution {
                    kind: Some(Kind::RandomAvailable(RandomAvailable {
                        backends: backends.collect(),
                    })),
                })
            }
        }
    )+};
}

distributions! { http_route grpc_route tls_route opaque_route }
