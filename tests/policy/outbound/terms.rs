//! Scenarios 117 to 128: timeouts, retries, circuit breaking, load.

use super::WEB;
use crate::{expected as told, objects::*, world::World};
use anyhow::Result;
use ferrule_proto::{
    http_route::Timeouts,
    outbound::{
        ExponentialBackoff, FailureAccrual, HttpRoute, OutboundPolicy,
        backend::balance_p2c::{Load, PenaltyPeakEwma},
        failure_accrual::{ConsecutiveFailures, Kind, Unified},
        http_route::{
            Retry, Rule,
            retry::{Conditions, conditions::StatusRange},
        },
    },
};
use ferrule_tests::scenarios;
use serde_json::{Value, json};
use told::{milliseconds, seconds};

scenarios! {
    s117_a_routes_timeouts_replace_all_of_its_services,
    s118_119_120_a_routes_retries_replace_its_services,
    s121_122_a_timeout_is_written_in_two_ways,
    s123_127_128_failures_in_a_row_break_a_circuit,
    s124_125_rates_of_success_do_too,
    s126_failures_count_as_latency_where_the_parent_says_so,
}

const RETRY: &str = "retry.linkerd.io/http";
const LIMIT: &str = "retry.linkerd.io/limit";
const REQUEST: &str = "timeout.linkerd.io/request";

/// The object with annotations.
fn noted(object: Value, notes: &[(&str, &str)]) -> Value {
    notes
        .iter()
        .fold(object, |object, (key, value)| annotated(object, key, value))
}

fn web(notes: &[(&str, &str)]) -> Value {
    noted(service("web"), notes)
}

/// Route `r` to `web` itself, with annotations.
fn route(notes: &[(&str, &str)]) -> Value {
    let route = all_to("r", &on_port("web", 80), &json!([to("web", 80)]));
    noted(route, notes)
}

/// The same with other terms.
fn on_terms(w: &World, terms: impl FnOnce(&mut Rule)) -> OutboundPolicy {
    let mut route = w.route_to("r", w.balancer("web", 80));
    terms(&mut route.rules[0]);
    w.routed("web", 80, vec![route])
}

fn requesting(rule: &mut Rule, request: prost_types::Duration) {
    #[expect(deprecated, reason = "older proxies read it")]
    {
        rule.request_timeout = Some(request);
    }
    rule.timeouts = Some(Timeouts {
        request: Some(request),
        ..Timeouts::default()
    });
}

fn retry(ranges: &[(u32, u32)], max_retries: u32) -> Option<Retry> {
    let ranges = ranges
        .iter()
        .map(|&(start, end)| StatusRange { start, end });
    Some(Retry {
        max_retries,
        max_request_bytes: 65_536,
        conditions: Some(Conditions {
            status_ranges: ranges.collect(),
        }),
        timeout: None,
        backoff: Some(ExponentialBackoff {
            min_backoff: Some(milliseconds(25)),
            max_backoff: Some(milliseconds(250)),
            jitter_ratio: 1.0,
            respect_retry_after_hint: false,
        }),
    })
}

async fn s117_a_routes_timeouts_replace_all_of_its_services(w: World) -> Result<()> {
    w.apply(web(&[("timeout.linkerd.io/response", "10s")]))
        .await?;
    w.apply(route(&[])).await?;
    let inherited = on_terms(&w, |rule| {
        rule.timeouts = Some(Timeouts {
            response: Some(seconds(10)),
            ..Timeouts::default()
        });
    });
    let mut stream = w.target(WEB, inherited).await?;
    w.apply(route(&[(REQUEST, "5s")])).await?;
    stream
        .tells(on_terms(&w, |rule| requesting(rule, seconds(5))))
        .await
}

async fn s118_119_120_a_routes_retries_replace_its_services(w: World) -> Result<()> {
    w.apply(web(&[(RETRY, "5xx")])).await?;
    w.apply(route(&[])).await?;
    let retrying = |ranges: &[(u32, u32)], limit| {
        let retry = retry(ranges, limit);
        on_terms(&w, |rule| rule.retry = retry)
    };
    let mut stream = w.target(WEB, retrying(&[(500, 599)], 1)).await?;
    w.apply(route(&[(RETRY, "gateway-error,404"), (LIMIT, "3")]))
        .await?;
    stream.tells(retrying(&[(502, 504), (404, 404)], 3)).await?;
    // 119: they cannot be switched off.
    w.apply(route(&[(LIMIT, "0")])).await?;
    stream.tells(retrying(&[(500, 599)], 1)).await?;
    // 120: a route whose annotations cannot be read is told to nobody,
    w.apply(route(&[(RETRY, "5xx, 404")])).await?;
    let mut default = told::default_http(w.balancer("web", 80));
    default.rules[0].retry = retry(&[(500, 599)], 1);
    stream.tells(w.routed("web", 80, vec![default])).await?;
    // and a Service's count as none.
    w.apply(web(&[(RETRY, "5xx, 404")])).await?;
    stream.tells(w.plain("web", 80)).await
}

async fn s121_122_a_timeout_is_written_in_two_ways(w: World) -> Result<()> {
    w.apply(web(&[("timeout.linkerd.io/idle", "5"), (REQUEST, "1s")]))
        .await?;
    let timed = |timeouts: Value, notes: &[(&str, &str)]| {
        let rules = json!([{"backendRefs": [to("web", 80)], "timeouts": timeouts}]);
        let route = http_route("r", &json!([on_port("web", 80)]), &rules);
        noted(route, notes)
    };
    w.apply(timed(json!({"request": "1m30s"}), &[])).await?;
    let requesting = |all| on_terms(&w, |rule| requesting(rule, seconds(all)));
    let mut stream = w.target(WEB, requesting(90)).await?;
    w.apply(timed(json!({"request": "1m30s"}), &[(REQUEST, "7s")]))
        .await?;
    stream.tells(requesting(7)).await?;
    // 122: of a Service one that cannot be read takes all with it.
    w.apply(timed(json!({"request": "0s"}), &[])).await?;
    stream.tells(on_terms(&w, |_| {})).await
}

fn accrual(name: &str) -> String {
    match name {
        "mode" => "balancer.linkerd.io/failure-accrual".into(),
        "retry-after" => "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after".into(),
        name if name.starts_with("success") => {
            format!("balancer.alpha.linkerd.io/failure-accrual-{name}")
        }
        name => format!("balancer.linkerd.io/failure-accrual-consecutive-{name}"),
    }
}

fn breaking_web(terms: &[(&str, &str)]) -> Value {
    terms.iter().fold(service("web"), |service, (key, value)| {
        annotated(service, &accrual(key), value)
    })
}

fn backoff(max: i64, hint: bool) -> Option<ExponentialBackoff> {
    Some(ExponentialBackoff {
        min_backoff: Some(seconds(1)),
        max_backoff: Some(seconds(max)),
        jitter_ratio: 0.5,
        respect_retry_after_hint: hint,
    })
}

fn default(w: &World) -> Vec<HttpRoute> {
    vec![told::default_http(w.balancer("web", 80))]
}

fn with_accrual(w: &World, kind: Kind) -> OutboundPolicy {
    let accrual = FailureAccrual {
        kind: Some(kind),
        ejection: None,
    };
    w.breaking("web", 80, default(w), Some(accrual))
}

async fn s123_127_128_failures_in_a_row_break_a_circuit(w: World) -> Result<()> {
    w.apply(service("web")).await?;
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    // 128
    w.apply(breaking_web(&[("retry-after", "true")])).await?;
    stream.is_silent().await?;
    let consecutive = |max_failures, max| {
        let kind = Kind::ConsecutiveFailures(ConsecutiveFailures {
            max_failures,
            backoff: backoff(max, false),
        });
        with_accrual(&w, kind)
    };
    let plain = || w.plain("web", 80);
    let mode = ("mode", "consecutive");
    for (terms, expected) in [
        (&[mode][..], consecutive(7, 60)),
        (
            &[mode, ("max-failures", "3"), ("max-penalty", "2m")],
            consecutive(3, 120),
        ),
        (&[("mode", "true")], plain()),
        (&[mode, ("retry-after", "true")], consecutive(7, 60)),
        (&[mode, ("jitter-ratio", "101")], plain()),
        (&[mode], consecutive(7, 60)),
        (&[mode, ("min-penalty", "2m")], plain()),
    ] {
        w.apply(breaking_web(terms)).await?;
        stream.tells(expected).await?;
    }
    Ok(())
}

async fn s124_125_rates_of_success_do_too(w: World) -> Result<()> {
    w.apply(service("web")).await?;
    let mut stream = w.target(WEB, w.plain("web", 80)).await?;
    let unified = |success_rate_threshold, decay, hint| {
        let kind = Kind::Unified(Unified {
            success_rate_threshold,
            decay: Some(decay),
            min_requests: 5,
            max_consecutive_failures: 7,
            backoff: backoff(60, hint),
        });
        with_accrual(&w, kind)
    };
    let mode = ("mode", "unified");
    let window = |text| ("success-rate-window", text);
    for (terms, expected) in [
        (
            &[mode, ("retry-after", "true")][..],
            unified(0.8, seconds(10), true),
        ),
        (&[mode, window("9ms")], w.plain("web", 80)),
        (
            &[mode, window("5ms"), ("success-rate-threshold", "0")],
            unified(0.0, milliseconds(5), false),
        ),
    ] {
        w.apply(breaking_web(terms)).await?;
        stream.tells(expected).await?;
    }
    Ok(())
}

async fn s126_failures_count_as_latency_where_the_parent_says_so(w: World) -> Result<()> {
    const PENALIZE: &str = "balancer.alpha.linkerd.io/penalize-failures";
    w.apply_all([service("web"), annotated(service("api"), PENALIZE, "true")])
        .await?;
    w.apply(all_to("r", &on_port("web", 80), &json!([to("api", 80)])))
        .await?;
    let api = || w.balancer("api", 80);
    // That of the backend does not count.
    let plain = || w.routed("web", 80, vec![w.route_to("r", api())]);
    let mut stream = w.target(WEB, plain()).await?;
    w.apply(annotated(service("web"), PENALIZE, "true")).await?;
    let load = || {
        Load::PenaltyPeakEwma(PenaltyPeakEwma {
            default_rtt: Some(milliseconds(30)),
            decay: Some(seconds(10)),
            penalty: Some(seconds(5)),
            max_retry_after: Some(seconds(300)),
            penalty_decay: Some(seconds(10)),
        })
    };
    let http = vec![w.route_to("r", told::loaded(load(), api()))];
    let opaque = told::default_opaque(told::loaded(load(), w.balancer("web", 80)));
    let penalized = w.service("web", 80, told::detecting(http, opaque, None));
    stream.tells(penalized).await?;
    w.apply(annotated(service("web"), PENALIZE, "maybe"))
        .await?;
    stream.tells(plain()).await
}
