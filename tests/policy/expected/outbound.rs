//! The policy of a target.

use super::{default, object, prefix, wire};
use crate::world::World;
use ferrule_proto::{
    destination::WeightedAddr,
    http_route::{HttpFailureInjector, HttpRouteMatch, Timeouts},
    meta::Metadata,
    opaque_route::Forbidden,
    outbound::{
        Backend, FailureAccrual, GrpcRoute, HttpRoute, OpaqueRoute, OutboundPolicy, ProxyProtocol,
        Queue, TlsRoute,
        backend::{
            self, BalanceP2c, EndpointDiscovery,
            balance_p2c::{Load, PeakEwma},
            endpoint_discovery::{self, DestinationGet},
        },
        grpc_route, http_route, opaque_route,
        proxy_protocol::{Detect, Grpc, Http1, Http2, Kind, Opaque, Tls},
        tls_route,
    },
};
use prost_types::Duration;
use std::net::SocketAddr;

pub(crate) const POLICY_HTTP: &str = "HTTPRoute.policy.linkerd.io";
pub(crate) const GATEWAY_HTTP: &str = "HTTPRoute.gateway.networking.k8s.io";
pub(crate) const GATEWAY_GRPC: &str = "GRPCRoute.gateway.networking.k8s.io";
pub(crate) const GATEWAY_TLS: &str = "TLSRoute.gateway.networking.k8s.io";
pub(crate) const GATEWAY_TCP: &str = "TCPRoute.gateway.networking.k8s.io";
pub(crate) const EGRESS: &str = "EgressNetwork.policy.linkerd.io";

pub(crate) fn milliseconds(all: i64) -> Duration {
    Duration {
        seconds: all / 1000,
        nanos: i32::try_from(all % 1000 * 1_000_000).expect("below a second"),
    }
}

pub(crate) fn seconds(seconds: i64) -> Duration {
    milliseconds(seconds * 1000)
}

fn policy(metadata: Option<Metadata>, kind: Kind) -> OutboundPolicy {
    OutboundPolicy {
        metadata,
        protocol: Some(ProxyProtocol { kind: Some(kind) }),
    }
}

/// A backend that has this kind.
pub(crate) fn backend(metadata: Option<Metadata>, kind: Option<backend::Kind>) -> Backend {
    Backend {
        metadata,
        queue: Some(Queue {
            capacity: 100,
            failfast_timeout: Some(seconds(3)),
        }),
        kind,
    }
}

/// An address that is forwarded to by this name.
pub(crate) fn forward(metadata: Option<Metadata>, addr: &str) -> Backend {
    forward_weighted(metadata, addr, 1)
}

pub(crate) fn forward_weighted(metadata: Option<Metadata>, addr: &str, weight: u32) -> Backend {
    let addr: SocketAddr = addr.parse().expect("an address and a port");
    let forward = WeightedAddr {
        addr: Some(addr.into()),
        weight,
        ..WeightedAddr::default()
    };
    backend(metadata, Some(backend::Kind::Forward(forward)))
}

/// Latencies and nothing else.
fn plain_load() -> Load {
    Load::PeakEwma(PeakEwma {
        default_rtt: Some(milliseconds(30)),
        decay: Some(seconds(10)),
    })
}

impl World {
    /// A port of a Service in this namespace.
    pub(crate) fn balancer(&self, service: &str, port: u32) -> Backend {
        self.balancer_of(self.namespace(), service, port)
    }

    pub(crate) fn balancer_of(&self, namespace: &str, service: &str, port: u32) -> Backend {
        balancer(namespace, service, port, plain_load())
    }

    /// The policy of a port of a Service.
    pub(crate) fn service(&self, name: &str, port: u32, kind: Kind) -> OutboundPolicy {
        let metadata = object("Service.core", self.namespace(), name, port);
        policy(metadata, kind)
    }

    /// The same where nothing is said of it.
    pub(crate) fn plain(&self, name: &str, port: u32) -> OutboundPolicy {
        let http = default_http(self.balancer(name, port));
        self.routed(name, port, vec![http])
    }

    /// The same with these routes of HTTP.
    pub(crate) fn routed(&self, name: &str, port: u32, http: Vec<HttpRoute>) -> OutboundPolicy {
        self.breaking(name, port, http, None)
    }

    /// The same, with a breaker.
    pub(crate) fn breaking(
        &self,
        name: &str,
        port: u32,
        http: Vec<HttpRoute>,
        accrual: Option<FailureAccrual>,
    ) -> OutboundPolicy {
        let opaque = default_opaque(self.balancer(name, port));
        self.service(name, port, detecting(http, opaque, accrual))
    }

    /// The policy of a port that a Service has not.
    pub(crate) fn undefined(&self, name: &str, port: u32) -> OutboundPolicy {
        let nowhere = opaque_route::Distribution {
            kind: Some(opaque_route::distribution::Kind::Empty(
                opaque_route::distribution::Empty {},
            )),
        };
        let route = opaque_rule(default("undefined-port"), Some(nowhere), true);
        self.service(name, port, opaque_only(route))
    }

    /// A route of this namespace: `HTTPRoute.policy.linkerd.io`.
    pub(crate) fn route(&self, kind: &str, name: &str, rules: Vec<http_route::Rule>) -> HttpRoute {
        HttpRoute {
            metadata: object(kind, self.namespace(), name, 0),
            hosts: vec![],
            rules,
        }
    }

    /// A route of all requests to one backend of weight 1.
    pub(crate) fn route_to(&self, name: &str, to: Backend) -> HttpRoute {
        let to = wire::http_route::any([(1, to, vec![])]);
        self.route(POLICY_HTTP, name, vec![http_rule(vec![prefix("/")], to)])
    }

    pub(crate) fn grpc_route(&self, name: &str, to: Backend) -> GrpcRoute {
        let to = wire::grpc_route::any([(1, to, vec![])]);
        GrpcRoute {
            metadata: object(GATEWAY_GRPC, self.namespace(), name, 0),
            hosts: vec![],
            rules: vec![grpc_rule(to)],
        }
    }

    pub(crate) fn opaque_route(&self, name: &str, to: Backend) -> OpaqueRoute {
        let to = wire::opaque_route::any([(1, to, vec![])]);
        opaque_rule(object(GATEWAY_TCP, self.namespace(), name, 0), to, false)
    }

    pub(crate) fn tls_route(&self, name: &str, host: &str, to: Backend) -> TlsRoute {
        use ferrule_proto::tls_route::{SniMatch, sni_match};
        TlsRoute {
            metadata: object(GATEWAY_TLS, self.namespace(), name, 0),
            snis: vec![SniMatch {
                r#match: Some(sni_match::Match::Exact(host.into())),
            }],
            rules: vec![tls_route::Rule {
                backends: wire::tls_route::any([(1, to, vec![])]),
                filters: vec![],
            }],
        }
    }

    /// The backend that is an EgressNetwork of this namespace.
    pub(crate) fn outside(&self, name: &str, addr: &str) -> Backend {
        outside_of(self.namespace(), name, &self.fill(addr))
    }

    /// The policy of an address of an EgressNetwork of this namespace, with routes
    /// before its own.
    pub(crate) fn egress(
        &self,
        name: &str,
        addr: &str,
        allows: bool,
        routes: Vec<HttpRoute>,
    ) -> OutboundPolicy {
        egress_of(self.namespace(), name, &self.fill(addr), allows, routes)
    }

    /// The same of a protocol of its own.
    pub(crate) fn egress_as(&self, name: &str, port: u32, kind: Kind) -> OutboundPolicy {
        policy(object(EGRESS, self.namespace(), name, port), kind)
    }
}

fn balancer(namespace: &str, service: &str, port: u32, load: Load) -> Backend {
    let path = format!("{service}.{namespace}.svc.cluster.local:{port}");
    let balancer = BalanceP2c {
        discovery: Some(EndpointDiscovery {
            kind: Some(endpoint_discovery::Kind::Dst(DestinationGet { path })),
        }),
        load: Some(load),
    };
    let metadata = object("Service.core", namespace, service, port);
    backend(metadata, Some(backend::Kind::Balancer(balancer)))
}

/// The same backend, with other load.
pub(crate) fn loaded(load: Load, mut to: Backend) -> Backend {
    if let Some(backend::Kind::Balancer(balancer)) = &mut to.kind {
        balancer.load = Some(load);
    }
    to
}

/// What leads nowhere, and the filter that says why.
pub(crate) fn failing(
    metadata: Option<Metadata>,
    message: &str,
) -> (Backend, Vec<http_route::Filter>) {
    (backend(metadata, None), vec![answer(500, message)])
}

pub(crate) fn answer(status: u32, message: &str) -> http_route::Filter {
    http_route::Filter {
        kind: Some(http_route::filter::Kind::FailureInjector(
            HttpFailureInjector {
                status,
                message: message.into(),
                ratio: None,
            },
        )),
    }
}

pub(crate) fn http_rule(
    matches: Vec<HttpRouteMatch>,
    backends: Option<http_route::Distribution>,
) -> http_route::Rule {
    http_route::Rule {
        matches,
        backends,
        timeouts: Some(Timeouts::default()),
        ..http_route::Rule::default()
    }
}

/// Of all calls.
pub(crate) fn grpc_rule(backends: Option<grpc_route::Distribution>) -> grpc_route::Rule {
    grpc_route::Rule {
        backends,
        timeouts: Some(Timeouts::default()),
        ..grpc_route::Rule::default()
    }
}

fn opaque_rule(
    metadata: Option<Metadata>,
    backends: Option<opaque_route::Distribution>,
    is_forbidden: bool,
) -> OpaqueRoute {
    let forbidden = opaque_route::Filter {
        kind: Some(opaque_route::filter::Kind::Forbidden(Forbidden {})),
    };
    let filters = is_forbidden.then_some(forbidden);
    OpaqueRoute {
        metadata,
        rules: vec![opaque_route::Rule {
            backends,
            filters: filters.into_iter().collect(),
        }],
    }
}

/// The route of a Service that has none.
pub(crate) fn default_http(to: Backend) -> HttpRoute {
    default_http_as("http", to)
}

fn default_http_as(name: &str, to: Backend) -> HttpRoute {
    let rule = http_rule(vec![prefix("/")], wire::http_route::first(to));
    HttpRoute {
        metadata: default(name),
        hosts: vec![],
        rules: vec![rule],
    }
}

pub(crate) fn default_opaque(to: Backend) -> OpaqueRoute {
    let to = wire::opaque_route::first(to);
    opaque_rule(default("opaq"), to, false)
}

pub(crate) fn detecting(
    http: Vec<HttpRoute>,
    opaque: OpaqueRoute,
    accrual: Option<FailureAccrual>,
) -> Kind {
    Kind::Detect(Detect {
        timeout: Some(seconds(10)),
        opaque: Some(Opaque {
            routes: vec![opaque],
        }),
        http1: Some(Http1 {
            routes: http.clone(),
            failure_accrual: accrual,
        }),
        http2: Some(Http2 {
            routes: http,
            failure_accrual: accrual,
        }),
    })
}

pub(crate) fn http1_only(routes: Vec<HttpRoute>) -> Kind {
    Kind::Http1(Http1 {
        routes,
        failure_accrual: None,
    })
}

pub(crate) fn http2_only(routes: Vec<HttpRoute>) -> Kind {
    Kind::Http2(Http2 {
        routes,
        failure_accrual: None,
    })
}

pub(crate) fn grpc_only(routes: Vec<GrpcRoute>) -> Kind {
    Kind::Grpc(Grpc {
        routes,
        failure_accrual: None,
    })
}

pub(crate) fn tls_only(routes: Vec<TlsRoute>) -> Kind {
    Kind::Tls(Tls { routes })
}

pub(crate) fn opaque_only(route: OpaqueRoute) -> Kind {
    Kind::Opaque(Opaque {
        routes: vec![route],
    })
}

/// The policy of an address that is nobody's.
pub(crate) fn fallback(addr: &str) -> OutboundPolicy {
    const NAME: &str = "egress-fallback";
    let to = || forward(default(NAME), addr);
    // Matches all without looking at paths.
    let rule = http_route::Rule {
        timeouts: None,
        ..http_rule(
            vec![HttpRouteMatch::default()],
            wire::http_route::first(to()),
        )
    };
    let http = HttpRoute {
        metadata: default(NAME),
        hosts: vec![],
        rules: vec![rule],
    };
    let opaque = opaque_rule(default(NAME), wire::opaque_route::first(to()), false);
    policy(default(NAME), detecting(vec![http], opaque, None))
}

fn outside_of(namespace: &str, name: &str, addr: &str) -> Backend {
    forward(object(EGRESS, namespace, name, port_of(addr)), addr)
}

fn port_of(addr: &str) -> u32 {
    let addr: SocketAddr = addr.parse().expect("an address and a port");
    addr.port().into()
}

/// The policy of an address of an EgressNetwork, with routes before its own.
pub(crate) fn egress_of(
    namespace: &str,
    name: &str,
    addr: &str,
    allows: bool,
    mut routes: Vec<HttpRoute>,
) -> OutboundPolicy {
    let to = outside_of(namespace, name, addr);
    routes.push(egress_http(to.clone(), allows));
    let kind = detecting(routes, egress_opaque(to, allows), None);
    policy(object(EGRESS, namespace, name, port_of(addr)), kind)
}

fn egress_http(to: Backend, allows: bool) -> HttpRoute {
    if allows {
        return default_http_as("http-egress-allow", to);
    }
    let mut route = default_http_as("http-egress-deny", to);
    route.rules[0].filters = vec![answer(403, "traffic not allowed")];
    route
}

/// The opaque route of an EgressNetwork that has none.
pub(crate) fn egress_opaque(to: Backend, allows: bool) -> OpaqueRoute {
    let name = if allows {
        "tcp-egress-allow"
    } else {
        "tcp-egress-deny"
    };
    opaque_rule(default(name), wire::opaque_route::first(to), !allows)
}

/// The last route of calls to an EgressNetwork that denies.
pub(crate) fn egress_grpc_deny(to: Backend) -> GrpcRoute {
    use ferrule_proto::grpc_route::GrpcFailureInjector;
    let failure = GrpcFailureInjector {
        code: 7,
        message: "traffic not allowed".into(),
        ratio: None,
    };
    let mut rule = grpc_rule(wire::grpc_route::first(to));
    rule.filters = vec![grpc_route::Filter {
        kind: Some(grpc_route::filter::Kind::FailureInjector(failure)),
    }];
    GrpcRoute {
        metadata: default("grpc-egress-deny"),
        hosts: vec![],
        rules: vec![rule],
    }
}

/// The last route of TLS to an EgressNetwork that denies.
pub(crate) fn egress_tls_deny(to: Backend) -> TlsRoute {
    TlsRoute {
        metadata: default("tls-egress-deny"),
        snis: vec![],
        rules: vec![tls_route::Rule {
            backends: wire::tls_route::first(to),
            filters: vec![tls_route::Filter {
                kind: Some(tls_route::filter::Kind::Forbidden(Forbidden {})),
            }],
        }],
    }
}
