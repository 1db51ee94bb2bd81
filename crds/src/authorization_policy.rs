//! `AuthorizationPolicy`.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::reference::TargetRef;
use crate::schema::{GROUP, KIND};

/// What clients must prove before they may use a target.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1alpha1",
    kind = "AuthorizationPolicy",
    plural = "authorizationpolicies",
    shortname = "authzpolicy",
    namespaced,
    derive = "PartialEq",
    doc = "Lets clients that prove who they are use a Server, a route, or all of a namespace."
)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationPolicySpec {
    /// What the policy protects: a Server, an HTTPRoute or a GRPCRoute of this namespace, or
    /// this namespace.
    #[x_kube(validation = Rule::new(TARGET).message(
        "must be a Server or HTTPRoute of policy.linkerd.io, an HTTPRoute or GRPCRoute of \
         gateway.networking.k8s.io, or a Namespace without a group"
    ))]
    pub target_ref: TargetRef,
    /// What a client must prove, all of it: at most one MeshTLSAuthentication or ServiceAccount,
    /// and at most one NetworkAuthentication. An empty list lets everyone in.
    #[x_kube(
        validation = Rule::new(ONE_IDENTITY).message(
            "at most one may be a MeshTLSAuthentication or a ServiceAccount: list several \
             identities in one MeshTLSAuthentication"
        ),
        validation = Rule::new(ONE_NETWORK).message(
            "at most one may be a NetworkAuthentication: list several networks in one"
        )
    )]
    pub required_authentication_refs: Vec<AuthenticationRef>,
}

/// What a client must prove.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(AUTHENTICATION_KIND)
        .message("kind must be MeshTLSAuthentication, NetworkAuthentication or ServiceAccount"),
    validation = Rule::new(AUTHENTICATION_GROUP)
        .message("group must be policy.linkerd.io, or empty for a ServiceAccount")
)]
pub struct AuthenticationRef {
    /// The API group of the object; empty or absent for the core group.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind: `MeshTLSAuthentication`, `NetworkAuthentication` or `ServiceAccount`.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    pub kind: String,
    /// The name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of the object; by default that of the policy.
    #[schemars(length(max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

// Kinds are compared without regard to case, as they are by the index; a group's pattern has no
// capital letters.
const TARGET: &str = "self.kind.lowerAscii() == 'namespace' \
     ? !has(self.group) || self.group in ['', 'core'] \
     : has(self.group) && (self.group == 'policy.linkerd.io' \
         ? self.kind.lowerAscii() in ['server', 'httproute'] \
         : self.group == 'gateway.networking.k8s.io' \
             && self.kind.lowerAscii() in ['httproute', 'grpcroute'])";
// Two rules, since the cost of each is limited.
const AUTHENTICATION_KIND: &str = "self.kind.lowerAscii() in \
     ['meshtlsauthentication', 'networkauthentication', 'serviceaccount']";
const AUTHENTICATION_GROUP: &str = "self.kind.lowerAscii() == 'serviceaccount' \
     ? !has(self.group) || self.group == '' || self.group == 'core' \
     : has(self.group) && self.group == 'policy.linkerd.io'";
const ONE_IDENTITY: &str = "self.filter(r, \
     r.kind.lowerAscii() in ['meshtlsauthentication', 'serviceaccount']).size() <= 1";
const ONE_NETWORK: &str =
    "self.filter(r, r.kind.lowerAscii() == 'networkauthentication').size() <= 1";
