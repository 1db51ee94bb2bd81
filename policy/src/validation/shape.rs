//! An object's spec as the type that is expected.

use super::Refusal;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a spec.
///
/// # Errors
/// Says which field is missing, or holds something else.
pub(super) fn spec<T: DeserializeOwned>(spec: &Value) -> Result<T, Refusal> {
    if spec.is_null() {
        return Err(Refusal("spec: there is none".to_owned()));
    }
    serde_path_to_error::deserialize(spec).map_err(|error| {
        let path = error.path().to_string();
        let text = error.inner();
        Refusal(match &*path {
            "" | "." | "?" => format!("spec: {text}"),
            path => format!("spec.{path}: {text}"),
        })
    })
}
