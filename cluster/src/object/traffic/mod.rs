//! What annotations of Services, EgressNetworks and routes say about retries,
//! timeouts, circuit breaking and load (policy.md sections 2.6, 4, 6.8 and 6.9).

mod accrual;
mod duration;
mod load;
mod retry;
mod timeouts;

pub use self::{
    accrual::{Accrual, AccrualMode, SuccessRate},
    duration::parse_duration,
    load::LoadBias,
    retry::{GrpcCode, Retry, StatusCodes},
    timeouts::Timeouts,
};

use super::parse_boolean;
use std::fmt;
use thiserror::Error;

/// What the annotations of a Service or EgressNetwork say for all that goes
/// there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// When an endpoint counts as broken.
    pub accrual: Option<Accrual>,
    /// What is tried again of HTTP requests,
    pub http_retry: Option<Retry<StatusCodes>>,
    /// and of gRPC calls.
    pub grpc_retry: Option<Retry<GrpcCode>>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Whether endpoints that fail get less to do; only of Services.
    pub load_bias: Option<LoadBias>,
}

/// An annotation that does not say what it should.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("annotation {key}: {problem}")]
pub struct AnnotationError {
    /// The annotation.
    pub key: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// The keys that are read here.
pub const KEYS: [&str; 19] = [
    accrual::MODE,
    accrual::MAX_FAILURES,
    accrual::MIN_PENALTY,
    accrual::MAX_PENALTY,
    accrual::JITTER,
    accrual::THRESHOLD,
    accrual::WINDOW,
    accrual::MIN_REQUESTS,
    accrual::HONOR_RETRY_AFTER,
    load::PENALIZE,
    load::PENALTY,
    load::MAX_RETRY_AFTER,
    retry::HTTP,
    retry::GRPC,
    retry::LIMIT,
    retry::TIMEOUT,
    timeouts::REQUEST,
    timeouts::RESPONSE,
    timeouts::IDLE,
];

/// An object's annotations: the value of each key that it has.
pub trait Annotations {
    /// The value, as written.
    fn value(&self, key: &str) -> Option<&str>;
}

impl Traffic {
    /// Reads what an object's annotations say. Of each group that cannot be read
    /// nothing holds, and why is among the `problems`.
    pub fn read(annotations: &impl Annotations, problems: &mut Vec<String>) -> Self {
        let accrual = Accrual::read(annotations);
        let http_retry = Retry::<StatusCodes>::read(annotations);
        let grpc_retry = Retry::<GrpcCode>::read(annotations);
        let timeouts = Timeouts::read(annotations);
        let load_bias = LoadBias::read(annotations);
        let mut traffic = Self::default();
        keep(accrual, &mut traffic.accrual, problems);
        keep(http_retry, &mut traffic.http_retry, problems);
        keep(grpc_retry, &mut traffic.grpc_retry, problems);
        keep(timeouts, &mut traffic.timeouts, problems);
        keep(load_bias, &mut traffic.load_bias, problems);
        traffic
    }
}

/// Once, where two groups have an annotation in common.
fn keep<T>(read: Result<T, AnnotationError>, into: &mut T, problems: &mut Vec<String>) {
    match read {
        Ok(value) => *into = value,
        Err(error) => {
            let problem = error.to_string();
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
}

/// What an annotation says, where it is there.
fn read<T, E: fmt::Display>(
    annotations: &impl Annotations,
    key: &'static str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, AnnotationError> {
    let Some(text) = annotations.value(key) else {
        return Ok(None);
    };
    parse(text).map(Some).map_err(|error| AnnotationError {
        key,
        problem: error.to_string(),
    })
}

/// A text that is none of those expected.
fn unexpected(text: &str, expected: &str) -> String {
    let quoted: String = text.chars().take(80).collect();
    format!("{quoted:?} is not {expected}")
}

/// Yes or no, with blanks around it.
fn flag(text: &str) -> Result<bool, String> {
    let text = text.trim();
    parse_boolean(text).ok_or_else(|| unexpected(text, "true or false"))
}

/// A number, with blanks around it.
fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    let text = text.trim();
    text.parse()
        .map_err(|_| unexpected(text, "a number that is not negative and not too large"))
}

#[cfg(test)]
mod tests;
