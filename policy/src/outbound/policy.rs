//! A target's whole policy.

use super::{backend, route};
use crate::metadata;
use ferrule_cluster::object::{ObjectKey, PortProtocol};
use ferrule_proto::outbound::{
    HttpRoute, OpaqueRoute, OutboundPolicy, ProxyProtocol,
    proxy_protocol::{Detect, Http1, Http2, Kind, Opaque},
};
use prost_types::Duration;
use std::net::SocketAddr;

/// Required, though proxies go by a setting of their own.
const DETECT_TIMEOUT: Duration = Duration {
    seconds: 10,
    nanos: 0,
};

/// The policy of a Service that no route is attached to (policy.md section 6.10).
pub(super) fn service(
    service: &ObjectKey,
    port: u16,
    protocol: PortProtocol,
    cluster_domain: &str,
) -> OutboundPolicy {
    let backend = || backend::service(service, port, cluster_domain);
    let http = || route::http(backend());
    let kind = match protocol {
        PortProtocol::Detect => detect(route::opaque("opaq", backend()), http()),
        PortProtocol::Http1 => Kind::Http1(http1(http())),
        // Who says `grpc` wants its calls balanced. The profile is not opaque
        // (ruling 2), and without GRPCRoutes the plain HTTP/2 route carries every
        // call; a list of gRPC routes would have to name them.
        PortProtocol::Http2 | PortProtocol::Grpc => Kind::Http2(http2(http())),
        PortProtocol::Opaque => Kind::Opaque(opaque(route::opaque("opaq", backend()))),
    };
    OutboundPolicy {
        protocol: Some(ProxyProtocol { kind: Some(kind) }),
        metadata: Some(metadata::service(service, port)),
    }
}

/// The policy of a Service's address with a port that it does not declare: all
/// is refused (section 6.3).
pub(super) fn undefined_port(service: &ObjectKey, port: u16) -> OutboundPolicy {
    let kind = Kind::Opaque(opaque(route::forbidden("undefined-port")));
    OutboundPolicy {
        protocol: Some(ProxyProtocol { kind: Some(kind) }),
        metadata: Some(metadata::service(service, port)),
    }
}

/// The policy of an address outside of the cluster: it is forwarded to (section
/// 6.4).
pub(super) fn external(addr: SocketAddr) -> OutboundPolicy {
    const NAME: &str = "egress-fallback";
    let backend = || backend::forward(NAME, addr);
    let kind = detect(
        route::opaque(NAME, backend()),
        route::any_http(NAME, backend()),
    );
    OutboundPolicy {
        protocol: Some(ProxyProtocol { kind: Some(kind) }),
        metadata: Some(metadata::default(NAME)),
    }
}

fn detect(tcp: OpaqueRoute, http: HttpRoute) -> Kind {
    Kind::Detect(Detect {
        timeout: Some(DETECT_TIMEOUT),
        opaque: Some(opaque(tcp)),
        http1: Some(http1(http.clone())),
        http2: Some(http2(http)),
    })
}

fn opaque(route: OpaqueRoute) -> Opaque {
    Opaque {
        routes: vec![route],
    }
}

fn http1(route: HttpRoute) -> Http1 {
    Http1 {
        routes: vec![route],
        failure_accrual: None,
    }
}

fn http2(route: HttpRoute) -> Http2 {
    Http2 {
        routes: vec![route],
        failure_accrual: None,
    }
}
