//! Where routes lead (policy.md section 6.7).

use crate::metadata;
use ferrule_cluster::object::ObjectKey;
use ferrule_proto::{
    destination::WeightedAddr,
    meta::Metadata,
    outbound::{
        Backend, Queue,
        backend::{
            BalanceP2c, EndpointDiscovery, Kind,
            balance_p2c::{Load, PeakEwma},
            endpoint_discovery::{self, DestinationGet},
        },
    },
};
use prost_types::Duration;
use std::net::SocketAddr;

/// What an endpoint's round trip is taken to be before one was measured, and how
/// fast measurements are forgotten.
const PEAK_EWMA: PeakEwma = PeakEwma {
    default_rtt: Some(Duration {
        seconds: 0,
        nanos: 30_000_000,
    }),
    decay: Some(Duration {
        seconds: 10,
        nanos: 0,
    }),
};

/// Required, though proxies go by settings of their own.
const QUEUE: Queue = Queue {
    capacity: 100,
    failfast_timeout: Some(Duration {
        seconds: 3,
        nanos: 0,
    }),
};

/// The endpoints of a Service.
pub(super) fn service(key: &ObjectKey, port: u16, cluster_domain: &str) -> Backend {
    let ObjectKey { namespace, name } = key;
    let path = format!("{name}.{namespace}.svc.{cluster_domain}:{port}");
    let balancer = BalanceP2c {
        discovery: Some(EndpointDiscovery {
            kind: Some(endpoint_discovery::Kind::Dst(DestinationGet { path })),
        }),
        load: Some(Load::PeakEwma(PEAK_EWMA)),
    };
    backend(metadata::service(key, port), Kind::Balancer(balancer))
}

/// One address, whose port is not 0: a proxy panics on that.
pub(super) fn forward(name: &str, addr: SocketAddr) -> Backend {
    let forward = WeightedAddr {
        addr: Some(addr.into()),
        weight: 1,
        ..WeightedAddr::default()
    };
    backend(metadata::default(name), Kind::Forward(forward))
}

fn backend(metadata: Metadata, kind: Kind) -> Backend {
    Backend {
        metadata: Some(metadata),
        queue: Some(QUEUE),
        kind: Some(kind),
    }
}
