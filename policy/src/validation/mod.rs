//! Whether an object of policy may be stored (policy.md section 8).
//!
//! One function says it, of an object alone: nothing else of the cluster is asked,
//! so what an object refers to may come later. The webhook and `ferrule check` both
//! ask it.
//!
//! ```text
//!   (group, kind) ─► spec read as that kind ─► rules of the kind ─► what is odd about it
//!                    │ refused; of the Gateway │ refused            │ warnings
//!                    ▼ API's kinds: a warning  ▼                    ▼
//! ```
//!
//! A mistake would do nothing or something else than was meant; a warning is about
//! what is stored all the same, and not understood. The Gateway API's kinds are
//! other controllers' too, and may be newer than what is known here: of those, what
//! cannot be read is not refused.
//!
//! ```
//! use ferrule_policy::validation::validate;
//! use serde_json::json;
//!
//! let object = json!({"spec": {"networks": [{"cidr": "10.0.0.0/8", "except": ["0.0.0.0/0"]}]}});
//! let refusal = validate("policy.linkerd.io", "NetworkAuthentication", None, &object).unwrap_err();
//! assert_eq!(
//!     refusal.to_string(),
//!     "spec.networks[0].except[0]: \"0.0.0.0/0\" leaves nothing of \"10.0.0.0/8\": remove this \
//!      network, or except less of it"
//! );
//! ```

mod authorization_policy;
mod egress_network;
mod identity;
mod mesh_tls_authentication;
mod network;
mod network_authentication;
mod rate_limit;
mod reference;
mod server;
mod server_authorization;
mod shape;

use ferrule_cluster::{object::Kind, source::manifests::problems};
use serde_json::Value;
use thiserror::Error;

/// The group of the mesh's own kinds.
const POLICY: &str = "policy.linkerd.io";
/// The group of the Gateway API's kinds.
const GATEWAY: &str = "gateway.networking.k8s.io";

/// Why an object may not be stored: the field, what was found there and what to
/// change. It reaches whoever wrote the object.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Refusal(String);

/// What is read of an object besides its kind.
struct Subject<'a> {
    /// The namespace that it is for, where that is known.
    namespace: Option<&'a str>,
    spec: &'a Value,
}

/// Looks at the objects of one kind.
type Rules = fn(&Subject<'_>) -> Result<(), Refusal>;

/// Every kind that has rules.
const KINDS: [(&str, &str, Rules); 7] = [
    (POLICY, "Server", server::check),
    (POLICY, "ServerAuthorization", server_authorization::check),
    (POLICY, "AuthorizationPolicy", authorization_policy::check),
    (
        POLICY,
        "MeshTLSAuthentication",
        mesh_tls_authentication::check,
    ),
    (
        POLICY,
        "NetworkAuthentication",
        network_authentication::check,
    ),
    (POLICY, "EgressNetwork", egress_network::check),
    (POLICY, "HTTPLocalRateLimitPolicy", rate_limit::check),
];

/// Whether there are rules for this kind, in whatever version. Letters may be
/// capital or not.
pub fn is_validated(group: &str, kind: &str) -> bool {
    rules(group, kind).is_some()
}

fn rules(group: &str, kind: &str) -> Option<Rules> {
    let mut kinds = KINDS.into_iter();
    let is_it = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    let found = kinds.find(|(of, name, _)| is_it(of, group) && is_it(name, kind))?;
    Some(found.2)
}

/// Looks at an object of this kind, in whatever version. `namespace` is the one
/// that it is to be in, if that is known. What comes back is odd about it and no
/// reason to refuse it: whoever wrote it should be told.
///
/// # Errors
/// The first mistake in it; also if there are no rules for its kind.
pub fn validate(
    group: &str,
    kind: &str,
    namespace: Option<&str>,
    object: &Value,
) -> Result<Vec<String>, Refusal> {
    let rules = rules(group, kind).ok_or_else(|| {
        Refusal(format!(
            "unsupported resource type: {kind:?} of group {group:?} is no kind of policy"
        ))
    })?;
    rules(&Subject {
        namespace,
        spec: &object["spec"],
    })?;
    Ok(not_understood(group, kind, object))
}

/// What the index will say of an object that may be stored.
fn not_understood(group: &str, kind: &str, object: &Value) -> Vec<String> {
    let known = Kind::ALL.into_iter().find(|known| {
        known.group().eq_ignore_ascii_case(group) && known.as_str().eq_ignore_ascii_case(kind)
    });
    known.map_or_else(Vec::new, |kind| problems(kind, object.clone()))
}
