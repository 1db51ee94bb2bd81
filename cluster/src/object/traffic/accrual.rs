use super::{AnnotationError, Annotations, flag, number, parse_duration, read, unexpected};
use std::{fmt, str::FromStr, time::Duration};

pub(super) const MODE: &str = "balancer.linkerd.io/failure-accrual";
pub(super) const MAX_FAILURES: &str =
    "balancer.linkerd.io/failure-accrual-consecutive-max-failures";
pub(super) const MIN_PENALTY: &str = "balancer.linkerd.io/failure-accrual-consecutive-min-penalty";
pub(super) const MAX_PENALTY: &str = "balancer.linkerd.io/failure-accrual-consecutive-max-penalty";
pub(super) const JITTER: &str = "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio";
pub(super) const THRESHOLD: &str =
    "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold";
pub(super) const WINDOW: &str = "balancer.alpha.linkerd.io/failure-accrual-success-rate-window";
pub(super) const MIN_REQUESTS: &str =
    "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests";
pub(super) const HONOR_RETRY_AFTER: &str =
    "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after";

// The reference's (policy.md section 4).
const DEFAULT_MAX_FAILURES: u32 = 7;
const DEFAULT_MIN_PENALTY: Duration = Duration::from_secs(1);
const DEFAULT_MAX_PENALTY: Duration = Duration::from_secs(60);
const DEFAULT_JITTER: f32 = 0.5;
const DEFAULT_THRESHOLD: f64 = 0.8;
const DEFAULT_WINDOW: Duration = Duration::from_secs(10);
const DEFAULT_MIN_REQUESTS: u32 = 5;

/// When an endpoint counts as broken, and for how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Accrual {
    /// After how many failures in a row.
    pub max_failures: u32,
    /// How long at first.
    pub min_penalty: Duration,
    /// How long at most; not 0 and not less than at first.
    pub max_penalty: Duration,
    /// How much of a penalty is added by chance, 0-100.
    pub jitter: f32,
    /// What else it takes.
    pub mode: AccrualMode,
}

/// What counts besides failures in a row.
#[derive(Clone, Debug, PartialEq)]
pub enum AccrualMode {
    /// Nothing.
    Consecutive,
    /// The rate of success.
    Unified(SuccessRate),
}

/// A rate of success below which an endpoint counts as broken.
#[derive(Clone, Debug, PartialEq)]
pub struct SuccessRate {
    /// The rate, 0-1.
    pub threshold: f64,
    /// Over how long a time, never 0.
    pub window: Duration,
    /// And over how many requests at least.
    pub min_requests: u32,
    /// Whether an endpoint may say how long it is to be left alone.
    pub honor_retry_after: bool,
}

impl Accrual {
    /// Reads it; nothing without a mode.
    ///
    /// # Errors
    /// The first annotation that cannot be read, or that does not go with
    /// another.
    pub fn read(annotations: &impl Annotations) -> Result<Option<Self>, AnnotationError> {
        let Some(is_unified) = read(annotations, MODE, mode)? else {
            return Ok(None);
        };
        let max_failures = read(annotations, MAX_FAILURES, number)?;
        let min_penalty = read(annotations, MIN_PENALTY, parse_duration)?;
        let max_penalty = read(annotations, MAX_PENALTY, parse_duration)?;
        let jitter = read(annotations, JITTER, |text| within(text, &100.0_f32))?;
        let accrual = Self {
            max_failures: max_failures.unwrap_or(DEFAULT_MAX_FAILURES),
            min_penalty: min_penalty.unwrap_or(DEFAULT_MIN_PENALTY),
            max_penalty: max_penalty.unwrap_or(DEFAULT_MAX_PENALTY),
            jitter: jitter.unwrap_or(DEFAULT_JITTER),
            mode: match is_unified {
                true => AccrualMode::Unified(SuccessRate::read(annotations)?),
                false => AccrualMode::Consecutive,
            },
        };
        if accrual.max_penalty.is_zero() {
            return Err(wrong(MAX_PENALTY, "is not more than 0"));
        }
        if accrual.min_penalty > accrual.max_penalty {
            return Err(wrong(MIN_PENALTY, "is more than the max-penalty"));
        }
        Ok(Some(accrual))
    }
}

impl SuccessRate {
    fn read(annotations: &impl Annotations) -> Result<Self, AnnotationError> {
        let threshold = read(annotations, THRESHOLD, |text| within(text, &1.0_f64))?;
        let window = read(annotations, WINDOW, parse_duration)?;
        let min_requests = read(annotations, MIN_REQUESTS, number)?;
        let honor_retry_after = read(annotations, HONOR_RETRY_AFTER, flag)?;
        let rate = Self {
            threshold: threshold.unwrap_or(DEFAULT_THRESHOLD),
            window: window.unwrap_or(DEFAULT_WINDOW),
            min_requests: min_requests.unwrap_or(DEFAULT_MIN_REQUESTS),
            honor_retry_after: honor_retry_after.unwrap_or_default(),
        };
        if rate.window.is_zero() {
            return Err(wrong(WINDOW, "is not more than 0"));
        }
        // What proxies refuse unless the rate does not count.
        if rate.threshold > 0.0 {
            if rate.window < Duration::from_millis(10) {
                return Err(wrong(WINDOW, "is less than 10ms"));
            }
            if rate.min_requests > 1_000_000 {
                return Err(wrong(MIN_REQUESTS, "is more than 1000000"));
            }
        }
        Ok(rate)
    }
}

fn mode(text: &str) -> Result<bool, String> {
    match text {
        "consecutive" => Ok(false),
        "unified" => Ok(true),
        other => Err(unexpected(other, "consecutive or unified")),
    }
}

/// A number from 0 to `most`.
fn within<T>(text: &str, most: &T) -> Result<T, String>
where
    T: FromStr + PartialOrd + Default + fmt::Display,
{
    let text = text.trim();
    let number = text.parse().ok();
    number
        .filter(|number| *number >= T::default() && number <= most)
        .ok_or_else(|| unexpected(text, &format!("a number from 0 to {most}")))
}

fn wrong(key: &'static str, problem: &str) -> AnnotationError {
    AnnotationError {
        key,
        problem: problem.to_owned(),
    }
}
