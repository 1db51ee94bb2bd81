//! `Server` of `policy.linkerd.io/v1beta1`.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{PORT, PORT_MESSAGE, PROTOCOL, PROTOCOL_MESSAGE, unknown};
use crate::schema;
use crate::selector::LabelSelector;

/// A port of some workloads, what is spoken there.
#[derive(Clone, Debug, PartialEq, Eq, CustomResource, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "policy.linkerd.io",
    version = "v1beta1",
    kind = "Server",
    plural = "servers",
    shortname = "srv",
    storage = false,
    deprecated = "policy.linkerd.io/v1beta1 Server is deprecated: use policy.linkerd.io/v1beta3",
    namespaced,
    derive = "PartialEq",
    doc = "A port of some workloads: the protocol spoken there, and what authorizations refer to.",
    printcolumn(
        name = "Port",
        type_ = "string",
        json_path = ".spec.port",
        description = "The port, by number or name"
    ),
    printcolumn(
        name = "Protocol",
        type_ = "string",
        json_path = ".spec.proxyProtocol",
        description = "The protocol that clients speak"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ServerSpec {
    /// Selects pods of the same namespace by their labels.
    // Absent where a newer version selects something else.
    #[schemars(required)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// The port, by number or by the name that the workload gives it.
    #[x_kube(validation = Rule::new(PORT).message(PORT_MESSAGE))]
    #[schemars(schema_with = "schema::int_or_string")]
    pub port: IntOrString,
    /// The protocol that clients speak: `unknown` (the proxy finds out), `HTTP/1`, `HTTP/2`,
    /// `gRPC`, `opaque` or `TLS`.
    #[x_kube(validation = Rule::new(PROTOCOL).message(PROTOCOL_MESSAGE))]
    #[serde(default = "unknown")]
    pub proxy_protocol: String,
}
