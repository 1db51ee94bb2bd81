//! One endpoint as a proxy is told it, made readable.

use ferrule_proto::{
    destination::{ProtocolHint, WeightedAddr, protocol_hint::Protocol, tls_identity::Strategy},
    meta::{Metadata, metadata},
};
use serde::Serialize;
use std::{collections::BTreeMap, net::SocketAddr};

/// Labels that have fields of their own.
const NAMED_LABELS: [&str; 5] = ["namespace", "service", "pod", "zone", "zone_locality"];

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    /// The Service's namespace.
    pub(crate) namespace: String,
    /// Where it listens.
    #[serde(serialize_with = "crate::endpoint::ip_and_port", flatten)]
    pub(crate) addr: SocketAddr,
    /// Empty for an address that is no pod.
    pub(crate) pod: String,
    /// `SERVICE.NAMESPACE`.
    pub(crate) service: String,
    pub(crate) zone: String,
    /// `local`, `remote` or `unknown`, seen from the client.
    pub(crate) zone_locality: String,
    /// The TLS identity its proxy must prove; `None` outside the mesh.
    pub(crate) identity: Option<String>,
    pub(crate) hint: Option<Hint>,
    /// What a gateway is to be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authority_override: Option<String>,
    pub(crate) weight: u32,
    /// Whether it comes with HTTP/2 settings.
    pub(crate) http2_params: bool,
    /// The labels that have no field.
    pub(crate) labels: BTreeMap<String, String>,
}

/// How its proxy is to be spoken to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hint {
    /// `h2`, `opaque`, or nothing known.
    pub(crate) protocol: Option<&'static str>,
    /// The proxy's inbound port, dialled with a transport header.
    pub(crate) opaque_transport_port: Option<u32>,
}

impl Endpoint {
    /// Reads one; `set_labels` hold for all of its set. `None` for an address
    /// that is none: proxies drop those too.
    pub(crate) fn read(wire: &WeightedAddr, set_labels: &BTreeMap<String, String>) -> Option<Self> {
        let addr = wire.addr.and_then(|addr| SocketAddr::try_from(addr).ok())?;
        let label = |name: &str| {
            let label = wire
                .metric_labels
                .get(name)
                .or_else(|| set_labels.get(name));
            label.cloned().unwrap_or_default()
        };
        let namespace = label("namespace");
        let service = match &*label("service") {
            "" => String::new(),
            service => format!("{service}.{namespace}"),
        };
        let labels = set_labels.iter().chain(&wire.metric_labels);
        Some(Self {
            addr,
            pod: label("pod"),
            service,
            zone: label("zone"),
            zone_locality: label("zone_locality"),
            namespace,
            identity: wire.tls_identity.as_ref().and_then(|identity| {
                identity.strategy.as_ref().map(|strategy| match strategy {
                    Strategy::DnsLikeIdentity(dns) => dns.name.clone(),
                    Strategy::UriLikeIdentity(uri) => uri.uri.clone(),
                })
            }),
            hint: wire.protocol_hint.as_ref().map(Hint::read),
            authority_override: wire
                .authority_override
                .as_ref()
                .map(|over| over.authority_override.clone()),
            weight: wire.weight,
            http2_params: wire.http2.is_some(),
            labels: labels
                .filter(|(name, _)| !NAMED_LABELS.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        })
    }

    /// The fields by name, for people.
    pub(crate) fn fields(&self) -> Vec<(&'static str, String)> {
        let labels: Vec<_> = self
            .labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        vec![
            ("namespace", self.namespace.clone()),
            ("pod", self.pod.clone()),
            ("service", self.service.clone()),
            ("zone", self.zone.clone()),
            ("locality", self.zone_locality.clone()),
            ("identity", self.identity.clone().unwrap_or_default()),
            ("hint", self.hint_text()),
            (
                "authority override",
                self.authority_override.clone().unwrap_or_default(),
            ),
            ("weight", self.weight.to_string()),
            (
                "http2 settings",
                if self.http2_params { "yes" } else { "" }.to_owned(),
            ),
            ("labels", labels.join(",")),
        ]
    }

    /// The identity without what is the same all over a mesh.
    pub(crate) fn short_identity(&self) -> &str {
        short_identity(self.identity.as_deref().unwrap_or_default())
    }

    /// `h2 via 4143`: the protocol, and the proxy's port where it is dialled.
    pub(crate) fn hint_text(&self) -> String {
        let Some(hint) = &self.hint else {
            return String::new();
        };
        match (hint.protocol, hint.opaque_transport_port) {
            (None, None) => String::new(),
            (Some(protocol), None) => protocol.to_owned(),
            (protocol, Some(port)) => format!("{} via {port}", protocol.unwrap_or("any")),
        }
    }
}

impl Hint {
    fn read(wire: &ProtocolHint) -> Self {
        Self {
            protocol: wire.protocol.as_ref().map(|protocol| match protocol {
                Protocol::H2(_) => "h2",
                Protocol::Opaque(_) => "opaque",
            }),
            opaque_transport_port: wire
                .opaque_transport
                .map(|transport| transport.inbound_port),
        }
    }
}

fn ip_and_port<S: serde::Serializer>(addr: &SocketAddr, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Parts {
        ip: std::net::IpAddr,
        port: u16,
    }
    Parts {
        ip: addr.ip(),
        port: addr.port(),
    }
    .serialize(serializer)
}

/// `web.shop` of the identity of a service account; others as they are.
pub(crate) fn short_identity(identity: &str) -> &str {
    identity
        .split_once(".serviceaccount.identity.")
        .map_or(identity, |(short, _)| short)
}

/// `core/Service shop/web:80`, or the name of what is configured by default.
pub(crate) fn resource(metadata: &Metadata) -> String {
    match &metadata.kind {
        Some(metadata::Kind::Resource(resource)) => {
            let mut text = resource.group.clone();
            if !resource.kind.is_empty() {
                text = format!("{text}/{}", resource.kind);
            }
            match (&*resource.namespace, &*resource.name) {
                (_, "") => {}
                ("", name) => text = format!("{text} {name}"),
                (namespace, name) => text = format!("{text} {namespace}/{name}"),
            }
            if resource.port != 0 {
                text = format!("{text}:{}", resource.port);
            }
            text
        }
        Some(metadata::Kind::Default(name)) => name.clone(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::{
        destination::{
            TlsIdentity,
            protocol_hint::{H2, OpaqueTransport},
            tls_identity::DnsLikeIdentity,
        },
        meta::Resource,
    };

    pub(crate) fn meshed() -> WeightedAddr {
        WeightedAddr {
            addr: Some("10.1.0.1:8080".parse::<SocketAddr>().unwrap().into()),
            weight: 10_000,
            metric_labels: BTreeMap::from([
                ("pod".into(), "web-0".into()),
                ("zone".into(), "a".into()),
                ("zone_locality".into(), "local".into()),
                ("deployment".into(), "web".into()),
            ]),
            tls_identity: Some(TlsIdentity {
                strategy: Some(Strategy::DnsLikeIdentity(DnsLikeIdentity {
                    name: "web.shop.serviceaccount.identity.linkerd.cluster.local".into(),
                })),
                server_name: None,
            }),
            protocol_hint: Some(ProtocolHint {
                protocol: Some(Protocol::H2(H2 {})),
                opaque_transport: Some(OpaqueTransport { inbound_port: 4143 }),
            }),
            ..WeightedAddr::default()
        }
    }

    #[test]
    fn an_endpoint_has_the_labels_of_its_set_and_short_forms_for_people() {
        let set_labels = BTreeMap::from([
            ("namespace".into(), "shop".into()),
            ("service".into(), "web".into()),
        ]);
        let endpoint = Endpoint::read(&meshed(), &set_labels).unwrap();
        assert_eq!(endpoint.namespace, "shop");
        assert_eq!(endpoint.service, "web.shop");
        assert_eq!(endpoint.pod, "web-0");
        assert_eq!(endpoint.short_identity(), "web.shop");
        assert_eq!(endpoint.hint_text(), "h2 via 4143");
        assert_eq!(
            endpoint.labels,
            BTreeMap::from([("deployment".into(), "web".into())])
        );
        let json = serde_json::to_value(&endpoint).unwrap();
        assert_eq!(json["ip"], "10.1.0.1");
        assert_eq!(json["port"], 8080);
        assert_eq!(json["hint"]["opaqueTransportPort"], 4143);
    }

    #[test]
    fn an_address_that_is_none_is_dropped() {
        let wire = WeightedAddr::default();
        assert_eq!(Endpoint::read(&wire, &BTreeMap::new()), None);
    }

    #[test]
    fn resources_read_like_references() {
        let web = Resource {
            group: "core".into(),
            kind: "Service".into(),
            name: "web".into(),
            namespace: "shop".into(),
            section: String::new(),
            port: 80,
        };
        let profile = Resource {
            group: "linkerd.io".into(),
            ..Resource::default()
        };
        let route = Resource {
            group: "policy.linkerd.io".into(),
            kind: "HTTPRoute".into(),
            name: "web".into(),
            ..Resource::default()
        };
        for (resource_ref, expected) in [
            (web, "core/Service shop/web:80"),
            (profile, "linkerd.io"),
            // Those of inbound policy come without their namespace.
            (route, "policy.linkerd.io/HTTPRoute web"),
        ] {
            let metadata = Metadata {
                kind: Some(metadata::Kind::Resource(resource_ref)),
            };
            assert_eq!(resource(&metadata), expected);
        }
    }
}
