//! What proxies accept (api.md sections 2.7 to 2.9): every message that a test
//! reads is held against it. One that fails here costs a real proxy the whole
//! port or target.

use ferrule_proto::{
    inbound::{self, Authn, Authz, Server, authn, authn::permit_mesh_tls::Clients},
    meta::{Metadata, metadata},
    net::{IpAddress, IpNetwork, ip_address},
    outbound::{
        self, Backend, HttpRoute, OpaqueRoute, OutboundPolicy,
        backend::{self, balance_p2c::Load, endpoint_discovery},
    },
};
use prost::Message;
use prost_types::Duration;
use std::net::SocketAddr;

pub(crate) trait Acceptable:
    Message + Default + Clone + PartialEq + std::fmt::Debug
{
    fn accept(&self);
}

impl Acceptable for Server {
    fn accept(&self) {
        use inbound::proxy_protocol::Kind;
        let kind = self
            .protocol
            .as_ref()
            .and_then(|protocol| protocol.kind.as_ref());
        match kind.expect("a protocol") {
            Kind::Detect(detect) => {
                bounded(detect.timeout.as_ref());
                assert!(!detect.http_routes.is_empty());
                detect.http_routes.iter().for_each(accept_inbound_route);
                let limit = detect.http_local_rate_limit.as_ref();
                limit.into_iter().for_each(accept_rate_limit);
            }
            Kind::Http1(http) => {
                assert!(!http.routes.is_empty());
                http.routes.iter().for_each(accept_inbound_route);
                http.local_rate_limit.iter().for_each(accept_rate_limit);
            }
            Kind::Http2(http) => {
                assert!(!http.routes.is_empty());
                http.routes.iter().for_each(accept_inbound_route);
                http.local_rate_limit.iter().for_each(accept_rate_limit);
            }
            Kind::Grpc(grpc) => {
                assert!(!grpc.routes.is_empty());
                grpc.routes.iter().for_each(accept_inbound_grpc_route);
            }
            Kind::Opaque(_) | Kind::Tls(_) => {}
        }
        assert!(!self.labels["name"].is_empty());
        assert!(self.labels.contains_key("group") && self.labels.contains_key("kind"));
        self.authorizations.iter().for_each(accept_authz);
    }
}

fn accept_inbound_route(route: &inbound::HttpRoute) {
    use inbound::http_route::filter::Kind;
    accept_inbound_metadata(route.metadata.as_ref());
    route.authorizations.iter().for_each(accept_authz);
    assert!(!route.rules.is_empty(), "matches nothing");
    for request in route.rules.iter().flat_map(|rule| &rule.matches) {
        let path = request.path.as_ref();
        assert!(path.is_none_or(|path| path.kind.is_some()));
        let method = request.method.as_ref();
        assert!(method.is_none_or(|method| method.r#type.is_some()));
    }
    for filter in route.rules.iter().flat_map(|rule| &rule.filters) {
        match filter.kind.as_ref().expect("a kind") {
            Kind::Redirect(redirect) => {
                assert!((100..1000).contains(&redirect.status) && redirect.port <= 65_535);
            }
            Kind::RequestHeaderModifier(_) => {}
            Kind::FailureInjector(injector) => panic!("{injector:?}"),
        }
    }
}

fn accept_inbound_grpc_route(route: &inbound::GrpcRoute) {
    use inbound::grpc_route::filter::Kind;
    accept_inbound_metadata(route.metadata.as_ref());
    route.authorizations.iter().for_each(accept_authz);
    assert!(!route.rules.is_empty(), "matches nothing");
    for filter in route.rules.iter().flat_map(|rule| &rule.filters) {
        let kind = filter.kind.as_ref().expect("a kind");
        assert!(matches!(kind, Kind::RequestHeaderModifier(_)), "{kind:?}");
    }
}

fn accept_rate_limit(limit: &inbound::HttpLocalRateLimit) {
    accept_inbound_metadata(limit.metadata.as_ref());
    for limit in &limit.overrides {
        assert!(limit.limit.is_some() && limit.clients.is_some());
    }
}

fn accept_authz(authz: &Authz) {
    assert!(!authz.networks.is_empty());
    for network in &authz.networks {
        accept_network(network.net.as_ref().expect("a network"));
        network.except.iter().for_each(accept_network);
    }
    accept_inbound_metadata(authz.metadata.as_ref());
    assert!(!authz.labels["name"].is_empty());
    let Some(Authn { permit }) = &authz.authentication else {
        panic!("no authentication");
    };
    match permit.as_ref().expect("a permit") {
        authn::Permit::Unauthenticated(_) => {}
        authn::Permit::MeshTls(tls) => match tls.clients.as_ref().expect("clients") {
            Clients::Unauthenticated(_) => {}
            Clients::Identities(clients) => {
                assert!(
                    clients.identities.len() + clients.suffixes.len() > 0,
                    "nobody"
                );
            }
        },
    }
}

fn accept_network(network: &IpNetwork) {
    let Some(IpAddress { ip: Some(ip) }) = &network.ip else {
        panic!("no address");
    };
    let longest = match ip {
        ip_address::Ip::Ipv4(_) => 32,
        ip_address::Ip::Ipv6(_) => 128,
    };
    assert!(network.prefix_len <= longest);
}

impl Acceptable for OutboundPolicy {
    fn accept(&self) {
        use outbound::proxy_protocol::Kind;
        accept_metadata(self.metadata.as_ref());
        let kind = self
            .protocol
            .as_ref()
            .and_then(|protocol| protocol.kind.as_ref());
        match kind.expect("a protocol") {
            Kind::Detect(detect) => {
                bounded(detect.timeout.as_ref());
                accept_opaque(&detect.opaque.as_ref().expect("required").routes);
                accept_http(&detect.http1.as_ref().expect("required").routes);
                accept_http(&detect.http2.as_ref().expect("required").routes);
            }
            Kind::Opaque(opaque) => accept_opaque(&opaque.routes),
            Kind::Http1(http1) => accept_http(&http1.routes),
            Kind::Http2(http2) => accept_http(&http2.routes),
            other => panic!("not served yet: {other:?}"),
        }
    }
}

fn accept_http(routes: &[HttpRoute]) {
    use outbound::http_route::distribution::Kind;
    assert!(!routes.is_empty(), "nothing would match");
    for route in routes {
        accept_metadata(route.metadata.as_ref());
        for rule in &route.rules {
            assert!(rule.filters.iter().all(|filter| filter.kind.is_some()));
            let distribution = rule
                .backends
                .as_ref()
                .and_then(|backends| backends.kind.as_ref());
            match distribution.expect("a distribution") {
                Kind::FirstAvailable(first) => {
                    assert!(!first.backends.is_empty());
                    for backend in &first.backends {
                        accept_backend(backend.backend.as_ref());
                    }
                }
                other => panic!("not served yet: {other:?}"),
            }
        }
    }
}

fn accept_opaque(routes: &[OpaqueRoute]) {
    use outbound::opaque_route::distribution::Kind;
    let [route] = routes else {
        panic!("one route, not {}", routes.len());
    };
    accept_metadata(route.metadata.as_ref());
    let [rule] = &route.rules[..] else {
        panic!("one rule, not {}", route.rules.len());
    };
    assert!(rule.filters.iter().all(|filter| filter.kind.is_some()));
    let distribution = rule
        .backends
        .as_ref()
        .and_then(|backends| backends.kind.as_ref());
    match distribution.expect("a distribution") {
        Kind::Empty(_) => {}
        Kind::FirstAvailable(first) => {
            assert!(!first.backends.is_empty());
            for backend in &first.backends {
                accept_backend(backend.backend.as_ref());
            }
        }
        other @ Kind::RandomAvailable(_) => panic!("not served yet: {other:?}"),
    }
}

fn accept_backend(backend: Option<&Backend>) {
    let backend = backend.expect("a backend");
    accept_metadata(backend.metadata.as_ref());
    let queue = backend.queue.as_ref().expect("a queue");
    bounded(queue.failfast_timeout.as_ref());
    match backend.kind.as_ref().expect("somewhere to go") {
        backend::Kind::Forward(forward) => {
            let addr = SocketAddr::try_from(forward.addr.expect("an address")).expect("valid");
            assert_ne!(addr.port(), 0, "the proxy panics");
        }
        backend::Kind::Balancer(balancer) => {
            let discovery = balancer.discovery.as_ref().and_then(|d| d.kind.as_ref());
            let endpoint_discovery::Kind::Dst(get) = discovery.expect("a discovery");
            let (host, port) = get.path.rsplit_once(':').expect("a port");
            assert_ne!(port.parse::<u16>().expect("a number"), 0);
            assert!(
                host.split('.').all(|label| !label.is_empty()
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')),
                "{host}"
            );
            match balancer.load.as_ref().expect("a load") {
                Load::PeakEwma(ewma) => {
                    bounded(ewma.default_rtt.as_ref());
                    bounded(ewma.decay.as_ref());
                }
                other @ Load::PenaltyPeakEwma(_) => panic!("not served yet: {other:?}"),
            }
        }
    }
}

/// Without a namespace, which is the workload's.
fn accept_inbound_metadata(metadata: Option<&Metadata>) {
    match metadata.and_then(|metadata| metadata.kind.as_ref()) {
        Some(metadata::Kind::Resource(resource)) => {
            for part in [&resource.group, &resource.kind, &resource.name] {
                assert!(!part.is_empty(), "{resource:?}");
            }
        }
        _ => accept_metadata(metadata),
    }
}

fn accept_metadata(metadata: Option<&Metadata>) {
    match metadata
        .and_then(|metadata| metadata.kind.as_ref())
        .expect("metadata")
    {
        metadata::Kind::Default(name) => assert!(!name.is_empty()),
        metadata::Kind::Resource(resource) => {
            for part in [
                &resource.group,
                &resource.kind,
                &resource.name,
                &resource.namespace,
            ] {
                assert!(!part.is_empty(), "{resource:?}");
            }
        }
    }
}

fn bounded(duration: Option<&Duration>) {
    let duration = duration.expect("required");
    assert!(duration.seconds >= 0 && duration.nanos >= 0);
}
