use super::{ClientIdentity, Network};

/// What the mesh reads of a MeshTLSAuthentication: identities that
/// AuthorizationPolicies of any namespace may require (policy.md section 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshTlsAuthentication {
    /// `identities`, then `identityRefs`. Without any it is as if it was not
    /// there.
    pub identities: Box<[ClientIdentity]>,
}

/// What the mesh reads of a NetworkAuthentication: networks that
/// AuthorizationPolicies of any namespace may require (policy.md section 3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkAuthentication {
    /// `networks`. Without any it is as if it was not there.
    pub networks: Box<[Network]>,
}
