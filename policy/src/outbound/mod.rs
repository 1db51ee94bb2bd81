//! What a proxy is to do with connections that its workload makes (policy.md
//! section 6): so far without routes, egress networks and the annotations of
//! retries, timeouts and circuit breakers.

mod backend;
mod policy;
mod route;
mod target;

pub(crate) use self::target::{TargetError, target};

use crate::{PolicySettings, network};
use ferrule_cluster::{
    ViewKey, World,
    object::{ObjectKey, PortProtocol},
};
use ferrule_proto::outbound::OutboundPolicy;
use std::net::{IpAddr, SocketAddr};
use tonic::Status;

/// What a policy is asked of; one view each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OutboundKey {
    /// Where the workload connects to.
    Address {
        /// The IP.
        ip: IpAddr,
        /// The port, never 0.
        port: u16,
    },
    /// A Service by its name, there or not.
    Service {
        /// The Service.
        service: ObjectKey,
        /// The port, declared or not; never 0.
        port: u16,
    },
}

/// What a policy follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// A Service.
    Service(ObjectKey),
    /// Whoever has the address.
    Address(IpAddr),
}

impl ViewKey for OutboundKey {
    type Dependency = Dependency;

    fn dependency(&self) -> Dependency {
        match self {
            OutboundKey::Address { ip, .. } => Dependency::Address(*ip),
            OutboundKey::Service { service, .. } => Dependency::Service(service.clone()),
        }
    }
}

impl OutboundKey {
    /// The policy as the world stands.
    ///
    /// # Errors
    /// NOT_FOUND for an address of the cluster that no Service has: the proxy goes
    /// by the profile then, which knows pods.
    pub(crate) fn policy(
        &self,
        settings: &PolicySettings,
        world: &World,
    ) -> Result<OutboundPolicy, Status> {
        let domain = &settings.cluster_domain;
        match self {
            OutboundKey::Address { ip, port } => of_address(settings, world, *ip, *port),
            OutboundKey::Service { service, port } => {
                let protocol = protocol(settings, world, service, *port);
                Ok(policy::service(service, *port, protocol, domain))
            }
        }
    }
}

fn of_address(
    settings: &PolicySettings,
    world: &World,
    ip: IpAddr,
    port: u16,
) -> Result<OutboundPolicy, Status> {
    let declares = |key: &ObjectKey| {
        let service = world.service(key);
        service.is_some_and(|service| service.port(port).is_some())
    };
    // Two Services with one IP are a broken cluster; which one came first is not
    // known after a restart, so the one that has the port, then the name decides.
    let service = world
        .services_at(ip)
        .iter()
        .filter(|key| is_reached_by_ip(world, key))
        .min_by_key(|key| (!declares(key), *key));
    match service {
        Some(service) if declares(service) => {
            let protocol = protocol(settings, world, service, port);
            let domain = &settings.cluster_domain;
            Ok(policy::service(service, port, protocol, domain))
        }
        Some(service) => Ok(policy::undefined_port(service, port)),
        None if network::contain(&settings.cluster_networks, ip) => Err(Status::not_found(
            format!("no such service: none has the cluster IP {ip}"),
        )),
        None => Ok(policy::external(SocketAddr::new(ip, port))),
    }
}

/// An ExternalName has no address of its own whatever is written on it, nor has
/// a Service without ports.
fn is_reached_by_ip(world: &World, key: &ObjectKey) -> bool {
    let service = world.service(key);
    service.is_some_and(|service| !service.external_name && !service.ports.is_empty())
}

/// What a Service's profile says too (ruling 2). One that is not there may come
/// yet; its port has the mesh's default until then.
fn protocol(settings: &PolicySettings, world: &World, key: &ObjectKey, port: u16) -> PortProtocol {
    let default = &settings.default_opaque_ports;
    match world.service(key) {
        Some(service) => world.service_protocol(key, service, port, default),
        None if default.contains(port) => PortProtocol::Opaque,
        None => PortProtocol::Detect,
    }
}
