//! `GetProfile`: what a proxy is to know of a Service or of one address, told
//! whole with every change (destination.md section 11).

mod endpoint;
mod routes;
mod service;

use self::{
    endpoint::{of_address, of_hostname},
    service::of_service,
};
use crate::{
    authority::ServiceName,
    mesh::{Mesh, duration},
};
use ferrule_cluster::{
    Answer, ViewKey,
    object::{Name, ObjectKey},
    stream::message,
    world::World,
};
use ferrule_proto::destination::{DestinationProfile, RetryBudget};
use std::{net::IpAddr, time::Duration};

/// What a profile is asked of; one view each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProfileKey {
    /// A Service by its name.
    Service {
        /// The Service.
        service: ObjectKey,
        /// The port.
        port: u16,
        /// The client's namespace, whose ServiceProfiles come first; `None` where
        /// it is the Service's, too.
        client: Option<Name>,
    },
    /// A cluster IP, a pod's, a host's with a host port, or any other address.
    Address {
        /// The IP.
        ip: IpAddr,
        /// The port.
        port: u16,
        /// The client's namespace: the address may be a Service's, or become one.
        client: Option<Name>,
    },
    /// A pod by its hostname under a headless Service.
    Hostname {
        /// The Service.
        service: ObjectKey,
        /// The pod's hostname.
        hostname: Name,
        /// The port.
        port: u16,
    },
}

/// What a profile follows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dependency {
    /// A Service.
    Service(ObjectKey),
    /// Whoever has the address.
    Address(IpAddr),
}

impl ViewKey for ProfileKey {
    type Dependency = Dependency;

    fn dependency(&self) -> Dependency {
        match self {
            ProfileKey::Service { service, .. } | ProfileKey::Hostname { service, .. } => {
                Dependency::Service(service.clone())
            }
            ProfileKey::Address { ip, .. } => Dependency::Address(*ip),
        }
    }
}

impl ProfileKey {
    /// The key for a host that is a name, as a client in this namespace asks.
    pub(crate) fn of_name(name: ServiceName, port: u16, client: Option<Name>) -> Self {
        match name.hostname {
            None => ProfileKey::Service {
                client: client.filter(|client| *client != name.service.namespace),
                service: name.service,
                port,
            },
            Some(hostname) => ProfileKey::Hostname {
                service: name.service,
                hostname: hostname.into(),
                port,
            },
        }
    }

    /// Whether a Service's profile, asked for so, may come from a ServiceProfile in
    /// `namespace`; the Service's own is `service`.
    pub(crate) fn reads_profiles_of(&self, namespace: &Name, service: &Name) -> bool {
        match self {
            ProfileKey::Service { client, .. } | ProfileKey::Address { client, .. } => {
                namespace == service || client.as_ref() == Some(namespace)
            }
            ProfileKey::Hostname { .. } => false,
        }
    }

    /// The answer as the world stands. `found` is where the key's view found a
    /// hostname's pod last, and becomes where it is.
    pub(crate) fn answer(&self, mesh: &Mesh, world: &World, found: &mut Option<IpAddr>) -> Answer {
        match self {
            ProfileKey::Service {
                service,
                port,
                client,
            } => of_service(mesh, world, service, *port, client.as_ref()),
            ProfileKey::Address { ip, port, client } => {
                of_address(mesh, world, *ip, *port, client.as_ref())
            }
            ProfileKey::Hostname {
                service,
                hostname,
                port,
            } => of_hostname(mesh, world, (service, hostname), *port, found),
        }
    }
}

fn tell(profile: &DestinationProfile) -> Answer {
    message(profile).into()
}

fn is_default_opaque(mesh: &Mesh, port: u16) -> bool {
    mesh.default_opaque_ports.contains(port)
}

/// 20 % more requests, at least 10 a second, counted over 10 s (section 11.2).
fn default_budget() -> RetryBudget {
    RetryBudget {
        retry_ratio: 0.2,
        min_retries_per_second: 10,
        ttl: Some(duration(Duration::from_secs(10))),
    }
}
