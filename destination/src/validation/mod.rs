//! Whether a ServiceProfile may be stored (destination.md section 17).
//!
//! What is allowed here can be told to proxies: conditions and durations are read
//! by the same code as those that the cluster holds. Names that occur twice, what
//! a regular expression means and where an override leads are not looked at.
//!
//! ```
//! use ferrule_destination::validation::validate;
//!
//! let profile = br#"{
//!     "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
//!     "metadata": {"name": "web.shop.svc.cluster.local", "namespace": "shop"},
//!     "spec": {"routes": [{"name": "all", "condition": {}}]}
//! }"#;
//! let refusal = validate(profile).unwrap_err();
//! assert_eq!(
//!     refusal.to_string(),
//!     "ServiceProfile \"web.shop.svc.cluster.local\" has a route with an invalid condition: \
//!      A request match must have a field set"
//! );
//! ```

mod strict;

use self::strict::{Object, Route};
use ferrule_cluster::object::{GoDuration, Match, RequestTest, StatusRange, Test};
use serde::Deserializer;
use serde_json::Value;
use thiserror::Error;

/// The longest name of an object.
const MAX_NAME: usize = 253;

/// Why a ServiceProfile may not be stored. What it says reaches whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refusal(String);

/// Looks at a ServiceProfile as JSON.
///
/// # Errors
/// The first mistake in it.
pub fn validate(json: &[u8]) -> Result<(), Refusal> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let object = decode(&mut reader)?;
    reader.end().map_err(|error| undecodable("", &error))?;
    let value = serde_json::from_slice(json).map_err(|error| undecodable("", &error))?;
    rules(object, &value)
}

/// Looks at a ServiceProfile that was parsed by somebody else: fields that were
/// given twice are no longer seen.
///
/// # Errors
/// The first mistake in it.
pub fn validate_value(value: &Value) -> Result<(), Refusal> {
    rules(decode(value)?, value)
}

fn decode<'de, D>(deserializer: D) -> Result<Object, Refusal>
where
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        undecodable(&path, error.inner())
    })
}

/// Where in the text it is says nothing to those who wrote another one.
fn undecodable(path: &str, error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    Refusal(match path {
        "" | "." | "?" => format!("failed to validate ServiceProfile: {text}"),
        path => format!("failed to validate ServiceProfile: {path}: {text}"),
    })
}

/// The rules, in the order of section 17. `value` is the same object, which
/// conditions are read from.
fn rules(object: Object, value: &Value) -> Result<(), Refusal> {
    let name = object.metadata.and_then(|metadata| metadata.name);
    let name = name.unwrap_or_default();
    let refuse = |mistake: String| Refusal(format!("ServiceProfile {name:?} {mistake}"));
    if !is_subdomain(&name) {
        return Err(refuse(
            "has invalid name: expected lower case letters, digits, '-' and '.', with a letter \
             or digit at the beginning and end of each part, at most 253 characters"
                .to_owned(),
        ));
    }
    let spec = object.spec.unwrap_or_default();
    let written = &value["spec"]["routes"];
    for (at, route) in spec.routes.unwrap_or_default().into_iter().enumerate() {
        check_route(route, &written[at]).map_err(refuse)?;
    }
    let Some(budget) = spec.retry_budget else {
        return Ok(());
    };
    let ratio = budget.retry_ratio.unwrap_or_default();
    if ratio < 0.0 {
        let mistake = format!("RetryBudget RetryRatio must be non-negative: {ratio:.6}");
        return Err(refuse(mistake));
    }
    let ttl = budget.ttl.unwrap_or_default();
    if ttl.is_empty() {
        return Err(refuse("RetryBudget missing TTL field".to_owned()));
    }
    match ttl.parse::<GoDuration>() {
        Ok(_) => Ok(()),
        Err(error) => Err(refuse(format!("RetryBudget: {error}"))),
    }
}

fn check_route(route: Option<Route>, written: &Value) -> Result<(), String> {
    let Some(route) = route else {
        return Err("has a null route".to_owned());
    };
    if route.name.unwrap_or_default().is_empty() {
        return Err("has a route with no name".to_owned());
    }
    let timeout = route.timeout.unwrap_or_default();
    if !timeout.is_empty()
        && let Err(error) = timeout.parse::<GoDuration>()
    {
        return Err(format!("has a route with an invalid timeout: {error}"));
    }
    check_condition::<RequestTest>(written, "route")?;
    let written = &written["responseClasses"];
    let classes = route.response_classes.unwrap_or_default();
    for (at, class) in classes.into_iter().enumerate() {
        if class.is_none() {
            return Err("has a null response class".to_owned());
        }
        check_condition::<StatusRange>(&written[at], "response class")?;
    }
    Ok(())
}

fn check_condition<T: Test>(parent: &Value, kind: &str) -> Result<(), String> {
    match &parent["condition"] {
        Value::Null => Err(format!("has a {kind} with no condition")),
        condition => Match::<T>::read(condition)
            .map(drop)
            .map_err(|error| format!("has a {kind} with an invalid condition: {error}")),
    }
}

/// RFC 1123, as Kubernetes takes it.
fn is_subdomain(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= MAX_NAME
        && name.split('.').all(|label| {
            let bytes = label.as_bytes();
            let inner = |byte: &u8| is_end(Some(byte)) || *byte == b'-';
            is_end(bytes.first()) && is_end(bytes.last()) && bytes.iter().all(inner)
        })
}

#[cfg(test)]
mod tests;
