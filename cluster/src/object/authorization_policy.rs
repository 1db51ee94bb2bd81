use super::{Name, ObjectKey, route::RouteKind};

/// What the mesh reads of an AuthorizationPolicy: what clients must show to be
/// let in somewhere (policy.md section 3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// Where, in its own namespace. `None` where that cannot be read: nowhere.
    pub target: Option<PolicyTarget>,
    /// What. `None` where not all of it can be read: nobody is let in, since less
    /// would let in more.
    pub required: Option<RequiredAuthentications>,
}

/// What a policy is about, in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PolicyTarget {
    /// The Server of this name.
    Server(Name),
    /// Every Server of the namespace.
    Namespace,
    /// A route, wherever it is attached.
    Route {
        /// Its kind.
        kind: RouteKind,
        /// Its name, in lower case as all names are.
        name: Name,
    },
}

/// What clients must show, all of it; where nothing is required, anybody from
/// anywhere is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredAuthentications {
    /// An identity.
    pub identity: Option<IdentitySource>,
    /// An address: the NetworkAuthentication, there or not.
    pub network: Option<ObjectKey>,
}

/// What says which identities are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentitySource {
    /// A MeshTLSAuthentication, there or not.
    MeshTls(ObjectKey),
    /// A ServiceAccount, there or not.
    ServiceAccount(ObjectKey),
}

impl AuthorizationPolicy {
    /// Whether it requires what this MeshTLSAuthentication says.
    pub fn requires_mesh_tls(&self, key: &ObjectKey) -> bool {
        let identity = self.required.as_ref().and_then(|all| all.identity.as_ref());
        matches!(identity, Some(IdentitySource::MeshTls(required)) if required == key)
    }

    /// Whether it requires what this NetworkAuthentication says.
    pub fn requires_network(&self, key: &ObjectKey) -> bool {
        let network = self.required.as_ref().and_then(|all| all.network.as_ref());
        network == Some(key)
    }
}
