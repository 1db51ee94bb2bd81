//! How long requests may take, in the mesh's own routes.

use super::{super::Refusal, shape::Rule};
use ferrule_cluster::object::GoDuration;

pub(super) fn check<M>(rule: &Rule<M>, path: &str) -> Result<(), Refusal> {
    let Some(timeouts) = &rule.timeouts else {
        return Ok(());
    };
    let request_path = format!("{path}.timeouts.request");
    let request = duration(timeouts.request.as_deref(), &request_path)?;
    let backend_path = format!("{path}.timeouts.backendRequest");
    let backend = duration(timeouts.backend_request.as_deref(), &backend_path)?;
    for (duration, path) in [(request, &request_path), (backend, &backend_path)] {
        if let Some(duration) = duration.filter(|duration| duration.nanos() < 0) {
            return Err(Refusal(format!(
                "{path}: {duration} is less than no time: expected 0s (no limit) or more"
            )));
        }
    }
    match request.zip(backend) {
        Some((request, backend)) if backend > request => Err(Refusal(format!(
            "{backend_path}: {backend} would never be reached: expected at most request, which is \
             {request}"
        ))),
        _ => Ok(()),
    }
}

fn duration(text: Option<&str>, path: &str) -> Result<Option<GoDuration>, Refusal> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error: ferrule_cluster::object::GoDurationError| {
        Refusal(format!("{path}: {error}"))
    })
}
