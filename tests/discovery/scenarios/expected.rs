//! What the scenarios say that a client is told: `W`, `U`, `DEF`, `EP`.

use super::world::World;
use anyhow::{Context as _, Error, bail};
use ferrule_proto::{
    destination::{
        AuthorityOverride, DestinationProfile, Http2ClientParams, ProtocolHint, RequestMatch,
        RetryBudget, Route, TlsIdentity, Update, WeightedAddr,
        http2_client_params::KeepAlive,
        protocol_hint::{H2, Opaque, OpaqueTransport, Protocol},
        request_match,
        tls_identity::{DnsLikeIdentity, Strategy, UriLikeIdentity},
        update,
    },
    http_types::{HttpMethod, http_method},
    meta::{Metadata, Resource, metadata},
};
use prost_types::Duration;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

pub(crate) type Labels = BTreeMap<String, String>;

/// A message of a Get stream; the order of addresses is free.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Add(Labels, BTreeMap<SocketAddr, WeightedAddr>),
    Remove(BTreeSet<SocketAddr>),
}

impl TryFrom<Update> for Told {
    type Error = Error;

    fn try_from(update: Update) -> Result<Self, Error> {
        match update.update {
            Some(update::Update::Add(set)) => {
                let count = set.addrs.len();
                let addrs: BTreeMap<_, _> = set
                    .addrs
                    .into_iter()
                    .map(|one| Ok((one.addr.context("an address")?.try_into()?, one)))
                    .collect::<Result<_, Error>>()?;
                anyhow::ensure!(addrs.len() == count && count > 0, "{count}: {addrs:?}");
                Ok(Self::Add(set.metric_labels, addrs))
            }
            Some(update::Update::Remove(set)) => {
                anyhow::ensure!(!set.addrs.is_empty(), "an empty Remove");
                let addrs = set.addrs.into_iter().map(SocketAddr::try_from);
                Ok(Self::Remove(addrs.collect::<Result<_, _>>()?))
            }
            other => bail!("never sent (ruling 4): {other:?}"),
        }
    }
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

impl World {
    /// `+[...]` of Service web.
    pub(crate) fn add<const N: usize>(&self, endpoints: [Endpoint; N]) -> Told {
        self.add_of("web", endpoints)
    }

    pub(crate) fn add_of<const N: usize>(&self, service: &str, endpoints: [Endpoint; N]) -> Told {
        let set = labels(&[("service", service), ("namespace", self.namespace())]);
        self.add_with(set, endpoints)
    }

    pub(crate) fn add_with<const N: usize>(&self, set: Labels, endpoints: [Endpoint; N]) -> Told {
        let keyed = endpoints.map(|one| (one.socket(), one.0));
        Told::Add(set, keyed.into())
    }

    /// `-[...]`
    pub(crate) fn remove<const N: usize>(&self, addrs: [&str; N]) -> Told {
        Told::Remove(addrs.map(|addr| self.socket(addr)).into())
    }

    fn socket(&self, addr: &str) -> SocketAddr {
        self.fill(addr).parse().expect("an address and a port")
    }

    /// `W(addr)`: pod `pod` of Service account default, meshed.
    pub(crate) fn w(&self, pod: &str, addr: &str) -> Endpoint {
        let mut endpoint = self
            .u(pod, addr)
            .label("control_plane_ns", "linkerd")
            .identity(&format!("default.{}", self.namespace()));
        endpoint.0.http2 = Some(http2());
        endpoint.protocol(Some(Protocol::H2(H2 {})))
    }

    /// `U(addr)`: unmeshed.
    pub(crate) fn u(&self, pod: &str, addr: &str) -> Endpoint {
        self.bare(addr)
            .label("pod", pod)
            .label("serviceaccount", "default")
            .label("zone", "")
            .label("zone_locality", "unknown")
    }

    /// An address of which nothing else is known.
    pub(crate) fn bare(&self, addr: &str) -> Endpoint {
        Endpoint(WeightedAddr {
            addr: Some(self.socket(addr).into()),
            weight: 10_000,
            ..WeightedAddr::default()
        })
    }

    /// ExternalWorkload `vm` as [`machine`](super::objects::machine) writes it.
    pub(crate) fn machine(&self, addr: &str) -> Endpoint {
        let mut endpoint = self
            .bare(addr)
            .label("external_workload", "vm")
            .label("zone", "")
            .label("zone_locality", "unknown")
            .protocol(Some(Protocol::H2(H2 {})));
        endpoint.0.http2 = Some(http2());
        endpoint.0.tls_identity = Some(TlsIdentity {
            strategy: Some(Strategy::UriLikeIdentity(UriLikeIdentity {
                uri: "spiffe://x/y".into(),
            })),
            server_name: Some(dns("s")),
        });
        endpoint
    }

    /// `DEF` of Service web, port 80.
    pub(crate) fn def(&self) -> DestinationProfile {
        self.def_of("web", 80)
    }

    pub(crate) fn def_of(&self, service: &str, port: u32) -> DestinationProfile {
        DestinationProfile {
            fully_qualified_name: self.fill(&format!("{service}.$ns.svc.cluster.local")),
            parent_ref: resource("core", "Service", service, self.namespace(), port),
            profile_ref: resource("linkerd.io", "", "", "", 0),
            retry_budget: Some(budget()),
            ..DestinationProfile::default()
        }
    }

    /// `DEF` with the ServiceProfile of web in this namespace and its one route.
    pub(crate) fn routed(&self, namespace: &str, route: &str) -> DestinationProfile {
        let get = HttpMethod {
            r#type: Some(http_method::Type::Registered(0)),
        };
        let route = Route {
            condition: Some(RequestMatch {
                r#match: Some(request_match::Match::Method(get)),
            }),
            metrics_labels: labels(&[("route", route)]),
            ..Route::default()
        };
        DestinationProfile {
            routes: vec![route],
            ..self.profiled(namespace)
        }
    }

    /// `DEF` with the ServiceProfile of web in this namespace.
    pub(crate) fn profiled(&self, namespace: &str) -> DestinationProfile {
        let def = self.def();
        let name = &def.fully_qualified_name;
        DestinationProfile {
            profile_ref: resource("linkerd.io", "ServiceProfile", name, namespace, 0),
            ..def
        }
    }

    /// `EP(endpoint)`
    pub(crate) fn ep(&self, endpoint: Endpoint) -> DestinationProfile {
        let mut endpoint = endpoint.0;
        if endpoint.metric_labels.remove("zone_locality").is_some() {
            let namespace = self.namespace().to_owned();
            endpoint.metric_labels.insert("namespace".into(), namespace);
        }
        DestinationProfile {
            retry_budget: Some(budget()),
            endpoint: Some(endpoint),
            ..DestinationProfile::default()
        }
    }
}

pub(crate) fn opaque(profile: DestinationProfile) -> DestinationProfile {
    DestinationProfile {
        opaque_protocol: true,
        ..profile
    }
}

fn resource(group: &str, kind: &str, name: &str, namespace: &str, port: u32) -> Option<Metadata> {
    let resource = Resource {
        group: group.into(),
        kind: kind.into(),
        name: name.into(),
        namespace: namespace.into(),
        port,
        ..Resource::default()
    };
    Some(Metadata {
        kind: Some(metadata::Kind::Resource(resource)),
    })
}

fn budget() -> RetryBudget {
    RetryBudget {
        retry_ratio: 0.2,
        min_retries_per_second: 10,
        ttl: Some(seconds(10)),
    }
}

/// `H`, which the chart sets.
fn http2() -> Http2ClientParams {
    Http2ClientParams {
        keep_alive: Some(KeepAlive {
            interval: Some(seconds(10)),
            timeout: Some(seconds(3)),
            while_idle: true,
        }),
        ..Http2ClientParams::default()
    }
}

fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}

fn dns(name: &str) -> DnsLikeIdentity {
    DnsLikeIdentity { name: name.into() }
}

/// An endpoint, and how it differs from the usual one.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint(WeightedAddr);

impl Endpoint {
    fn socket(&self) -> SocketAddr {
        let addr = self.0.addr.expect("set");
        addr.try_into().expect("an address and a port")
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.0.metric_labels.insert(key.into(), value.into());
        self
    }

    pub(crate) fn zone(self, zone: &str, locality: &str) -> Self {
        self.label("zone", zone).label("zone_locality", locality)
    }

    /// TLS as this account and namespace.
    pub(crate) fn identity(mut self, account: &str) -> Self {
        let name = format!("{account}.serviceaccount.identity.linkerd.cluster.local");
        self.0.tls_identity = Some(TlsIdentity {
            strategy: Some(Strategy::DnsLikeIdentity(dns(&name))),
            server_name: Some(dns(&name)),
        });
        self
    }

    pub(crate) fn without_identity(mut self) -> Self {
        self.0.tls_identity = None;
        self
    }

    fn protocol(mut self, protocol: Option<Protocol>) -> Self {
        let hint = ProtocolHint {
            protocol,
            opaque_transport: None,
        };
        self.0.protocol_hint = Some(hint);
        self
    }

    /// A meshed port of which nothing is known.
    pub(crate) fn any_protocol(self) -> Self {
        self.protocol(None)
    }

    /// An opaque port, which is dialled itself.
    pub(crate) fn opaque(self) -> Self {
        self.protocol(Some(Protocol::Opaque(Opaque {})))
    }

    /// Dialled at its proxy's port.
    pub(crate) fn transport(mut self, inbound_port: u32) -> Self {
        let hint = self.0.protocol_hint.get_or_insert_default();
        hint.opaque_transport = Some(OpaqueTransport { inbound_port });
        self
    }

    /// Through a gateway of this identity.
    pub(crate) fn gateway(mut self, identity: &str) -> Self {
        self.0.tls_identity = Some(TlsIdentity {
            strategy: Some(Strategy::DnsLikeIdentity(dns(identity))),
            server_name: None,
        });
        self.0.http2 = Some(http2());
        self.protocol(Some(Protocol::H2(H2 {})))
    }

    pub(crate) fn authority(mut self, authority: &str) -> Self {
        self.0.authority_override = Some(AuthorityOverride {
            authority_override: authority.into(),
        });
        self
    }
}
