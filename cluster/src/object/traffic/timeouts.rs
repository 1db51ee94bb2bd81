use super::{AnnotationError, Annotations, parse_duration, read};
use std::time::Duration;

pub(super) const REQUEST: &str = "timeout.linkerd.io/request";
pub(super) const RESPONSE: &str = "timeout.linkerd.io/response";
pub(super) const IDLE: &str = "timeout.linkerd.io/idle";

/// How long things may take; what is not set may take for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// A request, until the response has ended.
    pub request: Option<Duration>,
    /// A response, from the request's end to its own.
    pub response: Option<Duration>,
    /// A stream on which nothing moves.
    pub idle: Option<Duration>,
}

impl Timeouts {
    /// Reads all three.
    ///
    /// # Errors
    /// The first that is no duration.
    pub fn read(annotations: &impl Annotations) -> Result<Self, AnnotationError> {
        Ok(Self {
            request: read(annotations, REQUEST, parse_duration)?,
            response: read(annotations, RESPONSE, parse_duration)?,
            idle: read(annotations, IDLE, parse_duration)?,
        })
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
