//! `/validate/profile`: ServiceProfiles (destination.md section 17).

use super::review::{Request, Verdict};
use ferrule_destination::validation::validate;

pub(super) fn admit(request: &Request<'_>) -> Verdict {
    let Some(object) = request.object else {
        // Nothing is stored when something is deleted.
        return match &*request.operation {
            "DELETE" => Verdict::Allowed(Vec::new()),
            _ => Verdict::Denied("failed to validate ServiceProfile: there is no object".into()),
        };
    };
    match validate(object.get().as_bytes()) {
        Ok(()) => Verdict::Allowed(Vec::new()),
        Err(refusal) => Verdict::Denied(refusal.to_string()),
    }
}
