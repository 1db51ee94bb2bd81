//! `GetProfile`: what a proxy is to know of a Service or of one address, told
//! whole with every change (destination.md section 11).

use crate::{
    authority::ServiceName,
    endpoints::Addr,
    mesh::{Mesh, duration},
    workload::{self, Audience},
};
use ferrule_cluster::{
    Answer, ViewKey,
    object::{Name, ObjectKey, Phase, Pod, PortProtocol, Target},
    stream::message,
    world::World,
};
use ferrule_proto::{
    destination::{DestinationProfile, RetryBudget},
    meta::{Metadata, Resource, metadata},
};
use std::{net::IpAddr, time::Duration};
use tonic::Status;

/// What a profile is asked of; one view each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProfileKey {
    /// A Service by its name.
    Service {
        /// The Service.
        service: ObjectKey,
        /// The port.
        port: u16,
    },
    /// A cluster IP, a pod's, a host's with a host port, or any other address.
    Address {
        /// The IP.
        ip: IpAddr,
        /// The port.
        port: u16,
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
    /// The key for a host that is a name.
    pub(crate) fn of_name(name: ServiceName, port: u16) -> Self {
        match name.hostname {
            None => ProfileKey::Service {
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

    /// The answer as the world stands.
    pub(crate) fn answer(&self, mesh: &Mesh, world: &World) -> Answer {
        match self {
            ProfileKey::Service { service, port } => of_service(mesh, world, service, *port),
            ProfileKey::Address { ip, port } => of_address(mesh, world, *ip, *port),
            ProfileKey::Hostname {
                service,
                hostname,
                port,
            } => of_hostname(mesh, world, service, hostname, *port),
        }
    }
}

fn of_service(mesh: &Mesh, world: &World, key: &ObjectKey, port: u16) -> Answer {
    let Some(service) = world.service(key) else {
        // Who follows a Service that goes falls back to the defaults.
        let profile = service_profile(mesh, key, port, is_default_opaque(mesh, port));
        return Answer {
            frame: Some(message(&profile)),
            refusal: Some(Status::unknown(format!(
                "service \"{}\" not found",
                key.name
            ))),
        };
    };
    if service.port(port).is_none() {
        // Makes the proxy ask for a policy, which forbids the port (section 11.1).
        return tell(&DestinationProfile::default());
    }
    if service.external_name {
        // The server puts the request's own words into it.
        return Status::invalid_argument("ExternalName").into();
    }
    let protocol = world.service_protocol(key, service, port, &mesh.default_opaque_ports);
    let opaque = protocol == PortProtocol::Opaque;
    tell(&service_profile(mesh, key, port, opaque))
}

fn service_profile(mesh: &Mesh, key: &ObjectKey, port: u16, opaque: bool) -> DestinationProfile {
    DestinationProfile {
        fully_qualified_name: format!("{}.{}.svc.{}", key.name, key.namespace, mesh.cluster_domain),
        opaque_protocol: opaque,
        retry_budget: Some(default_budget()),
        parent_ref: Some(resource("core", "Service", &key.name, &key.namespace, port)),
        // The default profile's has a group and nothing else (D20).
        profile_ref: Some(resource("linkerd.io", "", "", "", 0)),
        ..DestinationProfile::default()
    }
}

fn of_address(mesh: &Mesh, world: &World, ip: IpAddr, port: u16) -> Answer {
    match world.services_at(ip) {
        [] => {}
        [service] => return of_service(mesh, world, service, port),
        services => {
            return Status::failed_precondition(format!(
                "found {} services with conflicting cluster IP {ip}",
                services.len()
            ))
            .into();
        }
    }
    let addr = Addr { ip, port };
    let live: Vec<_> = world.pods_at(ip).filter(|(_, pod)| pod.is_live()).collect();
    match live[..] {
        [] => {}
        [pod] => return of_pod(mesh, world, pod, addr),
        _ => {
            return Status::failed_precondition(format!(
                "found {} pods with a conflicting pod network IP {ip}",
                live.len()
            ))
            .into();
        }
    }
    let live: Vec<_> = world
        .pods_at_host_port(ip, port)
        .filter(|(_, pod)| pod.is_live())
        .collect();
    match live[..] {
        [] => tell(&unknown(mesh, addr)),
        [pod] => of_pod(mesh, world, pod, addr),
        _ => Status::failed_precondition(format!(
            "found {} pods with a conflicting host network endpoint {ip}:{port}",
            live.len()
        ))
        .into(),
    }
}

fn of_hostname(
    mesh: &Mesh,
    world: &World,
    service: &ObjectKey,
    hostname: &Name,
    port: u16,
) -> Answer {
    let not_found = || {
        Status::not_found(format!(
            "no pod found in EndpointSlices of Service {service} for hostname {hostname}"
        ))
    };
    // The slice written last knows best; its name decides between equals.
    let target = world
        .slices_of(service)
        .flat_map(|slice| slice.members().map(move |(_, endpoint)| (slice, endpoint)))
        .filter(|(_, endpoint)| endpoint.hostname.as_ref() == Some(hostname))
        .max_by_key(|(slice, _)| (slice.slice.resource_version, &slice.key));
    let Some((slice, endpoint)) = target else {
        return not_found().into();
    };
    let Target::Pod(target) = &endpoint.target else {
        return not_found().into();
    };
    let pod = slice.members().find_map(|(member, listed)| {
        let ferrule_cluster::world::Member::Pod(id) = member else {
            return None;
        };
        std::ptr::eq(listed, endpoint).then(|| world.pod(id))?
    });
    let Some((key, pod)) = pod else {
        // Who was told the pod is told that its address is nobody's.
        let ip = endpoint.address;
        let refusal = Status::unknown(format!("pod \"{}\" not found", target.name));
        return Answer {
            frame: Some(message(&unknown(mesh, Addr { ip, port }))),
            refusal: Some(refusal),
        };
    };
    match pod.ips.first() {
        Some(&ip) => of_pod(mesh, world, (key, pod), Addr { ip, port }),
        None => Status::unknown(format!("pod \"{}\" has no IP yet", target.name)).into(),
    }
}

/// The profile of an address that one pod has. It counts only while it runs.
fn of_pod(mesh: &Mesh, world: &World, (key, pod): (&ObjectKey, &Pod), addr: Addr) -> Answer {
    if pod.phase != Phase::Running {
        return tell(&unknown(mesh, addr));
    }
    let Ok(endpoint) = workload::pod(mesh, world, (key, pod), addr, Audience::Profile) else {
        return Answer::default();
    };
    tell(&DestinationProfile {
        endpoint: Some(endpoint),
        opaque_protocol: workload::is_opaque(mesh, world, key, pod, addr.port),
        retry_budget: Some(default_budget()),
        ..DestinationProfile::default()
    })
}

fn tell(profile: &DestinationProfile) -> Answer {
    message(profile).into()
}

/// The profile of an address of which nothing is known.
fn unknown(mesh: &Mesh, addr: Addr) -> DestinationProfile {
    DestinationProfile {
        endpoint: Some(workload::bare(addr)),
        opaque_protocol: is_default_opaque(mesh, addr.port),
        retry_budget: Some(default_budget()),
        ..DestinationProfile::default()
    }
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

fn resource(group: &str, kind: &str, name: &str, namespace: &str, port: u16) -> Metadata {
    Metadata {
        kind: Some(metadata::Kind::Resource(Resource {
            group: group.into(),
            kind: kind.into(),
            name: name.into(),
            namespace: namespace.into(),
            section: String::new(),
            port: port.into(),
        })),
    }
}
