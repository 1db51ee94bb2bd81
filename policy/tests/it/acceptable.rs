//! What proxies accept (api.md sections 2.7 to 2.9): every message that a test
//! reads is held against it. One that fails here costs a real proxy the whole
//! port or target.

mod outbound;
mod routes;

use ferrule_proto::{
    inbound::{self, Authn, Authz, Server, authn, authn::permit_mesh_tls::Clients},
    meta::{Metadata, metadata},
    net::{IpAddress, IpNetwork, ip_address},
};
use prost::Message;
use prost_types::Duration;

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
    routes::accept_hosts(&route.hosts);
    let requests = route.rules.iter().flat_map(|rule| &rule.matches);
    requests.for_each(routes::accept_requests);
    for filter in route.rules.iter().flat_map(|rule| &rule.filters) {
        match filter.kind.as_ref().expect("a kind") {
            Kind::Redirect(redirect) => routes::accept_redirect(redirect),
            Kind::RequestHeaderModifier(changes) => {
                routes::accept_changes(changes.add.as_ref(), changes.set.as_ref(), &changes.remove);
            }
            Kind::FailureInjector(injector) => panic!("{injector:?}"),
        }
    }
}

fn accept_inbound_grpc_route(route: &inbound::GrpcRoute) {
    use inbound::grpc_route::filter::Kind;
    accept_inbound_metadata(route.metadata.as_ref());
    route.authorizations.iter().for_each(accept_authz);
    assert!(!route.rules.is_empty(), "matches nothing");
    routes::accept_hosts(&route.hosts);
    let calls = route.rules.iter().flat_map(|rule| &rule.matches);
    calls.for_each(routes::accept_calls);
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
