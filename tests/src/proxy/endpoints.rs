//! A set of endpoints as a proxy folds it (api.md section 2.5).

use ferrule_proto::destination::{
    ProtocolHint, TlsIdentity, Update, WeightedAddr, WeightedAddrSet, tls_identity::Strategy,
    update::Update as Kind,
};
use std::{collections::BTreeMap, net::SocketAddr, ops::Deref};

/// Endpoints by address. Their labels include those of the set that they came
/// with, and what a proxy cannot read of them is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndpointSet(BTreeMap<SocketAddr, WeightedAddr>);

impl EndpointSet {
    /// Takes in an update; whether it told anything. The first Add that a stream
    /// tells replaces what was known from the stream before.
    pub(crate) fn fold(&mut self, update: Update, fresh: bool) -> bool {
        match update.update {
            Some(Kind::Add(set)) => {
                let usable = usable(set);
                if usable.is_empty() {
                    return false;
                }
                if fresh {
                    self.0.clear();
                }
                self.0.extend(usable);
                true
            }
            Some(Kind::Remove(_)) if fresh => false,
            Some(Kind::Remove(set)) => {
                for addr in set.addrs {
                    if let Ok(addr) = SocketAddr::try_from(addr) {
                        self.0.remove(&addr);
                    }
                }
                true
            }
            Some(Kind::NoEndpoints(_)) => {
                self.0.clear();
                true
            }
            None => false,
        }
    }
}

impl Deref for EndpointSet {
    type Target = BTreeMap<SocketAddr, WeightedAddr>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

fn usable(set: WeightedAddrSet) -> BTreeMap<SocketAddr, WeightedAddr> {
    let labels = set.metric_labels;
    let readable = |mut endpoint: WeightedAddr| {
        let addr = SocketAddr::try_from(endpoint.addr?).ok()?;
        for (name, value) in &labels {
            let own = endpoint.metric_labels.entry(name.clone());
            own.or_insert_with(|| value.clone());
        }
        endpoint
            .tls_identity
            .take_if(|identity| !is_usable(identity));
        endpoint.protocol_hint.as_mut().map(drop_unusable_port);
        Some((addr, endpoint))
    };
    set.addrs.into_iter().filter_map(readable).collect()
}

/// An endpoint whose identity is not goes without TLS.
fn is_usable(identity: &TlsIdentity) -> bool {
    let is_name = |name: &str| rustls_pki_types::DnsName::try_from(name).is_ok();
    let names_itself = match &identity.strategy {
        Some(Strategy::DnsLikeIdentity(dns)) => !dns.name.ends_with('.') && is_name(&dns.name),
        Some(Strategy::UriLikeIdentity(uri)) => {
            identity.server_name.is_some() && uri.uri.contains("://")
        }
        None => false,
    };
    let server_name = identity.server_name.as_ref();
    names_itself && server_name.is_none_or(|server| is_name(&server.name))
}

/// A transport port that is none means that the endpoint's own is dialled.
fn drop_unusable_port(hint: &mut ProtocolHint) {
    hint.opaque_transport
        .take_if(|transport| !(1..=65_534).contains(&transport.inbound_port));
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::destination::{
        AddrSet, NoEndpoints,
        protocol_hint::{H2, OpaqueTransport, Protocol},
        tls_identity::DnsLikeIdentity,
    };

    fn endpoint(n: u8) -> WeightedAddr {
        let addr = SocketAddr::from(([10, 0, 0, n], 8080));
        WeightedAddr {
            addr: Some(addr.into()),
            ..WeightedAddr::default()
        }
    }

    fn add(endpoints: impl IntoIterator<Item = WeightedAddr>) -> Update {
        let set = WeightedAddrSet {
            addrs: endpoints.into_iter().collect(),
            metric_labels: BTreeMap::from([("service".into(), "web".into())]),
        };
        Update {
            update: Some(Kind::Add(set)),
        }
    }

    fn remove(endpoints: &[u8]) -> Update {
        let addrs = endpoints.iter().filter_map(|&n| endpoint(n).addr);
        Update {
            update: Some(Kind::Remove(AddrSet {
                addrs: addrs.collect(),
            })),
        }
    }

    fn none() -> Update {
        Update {
            update: Some(Kind::NoEndpoints(NoEndpoints { exists: false })),
        }
    }

    #[test]
    fn the_first_that_tells_anything_replaces_and_what_comes_after_adds_up() {
        for (update, fresh, told, left) in [
            (add([endpoint(2)]), true, true, vec![2]),
            (add([endpoint(2)]), false, true, vec![1, 2, 9]),
            (add([]), true, false, vec![1, 9]),
            (add([WeightedAddr::default()]), true, false, vec![1, 9]),
            (remove(&[1]), true, false, vec![1, 9]),
            (remove(&[1, 7]), false, true, vec![9]),
            (none(), true, true, vec![]),
            (none(), false, true, vec![]),
            (Update { update: None }, false, false, vec![1, 9]),
        ] {
            let mut set = EndpointSet::default();
            set.fold(add([endpoint(1), endpoint(9)]), true);
            let case = format!("{update:?}, fresh: {fresh}");
            assert_eq!(set.fold(update, fresh), told, "{case}");
            let left = left
                .iter()
                .map(|n| SocketAddr::from(([10, 0, 0, *n], 8080)));
            assert!(set.keys().copied().eq(left), "{case}");
        }
    }

    #[test]
    fn an_endpoints_own_labels_beat_those_of_its_set() {
        let mut set = EndpointSet::default();
        let own = WeightedAddr {
            metric_labels: BTreeMap::from([("service".into(), "own".into())]),
            ..endpoint(2)
        };
        set.fold(add([endpoint(1), own]), true);
        let services: Vec<_> = set
            .values()
            .map(|one| &*one.metric_labels["service"])
            .collect();
        assert_eq!(services, ["web", "own"]);
    }

    #[test]
    fn what_a_proxy_cannot_read_of_an_endpoint_is_not_there() {
        let dns = |name: &str| DnsLikeIdentity { name: name.into() };
        let meshed = |strategy, server_name, inbound_port| WeightedAddr {
            tls_identity: Some(TlsIdentity {
                strategy,
                server_name,
            }),
            protocol_hint: Some(ProtocolHint {
                protocol: Some(Protocol::H2(H2 {})),
                opaque_transport: Some(OpaqueTransport { inbound_port }),
            }),
            ..endpoint(1)
        };
        let named = |name: &str| Some(Strategy::DnsLikeIdentity(dns(name)));
        for (told, identity, port) in [
            (meshed(named("a.b"), None, 4143), true, true),
            (meshed(named("a.b"), Some(dns("c.d")), 65_534), true, true),
            (meshed(named("a.b."), None, 65_535), false, false),
            (meshed(named(""), None, 0), false, false),
            (meshed(named("a.b"), Some(dns("c d")), 1), false, true),
            (meshed(None, Some(dns("c.d")), 1), false, true),
        ] {
            let mut set = EndpointSet::default();
            let case = format!("{told:?}");
            set.fold(add([told]), true);
            let read = set.values().next().unwrap();
            assert_eq!(read.tls_identity.is_some(), identity, "{case}");
            let hint = read.protocol_hint.unwrap();
            assert_eq!(hint.opaque_transport.is_some(), port, "{case}");
        }
    }
}
