//! Timeouts, retries and circuit breaking, in words.

use crate::profile_fields::seconds;
use ferrule_proto::{
    http_route::Timeouts,
    outbound::{ExponentialBackoff, FailureAccrual, failure_accrual::Kind, grpc_route, http_route},
};
use prost_types::Duration;

/// `""` where there are no limits.
pub(super) fn http(timeouts: Option<&Timeouts>, retry: Option<&http_route::Retry>) -> String {
    let retry = retry.map(|retry| {
        let ranges = retry.conditions.iter().flat_map(|all| &all.status_ranges);
        let statuses: Vec<_> = ranges
            .map(|range| match range.start == range.end {
                true => range.start.to_string(),
                false => format!("{}-{}", range.start, range.end),
            })
            .collect();
        retries(retry.max_retries, &statuses, retry.timeout)
    });
    joined(timeouts, retry)
}

/// `""` where there are no limits.
pub(super) fn grpc(timeouts: Option<&Timeouts>, retry: Option<&grpc_route::Retry>) -> String {
    let retry = retry.map(|retry| {
        let conditions = retry.conditions.unwrap_or_default();
        let statuses: Vec<_> = [
            ("cancelled", conditions.cancelled),
            ("deadline-exceeded", conditions.deadine_exceeded),
            ("resource-exhausted", conditions.resource_exhausted),
            ("internal", conditions.internal),
            ("unavailable", conditions.unavailable),
        ]
        .into_iter()
        .filter(|(_, retried)| *retried)
        .map(|(name, _)| name.to_owned())
        .collect();
        retries(retry.max_retries, &statuses, retry.timeout)
    });
    joined(timeouts, retry)
}

fn joined(timeouts: Option<&Timeouts>, retry: Option<String>) -> String {
    let timeouts = timeouts.copied().unwrap_or_default();
    let timeouts = [
        ("request", timeouts.request),
        ("response", timeouts.response),
        ("idle", timeouts.idle),
    ]
    .into_iter()
    .filter_map(|(name, limit)| Some(format!("{name} {}", span(limit?))));
    timeouts.chain(retry).collect::<Vec<_>>().join(", ")
}

fn retries(max: u32, statuses: &[String], timeout: Option<Duration>) -> String {
    let mut text = format!("{max} retries on ");
    match statuses {
        [] => text.push_str("no status"),
        statuses => text.push_str(&statuses.join("/")),
    }
    if let Some(timeout) = timeout {
        text.push_str(&format!(" of {} each", span(timeout)));
    }
    text
}

/// When an endpoint is taken out, and for how long.
pub(super) fn accrual(accrual: &FailureAccrual) -> String {
    match &accrual.kind {
        None => "not set".to_owned(),
        Some(Kind::ConsecutiveFailures(consecutive)) => format!(
            "{} failures in a row{}",
            consecutive.max_failures,
            penalty(consecutive.backoff.as_ref())
        ),
        Some(Kind::Unified(unified)) => {
            let mut causes = Vec::new();
            if unified.success_rate_threshold > 0.0 {
                causes.push(format!(
                    "success below {} % over {} and {} requests",
                    unified.success_rate_threshold * 100.0,
                    unified.decay.map(span).unwrap_or_default(),
                    unified.min_requests
                ));
            }
            if unified.max_consecutive_failures > 0 {
                causes.push(format!(
                    "{} failures in a row",
                    unified.max_consecutive_failures
                ));
            }
            format!(
                "{}{}",
                causes.join(" or "),
                penalty(unified.backoff.as_ref())
            )
        }
    }
}

fn penalty(backoff: Option<&ExponentialBackoff>) -> String {
    let Some(backoff) = backoff else {
        return String::new();
    };
    let [min, max] =
        [backoff.min_backoff, backoff.max_backoff].map(|bound| bound.map(span).unwrap_or_default());
    format!(", out for {min} to {max}")
}

pub(super) fn span(duration: Duration) -> String {
    format!("{} s", seconds(duration))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::outbound::{
        failure_accrual::{ConsecutiveFailures, Unified},
        grpc_route::retry::Conditions,
        http_route::retry::{self, conditions::StatusRange},
    };

    fn of_millis(millis: i32) -> Option<Duration> {
        Some(Duration {
            seconds: (millis / 1000).into(),
            nanos: millis % 1000 * 1_000_000,
        })
    }

    #[test]
    fn limits_are_told_where_there_are_any() {
        let timeouts = Timeouts {
            request: of_millis(10_000),
            response: None,
            idle: of_millis(500),
        };
        let range = |start, end| StatusRange { start, end };
        let retry = http_route::Retry {
            max_retries: 2,
            conditions: Some(retry::Conditions {
                status_ranges: vec![range(500, 599), range(429, 429)],
            }),
            timeout: of_millis(1000),
            ..http_route::Retry::default()
        };
        assert_eq!(
            http(Some(&timeouts), Some(&retry)),
            "request 10 s, idle 0.5 s, 2 retries on 500-599/429 of 1 s each"
        );
        let retry = grpc_route::Retry {
            max_retries: 1,
            conditions: Some(Conditions {
                cancelled: true,
                unavailable: true,
                ..Conditions::default()
            }),
            ..grpc_route::Retry::default()
        };
        assert_eq!(
            grpc(None, Some(&retry)),
            "1 retries on cancelled/unavailable"
        );
        assert_eq!(http(Some(&Timeouts::default()), None), "");
    }

    #[test]
    fn an_endpoint_is_taken_out_by_failures_or_by_their_share() {
        let backoff = Some(ExponentialBackoff {
            min_backoff: of_millis(1000),
            max_backoff: of_millis(60_000),
            ..ExponentialBackoff::default()
        });
        for (kind, text) in [
            (
                Kind::ConsecutiveFailures(ConsecutiveFailures {
                    max_failures: 7,
                    backoff,
                }),
                "7 failures in a row, out for 1 s to 60 s",
            ),
            (
                Kind::Unified(Unified {
                    success_rate_threshold: 0.8,
                    decay: of_millis(10_000),
                    min_requests: 5,
                    max_consecutive_failures: 7,
                    backoff,
                }),
                "success below 80 % over 10 s and 5 requests or 7 failures in a row, out for 1 s to 60 s",
            ),
        ] {
            let told = accrual(&FailureAccrual {
                kind: Some(kind),
                ejection: None,
            });
            assert_eq!(told, text);
        }
    }
}
