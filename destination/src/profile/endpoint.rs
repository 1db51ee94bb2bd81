//! The profile of an address, or of a pod by its hostname.

use super::{
    default_budget, is_default_opaque,
    service::{no_service, of_service},
    tell,
};
use crate::{
    endpoints::Addr,
    mesh::Mesh,
    workload::{self, Audience, Workload},
};
use ferrule_cluster::{
    Answer,
    object::{Endpoint, Name, ObjectKey, Phase, Pod, Target},
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
            let each = services
                .iter()
                .map(|service| of_service(mesh, world, service, port, client));
            let refusal = format!(
                "found {} services with conflicting cluster IP {ip}",
                services.len()
            );
            return contested(mesh, Addr { ip, port }, each, refusal);
        }
    }
    let addr = Addr { ip, port };
    let pods = holders(world.pods_at(ip));
    match pods[..] {
        [] => {}
        [pod] => return of_pod(mesh, world, pod, addr),
        _ => {
            let each = pods.iter().map(|pod| of_pod(mesh, world, *pod, addr));
            let refusal = format!(
                "found {} pods with a conflicting pod network IP {ip}",
                pods.len()
            );
            return contested(mesh, addr, each, refusal);
        }
    }
    let pods = holders(world.pods_at_host_port(ip, port));
    match pods[..] {
        [] => {}
        [pod] => return of_pod(mesh, world, pod, addr),
        _ => {
            let each = pods.iter().map(|pod| of_pod(mesh, world, *pod, addr));
            let refusal = format!(
                "found {} pods with a conflicting host network endpoint {}",
                pods.len(),
                SocketAddr::new(ip, port),
            );
            return contested(mesh, addr, each, refusal);
        }
    }
    let workloads: Vec<_> = world.external_workloads_at(ip, port).collect();
    match workloads[..] {
        [] => tell(&unknown(mesh, addr)),
        [(key, workload)] => of_workload(mesh, world, Workload::External(key, workload), addr),
        _ => {
            let each = workloads.iter().map(|&(key, workload)| {
                of_workload(mesh, world, Workload::External(key, workload), addr)
            });
            let refusal = format!(
                "found {} externalworkloads with a conflicting ip {}",
                workloads.len(),
                SocketAddr::new(ip, port),
            );
            contested(mesh, addr, each, refusal)
        }
    }
}

/// Of the pods with an address those that count: the live ones. Where there is none,
/// the one that is being deleted and still runs: it serves for its grace period, so a
/// deletion alone changes nothing (section 11.4), nor for who asks only now (ruling 1).
/// Of several such nobody can say whose it is.
fn holders<'w>(
    pods: impl Iterator<Item = (&'w ObjectKey, &'w Pod)>,
) -> Vec<(&'w ObjectKey, &'w Pod)> {
    let (live, mut going): (Vec<_>, Vec<_>) = pods.partition(|(_, pod)| pod.is_live());
    going.retain(|(_, pod)| pod.phase == Phase::Running);
    if live.is_empty() && going.len() == 1 {
        going
    } else {
        live
    }
}

/// Several claim the address. Newcomers are refused; who was told one of them stays
/// with it, since the others may be what is not yet there, or no longer; who was told
/// something else that is gone is told that nothing is known.
fn contested(
    mesh: &Mesh,
    addr: Addr,
    claims: impl Iterator<Item = Answer>,
    refusal: String,
) -> Answer {
    Answer {
        also_true: claims.filter_map(|claim| claim.frame).collect(),
        refusal: Some(Status::failed_precondition(refusal)),
        ..tell(&unknown(mesh, addr))
    }
}

/// `found` is where the pod was found last, and becomes where it is now. While it is
/// nowhere, newcomers are refused, and those who were told it are told what its last
/// address has become (section 11.4).
pub(super) fn of_hostname(
    mesh: &Mesh,
    world: &World,
    (service, hostname): (&ObjectKey, &Name),
    port: u16,
    found: &mut Option<IpAddr>,
) -> Answer {
    match resolve(world, service, hostname) {
        Ok((pod, ip)) => {
            *found = Some(ip);
            of_pod(mesh, world, pod, Addr { ip, port })
        }
        Err(refusal) => {
            let last = found.map(|ip| of_address(mesh, world, ip, port, None));
            Answer {
                refusal: Some(refusal),
                ..last.unwrap_or_default()
            }
        }
    }
}

/// The pod that has this hostname under the Service, and its IP.
fn resolve<'w>(
    world: &'w World,
    service: &ObjectKey,
    hostname: &Name,
) -> Result<((&'w ObjectKey, &'w Pod), IpAddr), Status> {
    let not_found = || match world.service(service) {
        Some(_) => Status::not_found(format!(
            "no pod found in EndpointSlices of Service {service} for hostname {hostname}"
        )),
        None => no_service(service),
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
        return Err(not_found());
    };
    let Target::Pod(target) = &endpoint.target else {
        return Err(not_found());
    };
    let Some(pod) = world.pod(id) else {
        return Err(Status::unknown(format!(
            "pod \"{}\" not found",
            target.name
        )));
    };
    match pod.1.ips.first() {
        Some(&ip) => Ok((pod, ip)),
        None => Err(Status::unknown(format!(
            "pod \"{}\" has no IP yet",
            target.name
        ))),
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
    let endpoint = workload.tell(mesh, world, addr, Audience::Profile);
    Answer {
        // Nothing is said of one that cannot be reached (D19), but what was said is
        // taken back.
        hushed: endpoint.is_err(),
        ..tell(&DestinationProfile {
            endpoint: Some(endpoint.unwrap_or_else(|_| workload::bare(addr))),
            opaque_protocol: workload.is_opaque(mesh, world, addr.port),
            retry_budget: Some(default_budget()),
            ..DestinationProfile::default()
        })
    }
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
