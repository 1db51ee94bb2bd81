//! What the policy of a target says, in words.

use crate::support::NS;
use ferrule_proto::{
    meta::{Metadata, Resource, metadata},
    outbound::{
        Backend, FailureAccrual, GrpcRoute, HttpRoute, OutboundPolicy,
        backend::{self, balance_p2c::Load, endpoint_discovery},
        grpc_route, http_route, opaque_route,
        proxy_protocol::Kind,
        tls_route,
    },
};
use std::net::SocketAddr;

pub(crate) fn kind(policy: &OutboundPolicy) -> &Kind {
    let protocol = policy.protocol.as_ref();
    protocol
        .and_then(|protocol| protocol.kind.as_ref())
        .expect("a kind")
}

/// A default's name; of an object `name.namespace:port`, without what is `ns` or
/// no port.
pub(crate) fn named(metadata: Option<&Metadata>) -> String {
    let kind = metadata.and_then(|metadata| metadata.kind.as_ref());
    match kind.expect("metadata") {
        metadata::Kind::Default(name) => name.clone(),
        metadata::Kind::Resource(resource) => {
            assert!(resource.section.is_empty());
            let Resource {
                name,
                namespace,
                port,
                ..
            } = resource;
            let port = Some(port).filter(|port| **port != 0);
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            match &**namespace {
                NS => format!("{name}{port}"),
                _ => format!("{name}.{namespace}{port}"),
            }
        }
    }
}

/// The policy's own name, its protocol and the names of its routes: `web:80 detect
/// http | opaq`.
pub(crate) fn spoken(policy: &OutboundPolicy) -> String {
    let (protocol, names) = match kind(policy) {
        Kind::Detect(detect) => {
            assert_eq!(detect.timeout.map(|timeout| timeout.seconds), Some(10));
            let http1 = detect.http1.as_ref().expect("set");
            let http2 = detect.http2.as_ref().expect("set");
            assert_eq!(http1.routes, http2.routes);
            assert_eq!(http1.failure_accrual, http2.failure_accrual);
            let opaque = &detect.opaque.as_ref().expect("set").routes;
            let http = names(http1.routes.iter().map(|route| &route.metadata));
            let opaque = names(opaque.iter().map(|route| &route.metadata));
            ("detect", format!("{http} | {opaque}"))
        }
        Kind::Http1(one) => (
            "http1",
            names(one.routes.iter().map(|route| &route.metadata)),
        ),
        Kind::Http2(one) => (
            "http2",
            names(one.routes.iter().map(|route| &route.metadata)),
        ),
        Kind::Grpc(grpc) => (
            "grpc",
            names(grpc.routes.iter().map(|route| &route.metadata)),
        ),
        Kind::Tls(tls) => ("tls", names(tls.routes.iter().map(|route| &route.metadata))),
        Kind::Opaque(one) => (
            "opaque",
            names(one.routes.iter().map(|route| &route.metadata)),
        ),
    };
    format!("{} {protocol} {names}", named(policy.metadata.as_ref()))
}

fn names<'m>(all: impl Iterator<Item = &'m Option<Metadata>>) -> String {
    let names: Vec<_> = all.map(|metadata| named(metadata.as_ref())).collect();
    names.join(" ")
}

pub(crate) fn http(policy: &OutboundPolicy) -> &[HttpRoute] {
    match kind(policy) {
        Kind::Detect(detect) => &detect.http1.as_ref().expect("set").routes,
        Kind::Http1(http1) => &http1.routes,
        Kind::Http2(http2) => &http2.routes,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn grpc(policy: &OutboundPolicy) -> &[GrpcRoute] {
    match kind(policy) {
        Kind::Grpc(grpc) => &grpc.routes,
        other => panic!("{other:?}"),
    }
}

/// The first rule of the first route.
pub(crate) fn http_rule(policy: &OutboundPolicy) -> &http_route::Rule {
    &http(policy)[0].rules[0]
}

pub(crate) fn grpc_rule(policy: &OutboundPolicy) -> &grpc_route::Rule {
    &grpc(policy)[0].rules[0]
}

pub(crate) fn accrual(policy: &OutboundPolicy) -> Option<&FailureAccrual> {
    match kind(policy) {
        Kind::Detect(detect) => detect.http1.as_ref().expect("set").failure_accrual.as_ref(),
        Kind::Http1(http1) => http1.failure_accrual.as_ref(),
        Kind::Http2(http2) => http2.failure_accrual.as_ref(),
        Kind::Grpc(grpc) => grpc.failure_accrual.as_ref(),
        Kind::Opaque(_) | Kind::Tls(_) => None,
    }
}

/// Where each rule of each route leads, a line each: `1*api:80 0*web:80` by
/// weight, `=web:80` to one whatever happens, `nowhere`; then what is done there:
/// ` (403 traffic not allowed)`.
pub(crate) fn leads(policy: &OutboundPolicy) -> Vec<String> {
    match kind(policy) {
        Kind::Detect(_) | Kind::Http1(_) | Kind::Http2(_) => {
            let rules = http(policy).iter().flat_map(|route| &route.rules);
            rules.map(http_rule_leads).collect()
        }
        Kind::Grpc(grpc) => {
            let rules = grpc.routes.iter().flat_map(|route| &route.rules);
            rules.map(grpc_rule_leads).collect()
        }
        Kind::Tls(tls) => {
            let rules = tls.routes.iter().flat_map(|route| &route.rules);
            rules.map(tls_rule_leads).collect()
        }
        Kind::Opaque(_) => opaque_leads(policy),
    }
}

/// As [`leads`], of connections that are not read.
pub(crate) fn opaque_leads(policy: &OutboundPolicy) -> Vec<String> {
    let routes = match kind(policy) {
        Kind::Detect(detect) => &detect.opaque.as_ref().expect("set").routes,
        Kind::Opaque(opaque) => &opaque.routes,
        other => panic!("{other:?}"),
    };
    let rules = routes.iter().flat_map(|route| &route.rules);
    rules.map(opaque_rule_leads).collect()
}

macro_rules! leads {
    ($($name:ident: $kind:ident, $filter:ident;)+) => {$(
        fn $name(rule: &$kind::Rule) -> String {
            use $kind::distribution::Kind;
            let distribution = rule.backends.as_ref().and_then(|one| one.kind.as_ref());
            let mut words = match distribution.expect("a distribution") {
                Kind::Empty(_) => vec!["nowhere".to_owned()],
                Kind::FirstAvailable(first) => {
                    let [one] = &first.backends[..] else { panic!("{first:?}") };
                    assert!(one.filters.is_empty());
                    vec![format!("={}", place(one.backend.as_ref()))]
                }
                Kind::RandomAvailable(random) => {
                    let backends = random.backends.iter().map(|weighted| {
                        let one = weighted.backend.as_ref().expect("a backend");
                        let filters = one.filters.iter().map($filter).collect::<String>();
                        format!("{}*{}{filters}", weighted.weight, place(one.backend.as_ref()))
                    });
                    backends.collect()
                }
            };
            let filters = rule.filters.iter().map($filter).collect::<String>();
            if !filters.is_empty() {
                words.push(filters);
            }
            words.join(" ")
        }
    )+};
}

leads! {
    http_rule_leads: http_route, http_filter;
    grpc_rule_leads: grpc_route, grpc_filter;
    tls_rule_leads: tls_route, tls_filter;
    opaque_rule_leads: opaque_route, opaque_filter;
}

fn http_filter(filter: &http_route::Filter) -> String {
    use http_route::filter::Kind;
    match filter.kind.as_ref().expect("set") {
        Kind::FailureInjector(failure) => format!("({} {})", failure.status, failure.message),
        Kind::RequestHeaderModifier(_) => "(request headers)".into(),
        Kind::ResponseHeaderModifier(_) => "(response headers)".into(),
        Kind::Redirect(_) => "(redirect)".into(),
    }
}

fn grpc_filter(filter: &grpc_route::Filter) -> String {
    use grpc_route::filter::Kind;
    match filter.kind.as_ref().expect("set") {
        Kind::FailureInjector(failure) => format!("({} {})", failure.code, failure.message),
        Kind::RequestHeaderModifier(_) => "(request headers)".into(),
    }
}

fn tls_filter(filter: &tls_route::Filter) -> String {
    use tls_route::filter::Kind;
    match filter.kind.as_ref().expect("set") {
        Kind::Invalid(invalid) => format!("({})", invalid.message),
        Kind::Forbidden(_) => "(forbidden)".into(),
    }
}

fn opaque_filter(filter: &opaque_route::Filter) -> String {
    use opaque_route::filter::Kind;
    match filter.kind.as_ref().expect("set") {
        Kind::Invalid(invalid) => format!("({})", invalid.message),
        Kind::Forbidden(_) => "(forbidden)".into(),
    }
}

/// A Service's port `web:80`, with `~` where failures count; an address
/// `out:80>1.1.1.1:80`; `!x:80` where nothing is.
fn place(backend: Option<&Backend>) -> String {
    let backend = backend.expect("a backend");
    let name = named(backend.metadata.as_ref());
    match &backend.kind {
        None => format!("!{name}"),
        Some(backend::Kind::Forward(forward)) => {
            let addr: SocketAddr = forward.addr.expect("set").try_into().expect("valid");
            assert!(forward.tls_identity.is_none());
            match forward.weight {
                1 => format!("{name}>{addr}"),
                weight => format!("{name}>{weight}*{addr}"),
            }
        }
        Some(backend::Kind::Balancer(balancer)) => {
            let discovery = balancer
                .discovery
                .as_ref()
                .and_then(|one| one.kind.as_ref());
            let endpoint_discovery::Kind::Dst(get) = discovery.expect("set");
            let metadata = backend.metadata.as_ref().and_then(|one| one.kind.as_ref());
            let Some(metadata::Kind::Resource(resource)) = metadata else {
                panic!("{backend:?}");
            };
            let Resource {
                name: service,
                namespace,
                port,
                ..
            } = resource;
            let path = format!("{service}.{namespace}.svc.cluster.local:{port}");
            assert_eq!(get.path, path);
            assert_eq!((&*resource.group, &*resource.kind), ("core", "Service"));
            match balancer.load.as_ref().expect("set") {
                Load::PeakEwma(_) => name,
                Load::PenaltyPeakEwma(_) => format!("~{name}"),
            }
        }
    }
}
