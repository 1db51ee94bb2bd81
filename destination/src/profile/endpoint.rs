//! The profile of an address, or of a pod by its hostname.

use super::{default_budget, is_default_opaque, service::of_service, tell};
use crate::{
    endpoints::Addr,
    mesh::Mesh,
    workload::{self, Audience, Workload},
};
use ferrule_cluster::{
    Answer,
    object::{Endpoint, Name, ObjectKey, Phase, Pod, Target},
    stream::message,
    world::{Member, SliceEntry, World},
};
use ferrule_proto::destination::DestinationProfile;
use std::net::{IpAddr, SocketAddr};
use tonic::Status;

pub(super) fn of_address(
    mesh: &Mesh,
    world: &World,
    ip: IpAddr,
    port: u16,
    client: Option<&Name>,
) -> Answer {
    match world.services_at(ip) {
        [] => {}
        [service] => return of_service(mesh, world, service, port, client),
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
        [] => {}
        [pod] => return of_pod(mesh, world, pod, addr),
        _ => {
            return Status::failed_precondition(format!(
                "found {} pods with a conflicting host network endpoint {}",
                live.len(),
                SocketAddr::new(ip, port),
            ))
            .into();
        }
    }
    let workloads: Vec<_> = world.external_workloads_at(ip, port).collect();
    match workloads[..] {
        [] => tell(&unknown(mesh, addr)),
        [(key, workload)] => of_workload(mesh, world, Workload::External(key, workload), addr),
        _ => Status::failed_precondition(format!(
            "found {} externalworkloads with a conflicting ip {}",
            workloads.len(),
            SocketAddr::new(ip, port),
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
    // A pod if there is any, and of several the one whose slice was written last
    // (its name decides between equals).
    let named = |(_, _, endpoint): &(&SliceEntry, Member, &Endpoint)| {
        endpoint.hostname.as_ref() == Some(hostname)
    };
    let endpoint = world
        .slices_of(service)
        .flat_map(|slice| {
            let members = slice.members();
            members.map(move |(member, endpoint)| (slice, member, endpoint))
        })
        .filter(named)
        .max_by_key(|(slice, member, _)| {
            let is_pod = matches!(member, Member::Pod(_));
            (is_pod, slice.slice.resource_version, &slice.key)
        });
    let Some((_, Member::Pod(id), endpoint)) = endpoint else {
        return not_found().into();
    };
    let Target::Pod(target) = &endpoint.target else {
        return not_found().into();
    };
    let pod = world.pod(id);
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
    of_workload(mesh, world, Workload::Pod(key, pod), addr)
}

fn of_workload(mesh: &Mesh, world: &World, workload: Workload<'_>, addr: Addr) -> Answer {
    let Ok(endpoint) = workload.tell(mesh, world, addr, Audience::Profile) else {
        return Answer::default();
    };
    tell(&DestinationProfile {
        endpoint: Some(endpoint),
        opaque_protocol: workload.is_opaque(mesh, world, addr.port),
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
