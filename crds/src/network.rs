//! IP networks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;

/// Addresses of one network, some of its parts left out.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// The network, such as `10.0.0.0/8` or `fd00::/8`, or a single address.
    #[schemars(schema_with = "schema::network")]
    pub cidr: String,
    /// Networks and addresses within `cidr` that do not count.
    #[schemars(schema_with = "schema::networks")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<String>>,
}
