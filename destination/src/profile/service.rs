//! The profile of a Service.

use super::{default_budget, is_default_opaque, routes, tell};
use crate::mesh::Mesh;
use ferrule_cluster::{
    Answer,
    object::{Name, ObjectKey, PortProtocol, ServiceProfile},
    stream::message,
    world::World,
};
use ferrule_proto::{
    destination::DestinationProfile,
    meta::{Metadata, Resource, metadata},
};
use tonic::Status;

const SERVICE_PROFILE_GROUP: &str = "linkerd.io";

/// `client` is the namespace of who asks, where it is not the Service's.
pub(super) fn of_service(
    mesh: &Mesh,
    world: &World,
    key: &ObjectKey,
    port: u16,
    client: Option<&Name>,
) -> Answer {
    let Some(service) = world.service(key) else {
        // Who follows a Service that goes falls back to the defaults.
        let opaque = is_default_opaque(mesh, port);
        let profile = service_profile(mesh, world, (key, port), client, opaque);
        return Answer {
            frame: Some(message(&profile)),
            refusal: Some(no_service(key)),
            ..Answer::default()
        };
    };
    if service.port(port).is_none() {
        // Makes the proxy ask for a policy, which forbids the port (section 11.1).
        return tell(&DestinationProfile::default());
    }
    let protocol = world.service_protocol(key, service, port, &mesh.default_opaque_ports);
    let opaque = protocol == PortProtocol::Opaque;
    Answer {
        // Who followed the Service before goes on. The server puts the request's own
        // words into the refusal.
        refusal: service
            .external_name
            .then(|| Status::invalid_argument("ExternalName")),
        ..tell(&service_profile(mesh, world, (key, port), client, opaque))
    }
}

/// Ruling 3, as the reference has it (D15).
pub(super) fn no_service(key: &ObjectKey) -> Status {
    Status::unknown(format!("service \"{}\" not found", key.name))
}

fn service_profile(
    mesh: &Mesh,
    world: &World,
    (key, port): (&ObjectKey, u16),
    client: Option<&Name>,
    opaque: bool,
) -> DestinationProfile {
    let name = format!("{}.{}.svc.{}", key.name, key.namespace, mesh.cluster_domain);
    let mut profile = DestinationProfile {
        opaque_protocol: opaque,
        retry_budget: Some(default_budget()),
        parent_ref: Some(resource("core", "Service", &key.name, &key.namespace, port)),
        // The default profile's has a group and nothing else (D20).
        profile_ref: Some(resource(SERVICE_PROFILE_GROUP, "", "", "", 0)),
        ..DestinationProfile::default()
    };
    if let Some((namespace, from)) = written(world, key, client, &name) {
        profile.profile_ref = Some(resource(
            SERVICE_PROFILE_GROUP,
            "ServiceProfile",
            &name,
            namespace,
            0,
        ));
        profile.routes = from.routes.iter().map(routes::route).collect();
        profile.retry_budget = from
            .retry_budget
            .map(routes::retry_budget)
            .or(profile.retry_budget);
        profile.dst_overrides = routes::dst_overrides(&from.overrides, port);
    }
    profile.fully_qualified_name = name;
    profile
}

/// The ServiceProfile for a Service, and whose it is: the client's comes first,
/// then that of the Service's namespace (section 11.1).
fn written<'w>(
    world: &'w World,
    service: &'w ObjectKey,
    client: Option<&'w Name>,
    name: &str,
) -> Option<(&'w Name, &'w ServiceProfile)> {
    let name = Name::from(name);
    let namespaces = client.into_iter().chain([&service.namespace]);
    namespaces
        .filter_map(|namespace| {
            let key = ObjectKey::new(namespace.clone(), name.clone());
            Some((namespace, world.service_profile(&key)?))
        })
        .next()
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
