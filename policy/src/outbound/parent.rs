//! What a policy is about, and where its routes lead from there.

use super::{
    backend::{self, backend, balance, forward},
    wire::{RouteBackend, Wire},
};
use crate::{PolicySettings, metadata};
use ferrule_cluster::{
    World,
    object::{
        EgressNetwork, ObjectKey, PortProtocol, is_dns_label,
        route::{self, BackendTarget, ParentKey, ParentKind},
        traffic::{LoadBias, Traffic},
    },
};
use ferrule_proto::{
    meta::Metadata,
    outbound::{
        Backend,
        backend::{Kind, balance_p2c::Load},
    },
};
use std::net::SocketAddr;

/// A port of a Service or EgressNetwork.
pub(super) struct Parent<'w> {
    pub(super) settings: &'w PolicySettings,
    pub(super) world: &'w World,
    pub(super) key: ParentKey,
    pub(super) port: u16,
    /// How what goes there is read.
    pub(super) protocol: PortProtocol,
    /// What its annotations say.
    pub(super) traffic: Option<&'w Traffic>,
    /// What there is to know of an EgressNetwork.
    pub(super) egress: Option<Egress>,
}

/// An address that is part of an EgressNetwork.
#[derive(Clone, Copy)]
pub(super) struct Egress {
    pub(super) addr: SocketAddr,
    /// Whether what no route is for is let through.
    pub(super) allows: bool,
    /// Whether profiles say that the port is opaque: proxies go by that, and
    /// panic if the policy says that it is gRPC or TLS (ruling 2).
    pub(super) is_profile_opaque: bool,
}

/// Why a backend is none, and what it is called, if it has a name.
struct Invalid {
    object: Option<(ParentKey, u16)>,
    message: String,
}

impl<'w> Parent<'w> {
    /// A port of a Service, there or not: one that is not may come yet, and its
    /// port has the mesh's default until then.
    pub(super) fn service(
        settings: &'w PolicySettings,
        world: &'w World,
        key: &ObjectKey,
        port: u16,
    ) -> Self {
        let service = world.service(key);
        let default = &settings.default_opaque_ports;
        Self {
            settings,
            world,
            key: ParentKey::new(ParentKind::Service, key.clone()),
            port,
            // What the profile says too (ruling 2).
            protocol: match service {
                Some(service) => world.service_protocol(key, service, port, default),
                None if default.contains(port) => PortProtocol::Opaque,
                None => PortProtocol::Detect,
            },
            traffic: service.and_then(|service| service.traffic.as_deref()),
            egress: None,
        }
    }

    /// An address in an EgressNetwork; in one that is not known all is denied.
    pub(super) fn egress_network(
        settings: &'w PolicySettings,
        world: &'w World,
        key: &ObjectKey,
        addr: SocketAddr,
    ) -> Self {
        let network = world.egress_network(key);
        let default = &settings.default_opaque_ports;
        let opaque = network.and_then(|network| network.opaque_ports.as_ref());
        Self {
            settings,
            world,
            key: ParentKey::new(ParentKind::EgressNetwork, key.clone()),
            port: addr.port(),
            protocol: match opaque.unwrap_or(default).contains(addr.port()) {
                true => PortProtocol::Opaque,
                false => PortProtocol::Detect,
            },
            traffic: network.and_then(|network| network.traffic.as_deref()),
            egress: Some(Egress {
                addr,
                allows: network.is_some_and(|network: &EgressNetwork| network.allows),
                is_profile_opaque: default.contains(addr.port()),
            }),
        }
    }

    pub(super) fn metadata(&self) -> Metadata {
        metadata::parent(&self.key, self.port)
    }

    /// Where all goes that no rule sends elsewhere.
    pub(super) fn own(&self) -> Backend {
        let kind = match self.egress {
            Some(egress) => forward(egress.addr, 1),
            None => {
                let bias = self.load_bias();
                // Of connections that are not read nobody knows what failed.
                let bias = bias.filter(|_| self.protocol != PortProtocol::Opaque);
                self.balance(&self.key.key, self.port, backend::load(bias))
            }
        };
        backend(self.metadata(), Some(kind))
    }

    /// Where a rule leads.
    pub(super) fn distribution<W: Wire>(&self, backends: &[route::Backend]) -> W::Distribution {
        if backends.is_empty() {
            return W::first(self.own().into());
        }
        let Some(shift) = excess(backends) else {
            return W::nowhere();
        };
        let weighted = backends.iter().map(|one| {
            let weight = match one.weight >> shift {
                0 => one.weight.min(1),
                weight => weight,
            };
            (weight, self.route_backend::<W>(one))
        });
        W::random(weighted.collect())
    }

    fn route_backend<W: Wire>(&self, to: &route::Backend) -> RouteBackend<W> {
        let found = self.find(to, W::PENALIZES);
        let found = found.and_then(|backend| match &to.filters {
            Ok(filters) => Ok(RouteBackend {
                backend,
                filters: W::filters(filters),
            }),
            Err(problem) => Err(Invalid::unnamed(format!(
                "unsupported backend filter: {problem}"
            ))),
        });
        found.unwrap_or_else(|invalid| RouteBackend {
            backend: backend(invalid.metadata(), None),
            filters: vec![W::failure(invalid.message)],
        })
    }

    fn find(&self, to: &route::Backend, penalizes: bool) -> Result<Backend, Invalid> {
        let (object, port) = match (&to.target, to.target.key(&self.key.key.namespace)) {
            (BackendTarget::Object { port, .. }, Some(object)) => (object, *port),
            (BackendTarget::Unsupported { group, kind }, _) => {
                let message = format!("unsupported backend type {group} {kind}");
                return Err(Invalid::unnamed(message));
            }
            _ => return Err(Invalid::unnamed("no backend".to_owned())),
        };
        match object.kind {
            ParentKind::EgressNetwork => self.find_egress_network(object, port, to.weight),
            _ => {
                let bias = self.load_bias().filter(|_| penalizes);
                self.find_service(object, port, backend::load(bias))
            }
        }
    }

    fn find_service(
        &self,
        object: ParentKey,
        port: Option<u16>,
        load: Load,
    ) -> Result<Backend, Invalid> {
        let name = &object.key.name;
        let Some(port) = port else {
            let message = format!("missing port for backend Service {name}");
            return Err(Invalid::unnamed(message));
        };
        // A proxy panics when it is to look up what is no name in DNS.
        let is_name = is_dns_label(name) && is_dns_label(&object.key.namespace);
        if !is_name || !self.world.has_parent(&object) {
            let message = format!("Service not found {name}");
            return Err(Invalid::named(object, port, message));
        }
        let kind = self.balance(&object.key, port, load);
        Ok(backend(metadata::parent(&object, port), Some(kind)))
    }

    fn find_egress_network(
        &self,
        object: ParentKey,
        port: Option<u16>,
        weight: u32,
    ) -> Result<Backend, Invalid> {
        let own = self.egress.map(|egress| egress.addr.port());
        let port = port.or(own).unwrap_or_default();
        let message = match self.egress {
            _ if !self.world.has_parent(&object) => {
                format!("EgressNetwork not found {}", object.key.name)
            }
            None => "EgressNetwork backends attach to EgressNetwork parents only".to_owned(),
            Some(_) if object != self.key => "Route with EgressNetwork backend needs to have the \
                 same EgressNetwork as a parent"
                .to_owned(),
            Some(egress) => {
                let kind = forward(egress.addr, weight);
                return Ok(backend(metadata::parent(&object, port), Some(kind)));
            }
        };
        Err(Invalid::named(object, port, message))
    }

    /// Whether endpoints that fail are to get less to do: the Service that was
    /// asked for says so for wherever its routes lead.
    fn load_bias(&self) -> Option<&LoadBias> {
        match self.egress {
            Some(_) => None,
            None => self.traffic?.load_bias.as_ref(),
        }
    }

    fn balance(&self, service: &ObjectKey, port: u16, load: Load) -> Kind {
        balance(service, port, &self.settings.cluster_domain, load)
    }
}

impl Invalid {
    fn named(object: ParentKey, port: u16, message: String) -> Self {
        Self {
            object: Some((object, port)),
            message,
        }
    }

    fn unnamed(message: String) -> Self {
        Self {
            object: None,
            message,
        }
    }

    /// Proxies refuse a policy with a name that is empty.
    fn metadata(&self) -> Metadata {
        let object = self.object.as_ref();
        match object.filter(|(object, _)| !object.key.name.is_empty()) {
            Some((object, port)) => metadata::parent(object, *port),
            None => metadata::default("invalid"),
        }
    }
}

/// By how many bits all weights are too large: a proxy panics where their sum is
/// no u32. It does so too where several are all 0; nothing is to go anywhere
/// then, `None`. The weight of a single one does not matter to it.
fn excess(backends: &[route::Backend]) -> Option<u32> {
    let sum: u64 = backends.iter().map(|one| u64::from(one.weight)).sum();
    if sum == 0 && backends.len() > 1 {
        return None;
    }
    let bits = u64::BITS - sum.leading_zeros();
    // One more, for those that are kept from becoming 0.
    Some(
        bits.checked_sub(u32::BITS)
            .map_or(0, |excess| match excess {
                0 => 0,
                excess => excess + 1,
            }),
    )
}
