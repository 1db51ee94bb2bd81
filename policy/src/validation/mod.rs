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
mod route;
mod server;
mod server_authorization;

use ferrule_cluster::{
    object::{Kind, traffic::Annotations},
    source::manifests::problems,
};
use serde::de::DeserializeOwned;
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
    annotations: &'a Value,
    spec: &'a Value,
}

impl Subject<'_> {
    /// The spec as the type that is expected.
    ///
    /// # Errors
    /// Says which field is missing, or holds something else.
    fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        if self.spec.is_null() {
            return Err(Refusal("spec: there is none".to_owned()));
        }
        serde_path_to_error::deserialize(self.spec).map_err(|error| {
            let path = error.path().to_string();
            let text = error.inner();
            Refusal(match &*path {
                "" | "." | "?" => format!("spec: {text}"),
                path => format!("spec.{path}: {text}"),
            })
        })
    }
}

impl Annotations for Subject<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        self.annotations[key].as_str()
    }
}

/// Something that may be wrong with an object.
type Check = fn(&Subject<'_>) -> Result<(), Refusal>;

/// The rules of one kind.
#[derive(Clone, Copy)]
struct Rules {
    group: &'static str,
    kind: &'static str,
    /// That the spec is one at all, of kinds that others define: it may also be of a
    /// version that is not known here, and is not refused.
    is_known: Option<Check>,
    check: Check,
}

const fn own(kind: &'static str, check: Check) -> Rules {
    Rules {
        group: POLICY,
        kind,
        is_known: None,
        check,
    }
}

const fn foreign(kind: &'static str, is_known: Check, check: Check) -> Rules {
    Rules {
        group: GATEWAY,
        kind,
        is_known: Some(is_known),
        check,
    }
}

/// Every kind that has rules.
const KINDS: [Rules; 12] = [
    own("Server", server::check),
    own("ServerAuthorization", server_authorization::check),
    own("AuthorizationPolicy", authorization_policy::check),
    own("MeshTLSAuthentication", mesh_tls_authentication::check),
    own("NetworkAuthentication", network_authentication::check),
    own("EgressNetwork", egress_network::check),
    own("HTTPLocalRateLimitPolicy", rate_limit::check),
    own("HTTPRoute", route::policy_http),
    foreign("HTTPRoute", route::is_http, route::gateway_http),
    foreign("GRPCRoute", route::is_grpc, route::gateway_grpc),
    foreign("TLSRoute", route::is_connections, route::connections),
    foreign("TCPRoute", route::is_connections, route::connections),
];

/// Whether there are rules for this kind, in whatever version. Letters may be
/// capital or not.
pub fn is_validated(group: &str, kind: &str) -> bool {
    rules(group, kind).is_some()
}

fn rules(group: &str, kind: &str) -> Option<Rules> {
    let mut kinds = KINDS.into_iter();
    kinds.find(|rules| {
        rules.group.eq_ignore_ascii_case(group) && rules.kind.eq_ignore_ascii_case(kind)
    })
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
    let mut spec = object["spec"].clone();
    drop_nulls(&mut spec);
    let subject = Subject {
        namespace,
        annotations: &object["metadata"]["annotations"],
        spec: &spec,
    };
    let is_foreign = rules.is_known.is_some();
    if let Some(Err(unknown)) = rules.is_known.map(|is_known| is_known(&subject)) {
        let warning = format!(
            "{unknown}: this is no {} as it is known here, so it was not looked at and may have no \
             effect",
            rules.kind
        );
        let is_ours = route::may_be_for_the_mesh(&subject);
        return Ok(is_ours.then_some(warning).into_iter().collect());
    }
    (rules.check)(&subject)?;
    // What other controllers make of their routes is their business.
    if is_foreign && !route::may_be_for_the_mesh(&subject) {
        return Ok(Vec::new());
    }
    Ok(not_understood(rules, object))
}

/// A field that is null is as good as none, as everywhere in Kubernetes.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// What the index will say of an object that may be stored.
fn not_understood(rules: Rules, object: &Value) -> Vec<String> {
    let known = Kind::ALL
        .into_iter()
        .find(|known| known.group() == rules.group && known.manifest_name() == rules.kind);
    known.map_or_else(Vec::new, |kind| problems(kind, object))
}
