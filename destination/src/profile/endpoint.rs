//! The profile of an address, or of a pod by its hostname.

use super::{default_budget, is_default_opaque, service::of_service, tell};
use crate::{
    endpoints::Addr,
    mesh::Mesh,
    workload::{self, Audience},
};
use ferrule_cluster::{
    Answer,
    object::{Name, ObjectKey, Phase, Pod, Target},
    stream::message,
    world::World,
};
use ferrule_proto::destination::DestinationProfile;
use std::net::IpAddr;
use tonic::Status;

pub(super) fn of_address(mesh: &Mesh, world: &World, ip: IpAddr, port: u16) -> Answer {
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

pub(super) fn of_hostname(
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

/// The profile of an address of which nothing is known.
fn unknown(mesh: &Mesh, addr: Addr) -> DestinationProfile {
    DestinationProfile {
        endpoint: Some(workload::bare(addr)),
        opaque_protocol: is_default_opaque(mesh, addr.port),
        retry_budget: Some(default_budget()),
        ..DestinationProfile::default()
    }
}
