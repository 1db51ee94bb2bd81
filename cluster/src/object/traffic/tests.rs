use super::*;
use std::{collections::HashMap, time::Duration};

struct Texts(HashMap<&'static str, &'static str>);

impl Annotations for Texts {
    fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).copied()
    }
}

fn annotations<const N: usize>(pairs: [(&'static str, &'static str); N]) -> Texts {
    Texts(pairs.into())
}

fn traffic<const N: usize>(pairs: [(&'static str, &'static str); N]) -> (Traffic, Vec<String>) {
    let mut problems = Vec::new();
    let traffic = Traffic::read(&annotations(pairs), &mut problems);
    (traffic, problems)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn durations_are_one_number_with_one_unit() {
    for (text, millis) in [
        ("0", Some(0)),
        ("0s", Some(0)),
        ("25ms", Some(25)),
        (" 10s ", Some(10_000)),
        ("2m", Some(120_000)),
        ("1h", Some(3_600_000)),
        ("1d", Some(86_400_000)),
        ("18446744073709551615ms", Some(u64::MAX)),
        ("18446744073709551615s", None),
        ("5", None),
        ("", None),
        ("s", None),
        ("-1s", None),
        ("+1s", None),
        ("1.5s", None),
        ("1m30s", None),
        ("1 s", None),
        ("1S", None),
        ("1us", None),
    ] {
        let expected = millis.map(Duration::from_millis);
        assert_eq!(parse_duration(text).ok(), expected, "{text:?}");
    }
}

#[test]
fn scenario_118_a_retry_has_a_limit_of_one_unless_it_says_another() {
    let (traffic, problems) = traffic([("retry.linkerd.io/http", "5xx")]);
    assert_eq!(problems, [""; 0]);
    let retry = Retry {
        limit: 1,
        timeout: None,
        conditions: [StatusCodes {
            first: 500,
            last: 599,
        }]
        .into(),
    };
    assert_eq!(
        (traffic.http_retry, traffic.grpc_retry),
        (Some(retry), None)
    );
}

#[test]
fn a_limit_alone_is_a_retry_of_both_kinds_and_one_of_zero_is_none() {
    let (both, _) = traffic([("retry.linkerd.io/limit", "3")]);
    let (http, grpc) = (both.http_retry.unwrap(), both.grpc_retry.unwrap());
    assert_eq!((http.limit, http.conditions.len()), (3, 0));
    assert_eq!((grpc.limit, grpc.conditions.len()), (3, 0));
    let (none, problems) = traffic([
        ("retry.linkerd.io/limit", "0"),
        ("retry.linkerd.io/timeout", "0"),
    ]);
    assert_eq!((none, problems), (Traffic::default(), vec![]));
}

#[test]
fn scenario_120_blanks_between_conditions_are_not_forgiven() {
    let (read, problems) = traffic([("retry.linkerd.io/http", "5xx, 404")]);
    assert_eq!(read.http_retry, None);
    let problem = &problems[0];
    assert!(
        problem.starts_with("annotation retry.linkerd.io/http: \" 404\" is not 5xx"),
        "{problem}"
    );
}

#[test]
fn conditions_are_statuses_ranges_and_names() {
    let codes = |text| {
        let (read, _) = traffic([("retry.linkerd.io/http", text)]);
        let retry = read.http_retry?;
        let codes = retry
            .conditions
            .iter()
            .map(|codes| (codes.first, codes.last));
        Some(codes.collect::<Vec<_>>())
    };
    assert_eq!(
        codes("gateway-error,404,500-502"),
        Some(vec![(502, 504), (404, 404), (500, 502)])
    );
    for bad in ["", "600", "99", "502-500", "5XX", "a-b", "5xx,"] {
        assert_eq!(codes(bad), None, "{bad:?}");
    }
    let (read, _) = traffic([("retry.linkerd.io/grpc", "Cancelled,deadline-exceeded")]);
    let retry = read.grpc_retry.unwrap();
    assert_eq!(
        *retry.conditions,
        [GrpcCode::Cancelled, GrpcCode::DeadlineExceeded]
    );
    let (read, problems) = traffic([("retry.linkerd.io/grpc", "unknown")]);
    assert_eq!((read.grpc_retry, problems.len()), (None, 1));
}

#[test]
fn scenario_122_one_timeout_that_cannot_be_read_unsets_all_three() {
    let (read, problems) = traffic([
        ("timeout.linkerd.io/request", "5s"),
        ("timeout.linkerd.io/idle", "5"),
    ]);
    assert!(read.timeouts.is_empty());
    assert_eq!(problems.len(), 1);
}

#[test]
fn scenario_123_consecutive_accrual_has_defaults_and_limits() {
    const MODE: (&str, &str) = ("balancer.linkerd.io/failure-accrual", "consecutive");
    const KEY: &str = "balancer.linkerd.io/failure-accrual-consecutive-";
    let (read, _) = traffic([MODE]);
    assert_eq!(
        read.accrual,
        Some(Accrual {
            max_failures: 7,
            min_penalty: SECOND,
            max_penalty: 60 * SECOND,
            jitter: 0.5,
            mode: AccrualMode::Consecutive,
        })
    );
    let (read, problems) = traffic([("balancer.linkerd.io/failure-accrual", "true")]);
    assert_eq!((read.accrual, problems.len()), (None, 1));
    for (key, value, is_read) in [
        ("jitter-ratio", "100", true),
        ("jitter-ratio", "101", false),
        ("jitter-ratio", "-1", false),
        ("jitter-ratio", "NaN", false),
        ("min-penalty", "2m", false),
        ("min-penalty", "0", true),
        ("max-penalty", "0", false),
        ("max-failures", "0", true),
        ("max-failures", "-1", false),
    ] {
        let key: &'static str = Box::leak(format!("{KEY}{key}").into_boxed_str());
        let (read, problems) = traffic([MODE, (key, value)]);
        assert_eq!(read.accrual.is_some(), is_read, "{key} {value}");
        assert_eq!(problems.is_empty(), is_read, "{problems:?}");
    }
}

#[test]
fn scenarios_124_and_125_unified_accrual_looks_at_the_rate_of_success() {
    const MODE: (&str, &str) = ("balancer.linkerd.io/failure-accrual", "unified");
    let rate = |pairs: [(&'static str, &'static str); 3]| {
        let (read, _) = traffic([MODE, pairs[0], pairs[1], pairs[2]]);
        match read.accrual?.mode {
            AccrualMode::Unified(rate) => Some(rate),
            AccrualMode::Consecutive => None,
        }
    };
    const NO: (&str, &str) = ("x", "y");
    let honoured = (
        "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after",
        "T",
    );
    assert_eq!(
        rate([honoured, NO, NO]),
        Some(SuccessRate {
            threshold: 0.8,
            window: 10 * SECOND,
            min_requests: 5,
            honor_retry_after: true,
        })
    );
    let window = |value| {
        (
            "balancer.alpha.linkerd.io/failure-accrual-success-rate-window",
            value,
        )
    };
    let threshold = |value| {
        (
            "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold",
            value,
        )
    };
    assert_eq!(rate([window("9ms"), NO, NO]), None);
    assert_eq!(rate([window("0"), threshold("0"), NO]), None);
    assert!(rate([window("5ms"), threshold("0"), NO]).is_some());
    assert_eq!(rate([threshold("1.1"), NO, NO]), None);
}

#[test]
fn scenario_126_failures_are_penalised_where_a_service_says_so() {
    const KEY: &str = "balancer.alpha.linkerd.io/penalize-failures";
    let (read, _) = traffic([(KEY, "true")]);
    let bias = LoadBias {
        penalty: 5 * SECOND,
        max_retry_after: 300 * SECOND,
    };
    assert_eq!(read.load_bias, Some(bias));
    let (read, problems) = traffic([(KEY, "maybe")]);
    assert_eq!((read.load_bias, problems.len()), (None, 1));
    let too_long = ("balancer.alpha.linkerd.io/load-biaser-penalty", "50d");
    assert_eq!(traffic([(KEY, "1"), too_long]).0.load_bias, None);
}
