//! What a target turns out to be (policy.md section 6.1).

use super::{OutboundKey, OutboundTarget, parent::Parent, policy};
use crate::{PolicySettings, egress, network};
use ferrule_cluster::{
    World,
    object::{
        Name, ObjectKey,
        route::{ParentKey, ParentKind, RouteKey},
    },
};
use ferrule_proto::outbound::OutboundPolicy;
use rustc_hash::FxHashSet;
use std::net::{IpAddr, SocketAddr};
use tonic::Status;

/// What a target is, in the world as it stands: equal ones have equal policies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) what: What,
    /// The client's namespace, where that has routes of its own for the parent
    /// (section 6.5).
    client: Option<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// A port of a Service, there or not.
    Service(ObjectKey, u16),
    /// The address of a Service, with a port that it does not declare.
    UndefinedPort(ObjectKey, u16),
    /// An address in an EgressNetwork.
    EgressNetwork(ObjectKey, SocketAddr),
    /// An address outside of the cluster.
    External(SocketAddr),
}

impl OutboundKey {
    /// What is asked for as the world stands.
    ///
    /// # Errors
    /// NOT_FOUND for an address of the cluster that no Service has: the proxy goes
    /// by the profile then, which knows pods.
    pub(crate) fn subject(
        &self,
        settings: &PolicySettings,
        world: &World,
    ) -> Result<Subject, Status> {
        let what = match &self.target {
            OutboundTarget::Service { service, port } => What::Service(service.clone(), *port),
            OutboundTarget::Address { ip, port } => {
                let addr = SocketAddr::new(*ip, *port);
                at(settings, world, &self.client, addr)?
            }
        };
        let client = what.parent().filter(|parent| {
            let mut routes = world.routes_of(parent);
            parent.key.namespace != self.client
                && routes.any(|(route, _)| route.key.namespace == self.client)
        });
        Ok(Subject {
            what,
            client: client.map(|_| self.client.clone()),
        })
    }
}

impl What {
    fn parent(&self) -> Option<ParentKey> {
        match self {
            Self::Service(key, _) => Some(ParentKey::new(ParentKind::Service, key.clone())),
            Self::EgressNetwork(key, _) => {
                Some(ParentKey::new(ParentKind::EgressNetwork, key.clone()))
            }
            Self::UndefinedPort(..) | Self::External(_) => None,
        }
    }
}

impl Subject {
    /// The policy.
    pub(crate) fn policy(&self, settings: &PolicySettings, world: &World) -> OutboundPolicy {
        match &self.what {
            What::Service(key, port) => {
                self.of_parent(&Parent::service(settings, world, key, *port))
            }
            What::EgressNetwork(key, addr) => {
                self.of_parent(&Parent::egress_network(settings, world, key, *addr))
            }
            What::UndefinedPort(service, port) => policy::undefined_port(service, *port),
            What::External(addr) => policy::external(*addr),
        }
    }

    /// Whether one of these TCPRoutes takes effect but is not told, as another comes
    /// before it.
    pub(crate) fn passes_over(
        &self,
        settings: &PolicySettings,
        world: &World,
        changed: &FxHashSet<&RouteKey>,
    ) -> bool {
        let parent = match &self.what {
            What::Service(key, port) => Parent::service(settings, world, key, *port),
            What::EgressNetwork(key, addr) => Parent::egress_network(settings, world, key, *addr),
            What::UndefinedPort(..) | What::External(_) => return false,
        };
        policy::passes_over(&parent, self.client(&parent), changed)
    }

    fn of_parent(&self, parent: &Parent<'_>) -> OutboundPolicy {
        policy::of_parent(parent, self.client(parent))
    }

    fn client<'a>(&'a self, parent: &'a Parent<'_>) -> &'a str {
        let own = &parent.key.key.namespace;
        self.client.as_ref().unwrap_or(own)
    }
}

fn at(
    settings: &PolicySettings,
    world: &World,
    client: &Name,
    addr: SocketAddr,
) -> Result<What, Status> {
    let (ip, port) = (addr.ip(), addr.port());
    if let Some((service, declares)) = service_at(world, ip, port) {
        let service = service.clone();
        return Ok(match declares {
            true => What::Service(service, port),
            false => What::UndefinedPort(service, port),
        });
    }
    if let Some((network, _)) = egress::find(settings, world, client, ip) {
        return Ok(What::EgressNetwork(network, addr));
    }
    if network::contain(&settings.cluster_networks, ip) {
        return Err(Status::not_found(format!(
            "no such service: none has the cluster IP {ip}"
        )));
    }
    Ok(What::External(addr))
}

/// The Service that an IP is of, and whether it declares the port.
fn service_at(world: &World, ip: IpAddr, port: u16) -> Option<(&ObjectKey, bool)> {
    let declares = |key: &ObjectKey| {
        let service = world.service(key);
        service.is_some_and(|service| service.port(port).is_some())
    };
    // Two Services with one IP are a broken cluster; which one came first is not
    // known after a restart, so the one that has the port, then the name decides.
    let services = world.services_at(ip).iter();
    let reached = services.filter(|key| is_reached_by_ip(world, key));
    let first = reached.min_by_key(|key| (!declares(key), *key))?;
    Some((first, declares(first)))
}

/// An ExternalName has no address of its own whatever is written on it, nor has
/// a Service without ports.
fn is_reached_by_ip(world: &World, key: &ObjectKey) -> bool {
    let service = world.service(key);
    service.is_some_and(|service| !service.external_name && !service.ports.is_empty())
}
