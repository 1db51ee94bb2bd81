//! What proxies are told, in a line for people.

use super::{acceptance, certificate::Certificate, endpoints::EndpointSet};
use ferrule_proto::{
    destination::{
        DestinationProfile, WeightedAddr, protocol_hint::Protocol, tls_identity::Strategy,
    },
    inbound::{self, Authz, Server},
    meta::{Metadata, metadata},
    outbound::{self, OutboundPolicy, backend},
};
use std::{collections::BTreeSet, net::SocketAddr};

/// How many endpoints a line names.
const NAMED: usize = 8;

/// Says in a line what a proxy was told.
pub trait Describe {
    /// The line, without an end.
    fn describe(&self) -> String;
}

impl Describe for Certificate {
    fn describe(&self) -> String {
        let until = prost_types::Timestamp::from(self.valid_until());
        format!("serial {}, until {until}", self.serial())
    }
}

impl Describe for EndpointSet {
    fn describe(&self) -> String {
        let named = self.iter().take(NAMED);
        let named: Vec<_> = named
            .map(|(addr, one)| Self::describe_one(addr, one))
            .collect();
        let more = match self.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        match &*named {
            [] => "no endpoints".to_owned(),
            named => format!("{}{more}", named.join(", ")),
        }
    }
}

impl EndpointSet {
    /// One endpoint of a set, for people.
    pub fn describe_one(addr: &SocketAddr, endpoint: &WeightedAddr) -> String {
        let mut notes = Vec::new();
        notes.extend(endpoint.metric_labels.get("pod").cloned());
        let strategy = endpoint
            .tls_identity
            .as_ref()
            .and_then(|one| one.strategy.as_ref());
        notes.extend(strategy.map(|strategy| match strategy {
            Strategy::DnsLikeIdentity(dns) => dns.name.clone(),
            Strategy::UriLikeIdentity(uri) => uri.uri.clone(),
        }));
        if let Some(hint) = &endpoint.protocol_hint {
            notes.extend(hint.protocol.map(|protocol| match protocol {
                Protocol::H2(_) => "h2".to_owned(),
                Protocol::Opaque(_) => "opaque".to_owned(),
            }));
            let transport = hint.opaque_transport;
            notes.extend(transport.map(|transport| format!("via port {}", transport.inbound_port)));
        }
        if notes.is_empty() {
            return addr.to_string();
        }
        format!("{addr} ({})", notes.join(", "))
    }
}

impl Describe for DestinationProfile {
    fn describe(&self) -> String {
        let mut notes = match &*self.fully_qualified_name {
            "" => vec!["no name".to_owned()],
            name => vec![name.to_owned()],
        };
        if self.opaque_protocol {
            notes.push("opaque".to_owned());
        }
        for (count, what) in [
            (self.routes.len(), "routes"),
            (self.dst_overrides.len(), "overrides"),
        ] {
            if count > 0 {
                notes.push(format!("{count} {what}"));
            }
        }
        if let Some(told) = &self.endpoint
            && let Some(addr) = told.addr.and_then(|addr| addr.try_into().ok())
        {
            let endpoint = EndpointSet::describe_one(&addr, told);
            notes.push(format!("endpoint {endpoint}"));
        }
        notes.join(", ")
    }
}

impl Describe for Server {
    fn describe(&self) -> String {
        use inbound::proxy_protocol::Kind;
        let kind = self.protocol.as_ref().and_then(|one| one.kind.as_ref());
        let (kind, routes) = match kind {
            None => ("no protocol", 0),
            Some(Kind::Detect(detect)) => ("detect", detect.http_routes.len()),
            Some(Kind::Http1(http1)) => ("http1", http1.routes.len()),
            Some(Kind::Http2(http2)) => ("http2", http2.routes.len()),
            Some(Kind::Grpc(grpc)) => ("grpc", grpc.routes.len()),
            Some(Kind::Opaque(_)) => ("opaque", 0),
            Some(Kind::Tls(_)) => ("tls", 0),
        };
        let label = |name: &str| self.labels.get(name).map_or("", String::as_str);
        let server = format!("{} {}", label("kind"), label("name"));
        let authorizations = match &*self.authorizations {
            [] => "only loopback may call".to_owned(),
            all => {
                let names: Vec<_> = all.iter().map(authorization).collect();
                format!("authorized by {}", names.join(", "))
            }
        };
        format!(
            "{kind}, {}, {routes} routes, {authorizations}",
            server.trim()
        )
    }
}

fn authorization(authz: &Authz) -> String {
    match &authz.metadata {
        Some(metadata) => reference(metadata),
        None => authz.labels.get("name").cloned().unwrap_or_default(),
    }
}

impl Describe for OutboundPolicy {
    fn describe(&self) -> String {
        use outbound::proxy_protocol::Kind;
        let kind = self.protocol.as_ref().and_then(|one| one.kind.as_ref());
        let kind = match kind {
            None => "no protocol",
            Some(Kind::Detect(_)) => "detect",
            Some(Kind::Opaque(_)) => "opaque",
            Some(Kind::Http1(_)) => "http1",
            Some(Kind::Http2(_)) => "http2",
            Some(Kind::Grpc(_)) => "grpc",
            Some(Kind::Tls(_)) => "tls",
        };
        let parent = self.metadata.as_ref().map(reference).unwrap_or_default();
        let backends: Vec<_> = backends(self).into_iter().collect();
        match &*backends {
            [] => format!("{kind}, {parent}, no backends"),
            backends => format!("{kind}, {parent}, to {}", backends.join(", ")),
        }
    }
}

/// What a policy leads to: authorities that endpoints are asked for, and
/// addresses.
fn backends(policy: &OutboundPolicy) -> BTreeSet<String> {
    let all = acceptance::backends(policy).unwrap_or_default();
    let name = |one: &outbound::Backend| match &one.kind {
        None => Some("nowhere".to_owned()),
        Some(backend::Kind::Forward(endpoint)) => {
            let addr = SocketAddr::try_from(endpoint.addr?).ok()?;
            Some(addr.to_string())
        }
        Some(backend::Kind::Balancer(_)) => discovered(one),
    };
    all.into_iter().filter_map(name).collect()
}

/// The authorities whose endpoints a proxy asks for when it follows a policy.
pub fn discovered_by(policy: &OutboundPolicy) -> BTreeSet<String> {
    let all = acceptance::backends(policy).unwrap_or_default();
    all.into_iter().filter_map(discovered).collect()
}

fn discovered(backend: &outbound::Backend) -> Option<String> {
    let Some(backend::Kind::Balancer(balancer)) = &backend.kind else {
        return None;
    };
    let backend::endpoint_discovery::Kind::Dst(dst) = balancer.discovery.as_ref()?.kind.as_ref()?;
    Some(dst.path.clone())
}

/// `core/Service shop/web:80`, or the name of what is configured by default.
fn reference(metadata: &Metadata) -> String {
    match &metadata.kind {
        None => String::new(),
        Some(metadata::Kind::Default(name)) => name.clone(),
        Some(metadata::Kind::Resource(one)) => {
            let port = match one.port {
                0 => String::new(),
                port => format!(":{port}"),
            };
            format!(
                "{}/{} {}/{}{port}",
                one.group, one.kind, one.namespace, one.name
            )
        }
    }
}
