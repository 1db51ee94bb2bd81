//! Kinds of routes on the wire. The messages of each kind are types of their own
//! though they say the same; a kind is one file here.

mod grpc;
mod http;
mod opaque;
mod requests;
mod tls;

pub(super) use self::{
    grpc::Grpc,
    http::Http,
    opaque::Opaque,
    requests::{RequestWire, RuleParts, Terms},
    tls::Tls,
};

use ferrule_cluster::object::route::Filter;
use ferrule_proto::outbound::Backend;

/// A kind of route.
pub(super) trait Wire: Sized {
    type Filter;
    type Distribution;
    type Rule;

    /// Whether where a rule leads may be told of the parent's failing endpoints.
    const PENALIZES: bool;

    /// Fails all that comes there.
    fn failure(message: String) -> Self::Filter;

    /// What proxies can do of it for this kind.
    fn filters(filters: &[Filter]) -> Vec<Self::Filter>;

    /// Nowhere.
    fn nowhere() -> Self::Distribution;

    /// There.
    fn first(backend: RouteBackend<Self>) -> Self::Distribution;

    /// To any of these, by weight.
    fn random(backends: Vec<(u32, RouteBackend<Self>)>) -> Self::Distribution;
}

/// Where a rule leads, and what is done to what goes there.
pub(super) struct RouteBackend<W: Wire> {
    pub(super) backend: Backend,
    pub(super) filters: Vec<W::Filter>,
}

impl<W: Wire> From<Backend> for RouteBackend<W> {
    fn from(backend: Backend) -> Self {
        Self {
            backend,
            filters: Vec::new(),
        }
    }
}

/// The part of [`Wire`] that is alike but for the types.
macro_rules! distributions {
    ($kind:ident) => {
        type Filter = $kind::Filter;
        type Distribution = $kind::Distribution;
        type Rule = $kind::Rule;

        fn nowhere() -> $kind::Distribution {
            use $kind::distribution::{Empty, Kind};
            $kind::Distribution {
                kind: Some(Kind::Empty(Empty {})),
            }
        }

        fn first(backend: $crate::outbound::wire::RouteBackend<Self>) -> $kind::Distribution {
            use $kind::distribution::{FirstAvailable, Kind};
            $kind::Distribution {
                kind: Some(Kind::FirstAvailable(FirstAvailable {
                    backends: vec![backend.into()],
                })),
            }
        }

        fn random(
            backends: Vec<(u32, $crate::outbound::wire::RouteBackend<Self>)>,
        ) -> $kind::Distribution {
            use $kind::{
                WeightedRouteBackend,
                distribution::{Kind, RandomAvailable},
            };
            let backends = backends.into_iter();
            let backends = backends.map(|(weight, backend)| WeightedRouteBackend {
                backend: Some(backend.into()),
                weight,
            });
            $kind::Distribution {
                kind: Some(Kind::RandomAvailable(RandomAvailable {
                    backends: backends.collect(),
                })),
            }
        }
    };
}

use distributions;
