use super::World;
use crate::object::{Kind, Object, ObjectKey};

impl World {
    /// A copy of an object, whatever its kind; what is shared stays shared.
    pub fn object(&self, kind: Kind, key: &ObjectKey) -> Option<Object> {
        Some(match kind {
            Kind::Service => Object::Service(self.service(key)?.clone()),
            Kind::EndpointSlice => Object::EndpointSlice(self.slices.named(key)?.slice.clone()),
            Kind::Pod => Object::Pod(self.pod_named(key)?.clone()),
            Kind::Node => Object::Node(self.nodes.get(&key.name)?.clone()),
            Kind::Namespace => Object::Namespace(self.namespaces.get(&key.name)?.clone()),
            Kind::ReplicaSet => Object::ReplicaSet(self.owners.get(kind, key)?.clone()),
            Kind::Job => Object::Job(self.owners.get(kind, key)?.clone()),
            Kind::Server => Object::Server(self.servers.get(key)?.clone()),
            Kind::ServiceProfile => {
                Object::ServiceProfile(self.service_profiles.newest(key)?.clone())
            }
            Kind::ServerAuthorization => {
                Object::ServerAuthorization(self.authorizations.of_servers.get(key)?.clone())
            }
            Kind::AuthorizationPolicy => {
                Object::AuthorizationPolicy(self.authorizations.policies.get(key)?.clone())
            }
            Kind::MeshTlsAuthentication => {
                Object::MeshTlsAuthentication(self.authorizations.mesh_tls.get(key)?.clone())
            }
            Kind::NetworkAuthentication => {
                Object::NetworkAuthentication(self.authorizations.networks.get(key)?.clone())
            }
            Kind::ExternalWorkload => {
                Object::ExternalWorkload(self.external_workload_named(key)?.clone())
            }
        })
    }
}
