//! `MeshTLSAuthentication`.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::schema::{GROUP, KIND};

/// Clients that are known by their mesh identity.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1alpha1",
    kind = "MeshTLSAuthentication",
    root = "MeshTlsAuthentication",
    plural = "meshtlsauthentications",
    shortname = "meshtlsauthn",
    namespaced,
    derive = "PartialEq",
    doc = "Names clients by the identity that they prove with mutual TLS."
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.identities) != has(self.identityRefs)")
    .message("set exactly one of identities and identityRefs"))]
pub struct MeshTlsAuthenticationSpec {
    /// Identities: names as in certificates, `*.` and a suffix of such names, `*` for every
    /// client of the mesh, or SPIFFE ids.
    #[schemars(length(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<Vec<String>>,
    /// ServiceAccounts whose pods count, or Namespaces all of whose pods count.
    #[schemars(length(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_refs: Option<Vec<IdentityRef>>,
}

/// A ServiceAccount, or a Namespace with all of its ServiceAccounts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "self.kind.lowerAscii() in ['serviceaccount', 'namespace']"
    ).message("kind must be ServiceAccount or Namespace"),
    validation = Rule::new("!has(self.group) || self.group == '' || self.group == 'core'")
        .message("group must be empty: ServiceAccount and Namespace are core kinds"),
    validation = Rule::new("self.kind.lowerAscii() != 'namespace' || !has(self.__namespace__)")
        .message("a Namespace is not in a namespace: remove the field namespace")
)]
pub struct IdentityRef {
    /// The API group; empty or absent, since both kinds are of the core group.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `ServiceAccount` or `Namespace`.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    pub kind: String,
    /// The name.
    // Linkerd's definition does not require it; such a reference was never of any effect.
    #[schemars(required, length(min = 1, max = 253))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The ServiceAccount's namespace; by default that of the MeshTLSAuthentication.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
