use super::{AnnotationError, Annotations, parse_duration, read, unexpected};
use std::time::Duration;

pub(super) const HTTP: &str = "retry.linkerd.io/http";
pub(super) const GRPC: &str = "retry.linkerd.io/grpc";
pub(super) const LIMIT: &str = "retry.linkerd.io/limit";
pub(super) const TIMEOUT: &str = "retry.linkerd.io/timeout";

/// How often something is tried again where no annotation says so.
const DEFAULT_LIMIT: u16 = 1;

/// What is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry<C> {
    /// How often, at most; never 0.
    pub limit: u16,
    /// How long each attempt may take; never 0.
    pub timeout: Option<Duration>,
    /// After which outcomes. None of them for no outcome.
    pub conditions: Box<[C]>,
}

/// HTTP statuses from a first to a last one, 100-599.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCodes {
    /// The first.
    pub first: u16,
    /// The last, not before the first.
    pub last: u16,
}

/// A gRPC status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are called what they are")]
pub enum GrpcCode {
    Cancelled,
    DeadlineExceeded,
    Internal,
    ResourceExhausted,
    Unavailable,
}

impl Retry<StatusCodes> {
    /// What is tried again of HTTP requests, if anything is.
    ///
    /// # Errors
    /// The first annotation that cannot be read.
    pub fn read(annotations: &impl Annotations) -> Result<Option<Self>, AnnotationError> {
        of(annotations, HTTP, StatusCodes::parse)
    }
}

impl Retry<GrpcCode> {
    /// What is tried again of gRPC calls, if anything is.
    ///
    /// # Errors
    /// The first annotation that cannot be read.
    pub fn read(annotations: &impl Annotations) -> Result<Option<Self>, AnnotationError> {
        of(annotations, GRPC, GrpcCode::parse)
    }
}

/// Nothing where nothing is set: a limit or timeout of 0 is not.
fn of<C>(
    annotations: &impl Annotations,
    key: &'static str,
    condition: impl Fn(&str) -> Result<C, String>,
) -> Result<Option<Retry<C>>, AnnotationError> {
    let limit = read(annotations, LIMIT, |text| {
        text.parse::<u16>()
            .map_err(|_| unexpected(text, "a number (0-65535)"))
    })?;
    let timeout = read(annotations, TIMEOUT, parse_duration)?;
    // Blanks around an item are not forgiven, as they never were.
    let conditions = read(annotations, key, |text| {
        text.split(',').map(condition).collect::<Result<_, _>>()
    })?;
    let limit = limit.filter(|limit| *limit != 0);
    let timeout = timeout.filter(|timeout| !timeout.is_zero());
    if limit.is_none() && timeout.is_none() && conditions.is_none() {
        return Ok(None);
    }
    Ok(Some(Retry {
        limit: limit.unwrap_or(DEFAULT_LIMIT),
        timeout,
        conditions: conditions.unwrap_or_default(),
    }))
}

impl StatusCodes {
    fn parse(text: &str) -> Result<Self, String> {
        let (first, last) = match text {
            "5xx" => ("500", "599"),
            "gateway-error" => ("502", "504"),
            _ => text.split_once('-').unwrap_or((text, text)),
        };
        let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
        code(first)
            .zip(code(last))
            .filter(|(first, last)| first <= last)
            .map(|(first, last)| Self { first, last })
            .ok_or_else(|| {
                unexpected(
                    text,
                    "5xx, gateway-error, a status (100-599) or a range such as 500-504; \
                     conditions are separated by commas without blanks",
                )
            })
    }
}

impl GrpcCode {
    fn parse(text: &str) -> Result<Self, String> {
        match &*text.to_ascii_lowercase() {
            "cancelled" => Ok(Self::Cancelled),
            "deadline-exceeded" => Ok(Self::DeadlineExceeded),
            "internal" => Ok(Self::Internal),
            "resource-exhausted" => Ok(Self::ResourceExhausted),
            "unavailable" => Ok(Self::Unavailable),
            _ => Err(unexpected(
                text,
                "one of cancelled, deadline-exceeded, internal, resource-exhausted, \
                 unavailable; conditions are separated by commas without blanks",
            )),
        }
    }
}
