//! The profile of a Service.

use super::{default_budget, is_default_opaque, tell};
use crate::mesh::Mesh;
use ferrule_cluster::{
    Answer,
    object::{ObjectKey, PortProtocol},
    stream::message,
    world::World,
};
use ferrule_proto::{
    destination::DestinationProfile,
    meta::{Metadata, Resource, metadata},
};
use tonic::Status;

pub(super) fn of_service(mesh: &Mesh, world: &World, key: &ObjectKey, port: u16) -> Answer {
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
