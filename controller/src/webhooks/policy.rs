//! `/validate/policy`: objects of policy, the Gateway API's routes among them
//! (policy.md section 8).

use super::review::{Request, Verdict};
use ferrule_policy::validation::validate;
use serde_json::Value;

pub(super) fn admit(request: &Request<'_>) -> Verdict {
    // Nothing is stored when something is deleted.
    if request.operation == "DELETE" {
        return Verdict::Allowed(Vec::new());
    }
    let object = request.object.map_or("null", |object| object.get());
    let object: Value = match serde_json::from_str(object) {
        Ok(object) => object,
        // Nested too deep, since it is JSON.
        Err(error) => return Verdict::Denied(format!("the object cannot be read: {error}")),
    };
    let kind = &request.kind;
    let namespace = request.namespace.as_deref();
    match validate(&kind.group, &kind.kind, namespace, &object) {
        Ok(warnings) => Verdict::Allowed(warnings),
        Err(refusal) => Verdict::Denied(refusal.to_string()),
    }
}
