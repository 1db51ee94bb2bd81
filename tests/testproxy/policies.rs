//! Policies that a proxy can use.

use ferrule_proto::{
    inbound::{
        Authn, Authz, Network, ProxyProtocol, Server, authn,
        proxy_protocol::{Detect, Kind},
    },
    meta::{Metadata, Resource, metadata},
    net::IpNetwork,
    outbound::{
        self, Backend, HttpRoute, OpaqueRoute, OutboundPolicy, Queue,
        backend::{
            BalanceP2c, EndpointDiscovery,
            balance_p2c::{Load, PeakEwma},
            endpoint_discovery::{DestinationGet, Kind as Discovery},
        },
        http_route, opaque_route,
    },
};
use std::{collections::BTreeMap, net::IpAddr};

/// `all-unauthenticated`.
pub(crate) fn inbound() -> Server {
    let any = IpNetwork {
        ip: Some(IpAddr::from([0, 0, 0, 0]).into()),
        prefix_len: 0,
    };
    let permit = authn::Permit::Unauthenticated(authn::PermitUnauthenticated {});
    Server {
        protocol: Some(ProxyProtocol {
            kind: Some(Kind::Detect(Detect {
                timeout: Some(seconds(10)),
                ..Detect::default()
            })),
        }),
        authorizations: vec![Authz {
            networks: vec![Network {
                net: Some(any),
                except: vec![],
            }],
            authentication: Some(Authn {
                permit: Some(permit),
            }),
            metadata: Some(default("all-unauthenticated")),
            ..Authz::default()
        }],
        labels: BTreeMap::from([
            ("group".into(), String::new()),
            ("kind".into(), "default".into()),
            ("name".into(), "all-unauthenticated".into()),
        ]),
        ..Server::default()
    }
}

/// Of a Service without routes.
pub(crate) fn outbound(authority: &str) -> OutboundPolicy {
    let http = vec![HttpRoute {
        metadata: Some(default("http")),
        rules: vec![http_route::Rule {
            backends: Some(http_route::Distribution {
                kind: Some(http_route::distribution::Kind::FirstAvailable(
                    http_route::distribution::FirstAvailable {
                        backends: vec![http_route::RouteBackend {
                            backend: Some(balancer(authority)),
                            ..Default::default()
                        }],
                    },
                )),
            }),
            ..Default::default()
        }],
        ..Default::default()
    }];
    let opaque = vec![OpaqueRoute {
        metadata: Some(default("opaq")),
        rules: vec![opaque_route::Rule {
            backends: Some(opaque_route::Distribution {
                kind: Some(opaque_route::distribution::Kind::RandomAvailable(
                    opaque_route::distribution::RandomAvailable {
                        backends: vec![opaque_route::WeightedRouteBackend {
                            backend: Some(opaque_route::RouteBackend {
                                backend: Some(balancer(authority)),
                                filters: vec![],
                            }),
                            weight: 1,
                        }],
                    },
                )),
            }),
            filters: vec![],
        }],
    }];
    let detect = outbound::proxy_protocol::Detect {
        timeout: Some(seconds(10)),
        opaque: Some(outbound::proxy_protocol::Opaque { routes: opaque }),
        http1: Some(outbound::proxy_protocol::Http1 {
            routes: http.clone(),
            failure_accrual: None,
        }),
        http2: Some(outbound::proxy_protocol::Http2 {
            routes: http,
            failure_accrual: None,
        }),
    };
    OutboundPolicy {
        metadata: Some(service()),
        protocol: Some(outbound::ProxyProtocol {
            kind: Some(outbound::proxy_protocol::Kind::Detect(detect)),
        }),
    }
}

fn balancer(authority: &str) -> Backend {
    Backend {
        metadata: Some(service()),
        queue: Some(Queue {
            capacity: 100,
            failfast_timeout: Some(seconds(3)),
        }),
        kind: Some(outbound::backend::Kind::Balancer(BalanceP2c {
            discovery: Some(EndpointDiscovery {
                kind: Some(Discovery::Dst(DestinationGet {
                    path: authority.into(),
                })),
            }),
            load: Some(Load::PeakEwma(PeakEwma {
                default_rtt: Some(seconds(1)),
                decay: Some(seconds(10)),
            })),
        })),
    }
}

pub(crate) fn default(name: &str) -> Metadata {
    Metadata {
        kind: Some(metadata::Kind::Default(name.into())),
    }
}

fn service() -> Metadata {
    let service = Resource {
        group: "core".into(),
        kind: "Service".into(),
        name: "web".into(),
        namespace: "shop".into(),
        section: String::new(),
        port: 80,
    };
    Metadata {
        kind: Some(metadata::Kind::Resource(service)),
    }
}

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}
