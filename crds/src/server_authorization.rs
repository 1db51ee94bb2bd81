//! `ServerAuthorization`, in its two versions of one schema.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::network::Network;
use crate::schema::{IDENTITY, LABEL};
use crate::selector::LabelSelector;

/// Which clients may use which Servers.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1beta1",
    kind = "ServerAuthorization",
    plural = "serverauthorizations",
    shortname = "saz",
    shortname = "serverauthz",
    shortname = "srvauthz",
    namespaced,
    derive = "PartialEq",
    doc = "Lets clients use Servers; AuthorizationPolicy is its successor.",
    printcolumn(
        name = "Server",
        type_ = "string",
        json_path = ".spec.server.name",
        description = "The Server that clients may use"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ServerAuthorizationSpec {
    /// The Servers that clients may use.
    pub server: ServerRef,
    /// The clients.
    pub client: Client,
}

/// Servers of the same namespace, by name or by their labels.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) != has(self.selector)")
    .message("set exactly one of name and selector"))]
pub struct ServerRef {
    /// The name of one Server.
    #[schemars(regex(pattern = LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Selects Servers by their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// Clients, by where they call from and by what they prove.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.meshTLS) || !has(self.unauthenticated) || !self.unauthenticated"
).message("unauthenticated must not be true beside meshTLS"))]
pub struct Client {
    /// The networks that clients may call from; when absent, the cluster's networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Network>>,
    /// Whether clients outside of the mesh may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unauthenticated: Option<bool>,
    /// The mesh identities of clients.
    #[serde(default, rename = "meshTLS", skip_serializing_if = "Option::is_none")]
    pub mesh_tls: Option<MeshTls>,
}

/// Mesh identities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(self.unauthenticatedTLS) || !self.unauthenticatedTLS \
     || ((!has(self.identities) || self.identities.size() == 0) \
         && (!has(self.serviceAccounts) || self.serviceAccounts.size() == 0))"
).message("unauthenticatedTLS must not be true beside identities or serviceAccounts"))]
pub struct MeshTls {
    /// Whether clients need mesh TLS, but no identity: those that have no certificate yet.
    #[serde(
        default,
        rename = "unauthenticatedTLS",
        skip_serializing_if = "Option::is_none"
    )]
    pub unauthenticated_tls: Option<bool>,
    /// Identities: names as in certificates, `*.` and a suffix of such names, or `*` for every
    /// client of the mesh.
    #[schemars(inner(regex(pattern = IDENTITY)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identities: Option<Vec<String>>,
    /// ServiceAccounts whose pods may call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_accounts: Option<Vec<ServiceAccountRef>>,
}

/// A ServiceAccount.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountRef {
    /// The name of the ServiceAccount.
    #[schemars(regex(pattern = LABEL))]
    pub name: String,
    /// Its namespace; by default that of the authorization.
    #[schemars(regex(pattern = LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
