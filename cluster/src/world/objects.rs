use super::World;
use crate::object::{
    Kind, Object, ObjectKey,
    route::{RouteKey, RouteKind},
};

impl World {
    /// Whether the object is there with this very content.
    pub(super) fn has(&self, key: &ObjectKey, object: &Object) -> bool {
        match object {
            Object::Service(object) => self.service(key) == Some(object),
            Object::EndpointSlice(object) => {
                let entry = self.slices.named(key);
                entry.is_some_and(|entry| entry.slice == *object)
            }
            Object::Pod(object) => self.pod_named(key) == Some(object),
            Object::Node(object) => self.nodes.get(&key.name) == Some(object),
            Object::Namespace(object) => self.namespaces.get(&key.name) == Some(object),
            Object::ReplicaSet(owner) | Object::Job(owner) => {
                self.owners.get(object.kind(), key) == Some(owner)
            }
            Object::Server(object) => self.servers.get(key) == Some(object),
            Object::ServiceProfile(object) => self.service_profiles.newest(key) == Some(object),
            Object::ServerAuthorization(object) => {
                self.authorizations.of_servers.get(key) == Some(object)
            }
            Object::AuthorizationPolicy(object) => {
                self.authorizations.policies.get(key) == Some(object)
            }
            Object::MeshTlsAuthentication(object) => {
                self.authorizations.mesh_tls.get(key) == Some(object)
            }
            Object::NetworkAuthentication(object) => {
                self.authorizations.networks.get(key) == Some(object)
            }
            Object::ExternalWorkload(object) => self.external_workload_named(key) == Some(object),
            Object::RateLimit(object) => self.rate_limits.get(key) == Some(object),
            Object::EgressNetwork(object) => self.egress_networks.get(key) == Some(object),
            Object::Route(kind, object) => {
                let key = RouteKey {
                    kind: *kind,
                    key: key.clone(),
                };
                let entry = self.routes.get(&key);
                entry.is_some_and(|entry| entry.route == *object)
            }
        }
    }

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
            Kind::RateLimit => Object::RateLimit(self.rate_limits.get(key)?.clone()),
            Kind::EgressNetwork => Object::EgressNetwork(self.egress_networks.get(key)?.clone()),
            Kind::PolicyHttpRoute
            | Kind::HttpRoute
            | Kind::GrpcRoute
            | Kind::TlsRoute
            | Kind::TcpRoute => {
                let kind = RouteKind::of(kind)?;
                let key = key.clone();
                let entry = self.routes.get(&RouteKey { kind, key })?;
                Object::Route(kind, entry.route.clone())
            }
            Kind::ExternalWorkload => {
                Object::ExternalWorkload(self.external_workload_named(key)?.clone())
            }
        })
    }
}
