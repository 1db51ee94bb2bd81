//! Where traffic goes, in words.

use super::filter;
use crate::endpoint::resource;
use ferrule_proto::outbound::{
    self, Backend,
    backend::{Kind, endpoint_discovery},
};
use std::net::SocketAddr;

/// How a route of any kind chooses a backend.
pub(super) trait Distribution {
    fn text(&self) -> String;
}

/// Each kind of route has a type of its own for its backends, all the same but
/// for the filters.
macro_rules! distributions {
    ($($module:ident)*) => {$(
        impl Distribution for outbound::$module::Distribution {
            fn text(&self) -> String {
                use outbound::$module::{RouteBackend, distribution::Kind};

                let route_backend = |backend: &RouteBackend| {
                    let mut text = backend.backend.as_ref().map_or_else(not_set, self::text);
                    if !backend.filters.is_empty() {
                        text.push_str(&format!(" ({})", filter::text(&backend.filters)));
                    }
                    text
                };
                match &self.kind {
                    None => not_set(),
                    Some(Kind::Empty(_)) => "none".to_owned(),
                    Some(Kind::FirstAvailable(first)) => {
                        let backends = first.backends.iter().map(route_backend);
                        backends.collect::<Vec<_>>().join(", else ")
                    }
                    Some(Kind::RandomAvailable(random)) => {
                        let backends = random.backends.iter().map(|weighted| {
                            let text = weighted.backend.as_ref().map_or_else(not_set, route_backend);
                            // The weight of an only one does not matter.
                            match random.backends.len() {
                                1 => text,
                                _ => format!("{} x {text}", weighted.weight),
                            }
                        });
                        backends.collect::<Vec<_>>().join(", ")
                    }
                }
            }
        }
    )*};
}

distributions! { http_route grpc_route opaque_route tls_route }

fn not_set() -> String {
    "not set".to_owned()
}

fn text(backend: &Backend) -> String {
    let metadata = || backend.metadata.as_ref().map(resource).unwrap_or_default();
    match &backend.kind {
        None => format!("{}, which cannot be called", metadata()),
        Some(Kind::Forward(endpoint)) => {
            let addr = endpoint
                .addr
                .and_then(|addr| SocketAddr::try_from(addr).ok());
            addr.map_or_else(not_set, |addr| addr.to_string())
        }
        Some(Kind::Balancer(balancer)) => {
            let discovery = balancer.discovery.as_ref();
            match discovery.and_then(|discovery| discovery.kind.as_ref()) {
                Some(endpoint_discovery::Kind::Dst(dst)) => dst.path.clone(),
                None => format!("{}, whose endpoints are not said", metadata()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::{
        destination::WeightedAddr,
        http_route::HttpFailureInjector,
        meta::{Metadata, metadata},
        outbound::{
            backend::{BalanceP2c, EndpointDiscovery, endpoint_discovery::DestinationGet},
            http_route::{
                self, Filter, RouteBackend, WeightedRouteBackend,
                distribution::{Empty, FirstAvailable, Kind as Way, RandomAvailable},
            },
        },
    };

    fn backend(kind: Option<Kind>) -> RouteBackend {
        RouteBackend {
            backend: Some(Backend {
                metadata: Some(Metadata {
                    kind: Some(metadata::Kind::Default("invalid".into())),
                }),
                kind,
                ..Backend::default()
            }),
            ..RouteBackend::default()
        }
    }

    fn balancer(path: &str) -> RouteBackend {
        backend(Some(Kind::Balancer(BalanceP2c {
            discovery: Some(EndpointDiscovery {
                kind: Some(endpoint_discovery::Kind::Dst(DestinationGet {
                    path: path.into(),
                })),
            }),
            ..BalanceP2c::default()
        })))
    }

    fn words(kind: Way) -> String {
        http_route::Distribution { kind: Some(kind) }.text()
    }

    #[test]
    fn a_backend_is_what_it_is_called_by() {
        let forward = backend(Some(Kind::Forward(WeightedAddr {
            addr: Some(SocketAddr::from(([10, 0, 0, 1], 80)).into()),
            ..WeightedAddr::default()
        })));
        let mut missing = backend(None);
        missing.filters = vec![Filter {
            kind: Some(http_route::filter::Kind::FailureInjector(
                HttpFailureInjector {
                    status: 500,
                    message: "Service not found web".into(),
                    ratio: None,
                },
            )),
        }];
        let first = |backends| words(Way::FirstAvailable(FirstAvailable { backends }));
        assert_eq!(
            first(vec![balancer("web:80"), forward]),
            "web:80, else 10.0.0.1:80"
        );
        assert_eq!(
            first(vec![missing]),
            "invalid, which cannot be called (fails with 500 \"Service not found web\")"
        );
        assert_eq!(words(Way::Empty(Empty {})), "none");
    }

    #[test]
    fn weights_are_told_where_there_is_a_choice() {
        let random = |weights: &[u32]| {
            let backends = weights.iter().map(|&weight| WeightedRouteBackend {
                backend: Some(balancer("web:80")),
                weight,
            });
            words(Way::RandomAvailable(RandomAvailable {
                backends: backends.collect(),
            }))
        };
        assert_eq!(random(&[1]), "web:80");
        assert_eq!(random(&[9, 1]), "9 x web:80, 1 x web:80");
    }
}
