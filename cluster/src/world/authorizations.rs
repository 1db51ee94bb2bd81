use super::{Changes, World, namespaced::Namespaced};
use crate::object::{
    AuthorizationPolicy, Kind, MeshTlsAuthentication, Name, NetworkAuthentication, ObjectKey,
    ServerAuthorization,
};

/// The objects that say who may call.
#[derive(Default)]
pub(super) struct Authorizations {
    pub(super) of_servers: Namespaced<ServerAuthorization>,
    pub(super) policies: Namespaced<AuthorizationPolicy>,
    pub(super) mesh_tls: Namespaced<MeshTlsAuthentication>,
    pub(super) networks: Namespaced<NetworkAuthentication>,
}

impl World {
    /// The ServerAuthorizations of a namespace, by name.
    pub fn server_authorizations(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (&Name, &ServerAuthorization)> {
        self.authorizations.of_servers.of(namespace)
    }

    /// The AuthorizationPolicies of a namespace, by name.
    pub fn authorization_policies(
        &self,
        namespace: &str,
    ) -> impl Iterator<Item = (&Name, &AuthorizationPolicy)> {
        self.authorizations.policies.of(namespace)
    }

    /// The MeshTLSAuthentication of this name.
    pub fn mesh_tls_authentication(&self, key: &ObjectKey) -> Option<&MeshTlsAuthentication> {
        self.authorizations.mesh_tls.get(key)
    }

    /// The NetworkAuthentication of this name.
    pub fn network_authentication(&self, key: &ObjectKey) -> Option<&NetworkAuthentication> {
        self.authorizations.networks.get(key)
    }

    /// Policies of any namespace may require it. They change rarely, so all are
    /// looked through, and nothing has to be kept that could be wrong.
    pub(super) fn authentication_changed(
        &self,
        kind: Kind,
        key: &ObjectKey,
        changes: &mut Changes,
    ) {
        if !self.is_synced() {
            // Nobody has been told anything yet.
            return;
        }
        let requiring = self
            .authorizations
            .policies
            .namespaces_with(|policy| match kind {
                Kind::MeshTlsAuthentication => policy.requires_mesh_tls(key),
                _ => policy.requires_network(key),
            });
        changes.policies.extend(requiring.cloned());
    }
}
