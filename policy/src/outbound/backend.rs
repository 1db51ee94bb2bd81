//! Where connections and requests may go (policy.md section 6.7).

use super::duration::duration;
use ferrule_cluster::object::{ObjectKey, traffic::LoadBias};
use ferrule_proto::{
    destination::WeightedAddr,
    meta::Metadata,
    outbound::{
        Backend, Queue,
        backend::{
            BalanceP2c, EndpointDiscovery, Kind,
            balance_p2c::{Load, PeakEwma, PenaltyPeakEwma},
            endpoint_discovery::{self, DestinationGet},
        },
    },
};
use prost_types::Duration;
use std::net::SocketAddr;

/// What an endpoint's round trip is taken to be before one was measured.
const DEFAULT_RTT: Duration = Duration {
    seconds: 0,
    nanos: 30_000_000,
};

/// How fast measurements, and failures, are forgotten.
const DECAY: Duration = Duration {
    seconds: 10,
    nanos: 0,
};

/// Required, though proxies go by settings of their own.
const QUEUE: Queue = Queue {
    capacity: 100,
    failfast_timeout: Some(Duration {
        seconds: 3,
        nanos: 0,
    }),
};

/// How proxies tell which endpoint has least to do; with a bias those that fail
/// are taken to have more.
pub(super) fn load(bias: Option<&LoadBias>) -> Load {
    match bias {
        None => Load::PeakEwma(PeakEwma {
            default_rtt: Some(DEFAULT_RTT),
            decay: Some(DECAY),
        }),
        Some(bias) => Load::PenaltyPeakEwma(PenaltyPeakEwma {
            default_rtt: Some(DEFAULT_RTT),
            decay: Some(DECAY),
            penalty: Some(duration(bias.penalty)),
            max_retry_after: Some(duration(bias.max_retry_after)),
            penalty_decay: Some(DECAY),
        }),
    }
}

/// To the endpoints of a Service.
pub(super) fn balance(key: &ObjectKey, port: u16, cluster_domain: &str, load: Load) -> Kind {
    let ObjectKey { namespace, name } = key;
    let path = format!("{name}.{namespace}.svc.{cluster_domain}:{port}");
    Kind::Balancer(BalanceP2c {
        discovery: Some(EndpointDiscovery {
            kind: Some(endpoint_discovery::Kind::Dst(DestinationGet { path })),
        }),
        load: Some(load),
    })
}

/// To one address, whose port is not 0: a proxy panics on that.
pub(super) fn forward(addr: SocketAddr, weight: u32) -> Kind {
    Kind::Forward(WeightedAddr {
        addr: Some(addr.into()),
        weight,
        ..WeightedAddr::default()
    })
}

/// A backend; one without a kind is for what cannot go anywhere.
pub(super) fn backend(metadata: Metadata, kind: Option<Kind>) -> Backend {
    Backend {
        metadata: Some(metadata),
        queue: Some(QUEUE),
        kind,
    }
}
