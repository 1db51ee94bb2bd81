use super::{Changes, World, namespaced::Namespaced};
use crate::object::{
    AuthorizationPolicy, Kind, MeshTlsAuthentication, Name, NetworkAuthentication, ObjectKey,
    PolicyTarget, ServerAuthorization, route::RouteKey,
};
use rustc_hash::FxHashMap;

/// The objects that say who may call.
#[derive(Default)]
pub(super) struct Authorizations {
    pub(super) of_servers: Namespaced<ServerAuthorization>,
    pub(super) policies: Policies,
    pub(super) mesh_tls: Namespaced<MeshTlsAuthentication>,
    pub(super) networks: Namespaced<NetworkAuthentication>,
}

/// AuthorizationPolicies, by what they are about: a Server's are asked for at every
/// change of its namespace, which may have thousands.
#[derive(Default)]
pub(super) struct Policies {
    objects: Namespaced<AuthorizationPolicy>,
    /// Their names, in order, in each namespace.
    by_target: FxHashMap<Name, FxHashMap<PolicyTarget, Vec<Name>>>,
}

impl Policies {
    pub(super) fn count(&self) -> usize {
        self.objects.count()
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.objects.keys()
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&AuthorizationPolicy> {
        self.objects.get(key)
    }

    /// Whether that says anything new.
    pub(super) fn apply(&mut self, key: &ObjectKey, policy: AuthorizationPolicy) -> bool {
        let old = self.objects.get(key);
        if old == Some(&policy) {
            return false;
        }
        if old.is_none_or(|old| old.target != policy.target) {
            self.remove(key);
            if let Some(target) = policy.target.clone() {
                let targets = self.by_target.entry(key.namespace.clone()).or_default();
                let names = targets.entry(target).or_default();
                if let Err(place) = names.binary_search(&key.name) {
                    names.insert(place, key.name.clone());
                }
            }
        }
        self.objects.insert(key, policy);
        true
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<AuthorizationPolicy> {
        let old = self.objects.remove(key)?;
        if let Some(target) = &old.target
            && let Some(targets) = self.by_target.get_mut(&key.namespace)
            && let Some(names) = targets.get_mut(target)
        {
            names.retain(|name| *name != key.name);
            if names.is_empty() {
                targets.remove(target);
            }
            if targets.is_empty() {
                self.by_target.remove(&key.namespace);
            }
        }
        Some(old)
    }

    fn about<'w>(
        &'w self,
        namespace: &'w str,
        target: &PolicyTarget,
    ) -> impl Iterator<Item = (&'w Name, &'w AuthorizationPolicy)> + use<'w> {
        let targets = self.by_target.get(namespace);
        let names = targets.and_then(|targets| targets.get(target));
        names
            .into_iter()
            .flatten()
            .filter_map(move |name| Some((name, self.objects.named(namespace, name)?)))
    }
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
        self.authorizations.policies.objects.of(namespace)
    }

    /// The AuthorizationPolicies about a Server, those about its whole namespace among
    /// them, by name.
    pub fn policies_of_server<'w>(
        &'w self,
        namespace: &'w str,
        server: &Name,
    ) -> Vec<(&'w Name, &'w AuthorizationPolicy)> {
        let policies = &self.authorizations.policies;
        let its_own = policies.about(namespace, &PolicyTarget::Server(server.clone()));
        let wide = policies.about(namespace, &PolicyTarget::Namespace);
        let mut all: Vec<_> = its_own.chain(wide).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// The AuthorizationPolicies about a route, by name.
    pub fn policies_of_route<'w>(
        &'w self,
        route: &'w RouteKey,
    ) -> impl Iterator<Item = (&'w Name, &'w AuthorizationPolicy)> {
        let target = PolicyTarget::Route {
            kind: route.kind,
            name: route.key.name.clone(),
        };
        let policies = &self.authorizations.policies;
        policies.about(&route.key.namespace, &target)
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
            .objects
            .namespaces_with(|policy| match kind {
                Kind::MeshTlsAuthentication => policy.requires_mesh_tls(key),
                _ => policy.requires_network(key),
            });
        changes.policies.extend(requiring.cloned());
    }
}
