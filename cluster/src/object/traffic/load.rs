use super::{AnnotationError, Annotations, flag, parse_duration, read};
use std::time::Duration;

pub(super) const PENALIZE: &str = "balancer.alpha.linkerd.io/penalize-failures";
pub(super) const PENALTY: &str = "balancer.alpha.linkerd.io/load-biaser-penalty";
pub(super) const MAX_RETRY_AFTER: &str = "balancer.alpha.linkerd.io/load-biaser-max-retry-after";

/// What a failure counts for where no annotation says so.
const DEFAULT_PENALTY: Duration = Duration::from_secs(5);
/// How long an endpoint may ask to be left alone where no annotation says so.
const DEFAULT_MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// How endpoints that fail get less to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBias {
    /// The round trip that a failure is taken for.
    pub penalty: Duration,
    /// The longest `retry-after` of an endpoint that is believed.
    pub max_retry_after: Duration,
}

impl LoadBias {
    /// Reads whether failures count, and for how much.
    ///
    /// # Errors
    /// The first annotation that cannot be read.
    pub fn read(annotations: &impl Annotations) -> Result<Option<Self>, AnnotationError> {
        let penalize = read(annotations, PENALIZE, flag)?.unwrap_or_default();
        let penalty = read(annotations, PENALTY, penalty)?;
        let max_retry_after = read(annotations, MAX_RETRY_AFTER, parse_duration)?;
        Ok(penalize.then(|| Self {
            penalty: penalty.unwrap_or(DEFAULT_PENALTY),
            max_retry_after: max_retry_after.unwrap_or(DEFAULT_MAX_RETRY_AFTER),
        }))
    }
}

fn penalty(text: &str) -> Result<Duration, String> {
    let penalty = parse_duration(text)?;
    match u32::try_from(penalty.as_millis()) {
        Ok(_) => Ok(penalty),
        Err(_) => Err("more than 2^32-1 milliseconds (49 days)".to_owned()),
    }
}
