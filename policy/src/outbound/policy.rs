//! A target's whole policy: which of its routes count, and how what goes there is
//! read (policy.md section 6.10).

use super::{
    accrual, backend,
    parent::{Egress, Parent},
    wire::{Grpc, Http, Opaque, RequestWire, RuleParts, Terms, Tls, Wire},
};
use crate::{
    attachment::{self, Attached},
    metadata,
    route::matches,
};
use bytes::Bytes;
use ferrule_cluster::{
    object::{
        ObjectKey, PortProtocol,
        route::{Backend, GrpcMatch, HttpMatch, Requests, RouteKey, Rules},
        traffic::{GrpcCode, StatusCodes},
    },
    stream::HEADER_LEN,
};
use ferrule_proto::{
    http_route::HttpRouteMatch,
    meta::Metadata,
    outbound::{
        HttpRoute, OpaqueRoute, OutboundPolicy, ProxyProtocol, http_route,
        proxy_protocol::{self, Detect, Http1, Http2, Kind},
    },
};
use prost::Message as _;
use prost_types::Duration;
use rustc_hash::FxHashSet;
use std::net::SocketAddr;

/// Required, though proxies go by a setting of their own.
const DETECT_TIMEOUT: Duration = Duration {
    seconds: 10,
    nanos: 0,
};

/// What proxies are told where an EgressNetwork denies.
const DENIED: &str = "traffic not allowed";

/// gRPC's PERMISSION_DENIED.
const PERMISSION_DENIED: u32 = 7;

/// The routes of a parent that clients can be told of, by kind, in order.
#[derive(Default)]
struct Routes<'w> {
    grpc: Vec<(Attached<'w>, &'w Requests<GrpcMatch, GrpcCode>)>,
    http: Vec<(Attached<'w>, &'w Requests<HttpMatch, StatusCodes>)>,
    tls: Vec<(Attached<'w>, &'w [Backend])>,
    tcp: Vec<(Attached<'w>, &'w [Backend])>,
}

impl<'w> Routes<'w> {
    /// Those that count for clients of a namespace.
    fn of(parent: &Parent<'w>, client: &str) -> Self {
        let Parent {
            settings,
            world,
            key,
            port,
            ..
        } = parent;
        let mut routes = Self::default();
        for route in attachment::to_port(settings, world, key, *port, client) {
            match &route.spec.rules {
                Rules::Grpc(calls) if calls.settings.is_some() => routes.grpc.push((route, calls)),
                Rules::Http(requests) if requests.settings.is_some() => {
                    routes.http.push((route, requests));
                }
                // Its annotations cannot be read.
                Rules::Grpc(_) | Rules::Http(_) => {}
                Rules::Tls(backends) => routes.tls.push((route, backends)),
                Rules::Tcp(backends) => routes.tcp.push((route, backends)),
            }
        }
        routes
    }
}

/// The policy of a port of a Service or EgressNetwork, for clients of a
/// namespace.
pub(super) fn of_parent(parent: &Parent<'_>, client: &str) -> OutboundPolicy {
    let routes = Routes::of(parent, client);
    let http1 = || {
        Kind::Http1(Http1 {
            routes: http(parent, &routes),
            failure_accrual: accrual::message(parent.traffic),
        })
    };
    let http2 = || {
        Kind::Http2(Http2 {
            routes: http(parent, &routes),
            failure_accrual: accrual::message(parent.traffic),
        })
    };
    let kind = match parent.protocol {
        PortProtocol::Http1 => http1(),
        // Who says `grpc` wants its calls balanced; without GRPCRoutes the routes
        // of HTTP/2 carry every call.
        PortProtocol::Http2 | PortProtocol::Grpc => match routes.grpc.is_empty() {
            true => http2(),
            false => grpc(parent, &routes),
        },
        PortProtocol::Opaque => opaque(parent, &routes),
        PortProtocol::Detect => detected(parent, &routes),
    };
    policy(kind, parent.metadata())
}

/// Where nothing says what is spoken, the most specific kind of the routes does.
fn detected(parent: &Parent<'_>, routes: &Routes<'_>) -> Kind {
    let is_profile_opaque = parent.egress.is_some_and(|egress| egress.is_profile_opaque);
    if !routes.grpc.is_empty() && !is_profile_opaque {
        grpc(parent, routes)
    } else if !routes.http.is_empty() {
        detect(parent, routes)
    } else if !routes.tls.is_empty() && !is_profile_opaque {
        tls(parent, routes)
    } else if !routes.tcp.is_empty() {
        opaque(parent, routes)
    } else {
        detect(parent, routes)
    }
}

fn detect(parent: &Parent<'_>, routes: &Routes<'_>) -> Kind {
    let routes = http(parent, routes);
    let failure_accrual = accrual::message(parent.traffic);
    Kind::Detect(Detect {
        timeout: Some(DETECT_TIMEOUT),
        opaque: Some(proxy_protocol::Opaque {
            routes: vec![every_connection(parent)],
        }),
        http1: Some(Http1 {
            routes: routes.clone(),
            failure_accrual,
        }),
        http2: Some(Http2 {
            routes,
            failure_accrual,
        }),
    })
}

fn http(parent: &Parent<'_>, routes: &Routes<'_>) -> Vec<HttpRoute> {
    let told = routes.http.iter().map(|(route, requests)| {
        let metadata = metadata::route(route.key);
        Http::route(metadata, &route.spec.hosts, rules::<Http>(parent, requests))
    });
    let mut told: Vec<_> = told.collect();
    match parent.egress {
        Some(egress) => {
            let name = allows(&egress, "http-egress-allow", "http-egress-deny");
            let denied = Http::answer(403, DENIED.to_owned());
            told.push(every_request(parent, name, unless(&egress, denied)));
        }
        None if told.is_empty() => told.push(every_request(parent, "http", Vec::new())),
        None => {}
    }
    told
}

fn grpc(parent: &Parent<'_>, routes: &Routes<'_>) -> Kind {
    let told = routes.grpc.iter().map(|(route, calls)| {
        let metadata = metadata::route(route.key);
        Grpc::route(metadata, &route.spec.hosts, rules::<Grpc>(parent, calls))
    });
    let mut told: Vec<_> = told.collect();
    if let Some(egress) = parent.egress {
        let name = allows(&egress, "grpc-egress-allow", "grpc-egress-deny");
        let denied = Grpc::answer(PERMISSION_DENIED, DENIED.to_owned());
        let rule = default_rule::<Grpc>(parent, Vec::new(), unless(&egress, denied));
        told.push(Grpc::route(metadata::default(name), &[], vec![rule]));
    }
    Kind::Grpc(proxy_protocol::Grpc {
        routes: told,
        failure_accrual: accrual::message(parent.traffic),
    })
}

fn tls(parent: &Parent<'_>, routes: &Routes<'_>) -> Kind {
    let told = routes.tls.iter().map(|(route, backends)| {
        let backends = parent.distribution::<Tls>(backends);
        let metadata = metadata::route(route.key);
        Tls::route(metadata, &route.spec.hosts, backends, Vec::new())
    });
    let mut told: Vec<_> = told.collect();
    if let Some(egress) = parent.egress {
        let name = allows(&egress, "tls-egress-allow", "tls-egress-deny");
        told.push(Tls::route(
            metadata::default(name),
            &[],
            Tls::first(parent.own().into()),
            unless(&egress, Tls::forbidden()),
        ));
    }
    Kind::Tls(proxy_protocol::Tls { routes: told })
}

/// Proxies take one route of connections that are not read.
fn opaque(parent: &Parent<'_>, routes: &Routes<'_>) -> Kind {
    let route = match routes.tcp.first() {
        Some((route, backends)) => Opaque::route(
            metadata::route(route.key),
            parent.distribution::<Opaque>(backends),
            Vec::new(),
        ),
        None => every_connection(parent),
    };
    Kind::Opaque(proxy_protocol::Opaque {
        routes: vec![route],
    })
}

fn rules<W: RequestWire>(
    parent: &Parent<'_>,
    requests: &Requests<W::Model, W::Code>,
) -> Vec<W::Rule> {
    let settings = requests.settings.as_ref();
    let rules = settings.into_iter().flat_map(|settings| {
        requests.rules.iter().map(|rule| {
            W::rule(RuleParts {
                matches: rule.matches.iter().map(W::requests).collect(),
                filters: W::filters(&rule.filters),
                backends: parent.distribution::<W>(&rule.backends),
                terms: Terms::of_rule(settings, rule.timeout, parent.traffic),
                allow_l5d_request_headers: parent.settings.allow_l5d_request_headers,
            })
        })
    });
    rules.collect()
}

/// What holds where no route of the cluster does.
fn default_rule<W: RequestWire>(
    parent: &Parent<'_>,
    matches: Vec<W::Match>,
    filters: Vec<W::Filter>,
) -> W::Rule {
    W::rule(RuleParts {
        matches,
        filters,
        backends: W::first(parent.own().into()),
        terms: Terms::of_parent(parent.traffic),
        allow_l5d_request_headers: false,
    })
}

fn every_request(parent: &Parent<'_>, name: &str, filters: Vec<http_route::Filter>) -> HttpRoute {
    let rule = default_rule::<Http>(parent, vec![matches::below("/")], filters);
    Http::route(metadata::default(name), &[], vec![rule])
}

fn every_connection(parent: &Parent<'_>) -> OpaqueRoute {
    let (name, filters) = match parent.egress {
        None => ("opaq", Vec::new()),
        Some(egress) => (
            allows(&egress, "tcp-egress-allow", "tcp-egress-deny"),
            unless(&egress, Opaque::forbidden()),
        ),
    };
    let backend = Opaque::first(parent.own().into());
    Opaque::route(metadata::default(name), backend, filters)
}

fn allows(egress: &Egress, allow: &'static str, deny: &'static str) -> &'static str {
    if egress.allows { allow } else { deny }
}

fn unless<F>(egress: &Egress, denied: F) -> Vec<F> {
    if egress.allows {
        Vec::new()
    } else {
        vec![denied]
    }
}

/// The policy of a Service's address with a port that it does not declare: all
/// is refused (section 6.3).
pub(super) fn undefined_port(service: &ObjectKey, port: u16) -> OutboundPolicy {
    let route = Opaque::route(
        metadata::default("undefined-port"),
        Opaque::nowhere(),
        vec![Opaque::forbidden()],
    );
    let kind = Kind::Opaque(proxy_protocol::Opaque {
        routes: vec![route],
    });
    policy(kind, metadata::service(service, port))
}

/// The policy of an address outside of the cluster: it is forwarded to (section
/// 6.4).
pub(super) fn external(addr: SocketAddr) -> OutboundPolicy {
    let metadata = || metadata::default("egress-fallback");
    let backend = || backend::backend(metadata(), Some(backend::forward(addr, 1)));
    let rule = http_route::Rule {
        matches: vec![HttpRouteMatch::default()],
        backends: Some(Http::first(backend().into())),
        ..http_route::Rule::default()
    };
    let routes = vec![Http::route(metadata(), &[], vec![rule])];
    let kind = Kind::Detect(Detect {
        timeout: Some(DETECT_TIMEOUT),
        opaque: Some(proxy_protocol::Opaque {
            routes: vec![Opaque::route(
                metadata(),
                Opaque::first(backend().into()),
                Vec::new(),
            )],
        }),
        http1: Some(Http1 {
            routes: routes.clone(),
            failure_accrual: None,
        }),
        http2: Some(Http2 {
            routes,
            failure_accrual: None,
        }),
    });
    policy(kind, metadata())
}

/// What an encoded policy, with its gRPC header, is about.
pub(crate) fn what_is_told_of(frame: &Bytes) -> Option<Metadata> {
    let policy = frame.get(HEADER_LEN..)?;
    OutboundPolicy::decode(policy).ok()?.metadata
}

/// Whether one of these TCPRoutes counts for clients of a namespace, after another.
pub(super) fn passes_over(
    parent: &Parent<'_>,
    client: &str,
    changed: &FxHashSet<&RouteKey>,
) -> bool {
    let routes = Routes::of(parent, client);
    let mut later = routes.tcp.iter().skip(1);
    later.any(|(route, _)| changed.contains(route.key))
}

fn policy(kind: Kind, metadata: Metadata) -> OutboundPolicy {
    OutboundPolicy {
        protocol: Some(ProxyProtocol { kind: Some(kind) }),
        metadata: Some(metadata),
    }
}
