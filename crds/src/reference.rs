//! References to other objects.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{GROUP, KIND};

/// A reference to an object of the same namespace, or to the namespace itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// The API group of the object; empty or absent for the core group.
    #[schemars(length(max = 253), regex(pattern = GROUP))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind of the object.
    #[schemars(length(min = 1, max = 63), regex(pattern = KIND))]
    pub kind: String,
    /// The name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}
