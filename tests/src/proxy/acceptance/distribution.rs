//! Where routes lead.

use super::{Accepted, Invalid, Within as _, complete, duration, each, required, there};
use crate::proxy::address::is_name;
use ferrule_proto::{
    destination::WeightedAddr,
    outbound::{
        Backend, Queue,
        backend::{
            BalanceP2c, EndpointDiscovery, Kind,
            balance_p2c::{Load, PeakEwma, PenaltyPeakEwma},
            endpoint_discovery,
        },
    },
};
use std::net::SocketAddr;

/// The four families of routes distribute alike, over types of their own: the
/// backends of a distribution, checked.
macro_rules! distribution {
    ($(#[$doc:meta])* $family:ident, $filter:path) => {
        $(#[$doc])*
        pub(super) fn $family(
            distribution: Option<&ferrule_proto::outbound::$family::Distribution>,
        ) -> Result<Vec<&Backend>, Invalid> {
            use ferrule_proto::outbound::$family::distribution::Kind;
            let kind = distribution.and_then(|one| one.kind.as_ref());
            let backends: Vec<_> = match there("backends", kind)? {
                Kind::Empty(_) => return Ok(Vec::new()),
                Kind::FirstAvailable(first) => first.backends.iter().map(Some).collect(),
                Kind::RandomAvailable(random) => {
                    weights(random.backends.iter().map(|one| one.weight)).within("backends")?;
                    random.backends.iter().map(|one| one.backend.as_ref()).collect()
                }
            };
            if backends.is_empty() {
                return Err(Invalid::new("empty")).within("backends");
            }
            each("backends", &backends, |one| {
                let one = one.ok_or_else(|| Invalid::new("missing"))?;
                required("backend", one.backend.as_ref(), backend)?;
                each("filters", &one.filters, $filter)
            })?;
            Ok(backends.iter().filter_map(|one| one.as_ref()?.backend.as_ref()).collect())
        }
    };
}

distribution!(http_route, super::outbound::http_filter);
distribution!(grpc_route, super::outbound::grpc_filter);
distribution!(opaque_route, super::outbound::opaque_filter);
distribution!(tls_route, super::outbound::tls_filter);

/// A proxy dies of weights of several backends that are all zero, or too many.
fn weights(weights: impl ExactSizeIterator<Item = u32>) -> Accepted {
    if weights.len() < 2 {
        return Ok(());
    }
    let sum: u64 = weights.map(u64::from).sum();
    if (1..=u64::from(u32::MAX)).contains(&sum) {
        Ok(())
    } else {
        Err(Invalid::new(format!("weights come to {sum}")))
    }
}

fn backend(backend: &Backend) -> Accepted {
    required("metadata", backend.metadata.as_ref(), complete)?;
    required("queue", backend.queue.as_ref(), |queue: &Queue| {
        required(
            "failfast_timeout",
            queue.failfast_timeout.as_ref(),
            duration,
        )
    })?;
    match &backend.kind {
        // Every request fails then, and that may be what is meant.
        None => Ok(()),
        Some(Kind::Forward(endpoint)) => forward(endpoint).within("forward"),
        Some(Kind::Balancer(balancer)) => balance(balancer).within("balancer"),
    }
}

fn forward(endpoint: &WeightedAddr) -> Accepted {
    let addr = endpoint.addr.map(SocketAddr::try_from);
    match addr {
        None => Err(Invalid::new("no addr")),
        Some(Err(error)) => Err(Invalid::new(error.to_string())),
        Some(Ok(addr)) if addr.port() == 0 => Err(Invalid::new("port 0")),
        Some(Ok(_)) => Ok(()),
    }
}

fn balance(balancer: &BalanceP2c) -> Accepted {
    required("discovery", balancer.discovery.as_ref(), discovery)?;
    required("load", balancer.load.as_ref(), |load| match load {
        Load::PeakEwma(PeakEwma { default_rtt, decay }) => {
            required("default_rtt", default_rtt.as_ref(), duration)?;
            required("decay", decay.as_ref(), duration)
        }
        Load::PenaltyPeakEwma(load) => penalty(load),
    })
}

fn penalty(load: &PenaltyPeakEwma) -> Accepted {
    let PenaltyPeakEwma {
        default_rtt,
        decay,
        penalty,
        max_retry_after,
        penalty_decay,
    } = load;
    let times = [default_rtt, decay, penalty, max_retry_after, penalty_decay];
    times.into_iter().flatten().try_for_each(duration)
}

fn discovery(discovery: &EndpointDiscovery) -> Accepted {
    let Some(endpoint_discovery::Kind::Dst(dst)) = &discovery.kind else {
        return Err(Invalid::new("no kind is set"));
    };
    // Anything else kills the proxy's task.
    let is_authority = dst.path.rsplit_once(':').is_some_and(|(name, port)| {
        let last = name.trim_end_matches('.').rsplit('.').next();
        let numeric = last.is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        is_name(name) && !numeric && port.parse::<u16>().is_ok()
    });
    if is_authority {
        Ok(())
    } else {
        Err(Invalid::new(format!("{:?} is not NAME:PORT", dst.path))).within("dst.path")
    }
}
