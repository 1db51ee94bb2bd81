//! What a route is attached to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{GROUP, KIND, LABEL, SUBDOMAIN};

// The port decides which traffic to an address outside of the cluster is routed. The rule is one
// of the list in `spec`, not of a reference, since a status says what it found.
pub(super) const EGRESS_PORT: &str = "self.all(p, p.kind.lowerAscii() != 'egressnetwork' \
     || p.group != 'policy.linkerd.io' || has(p.port))";
pub(super) const EGRESS_PORT_MESSAGE: &str = "an EgressNetwork as a parent needs a port";

/// What a route is attached to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// The API group of the parent. A Service needs an empty group, or `core`.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default = "group")]
    pub group: String,
    /// The kind of the parent: `Server`, `Service` or `EgressNetwork`.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    #[serde(default = "kind")]
    pub kind: String,
    /// The name of the parent.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The namespace of the parent; by default that of the route.
    #[schemars(length(min = 1, max = 63), regex(pattern = LABEL))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The port of the parent; by default all of them.
    // The first versions take any number.
    #[schemars(range(min = 1, max = 65535), extend("format" = "int32"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    /// A part of the parent, by name; Services and EgressNetworks have none.
    #[schemars(length(min = 1, max = 253), regex(pattern = SUBDOMAIN))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section_name: Option<String>,
}

pub(super) fn group() -> String {
    "policy.linkerd.io".to_owned()
}

pub(super) fn kind() -> String {
    "Gateway".to_owned()
}
