//! Policies of what a workload calls.

use super::{
    Accepted, Invalid, Within as _, complete, distribution, duration, each, filters, matches,
    optional, present, required, there,
};
use ferrule_proto::{
    http_route::Timeouts,
    outbound::{
        Backend, ExponentialBackoff, FailureAccrual, GrpcRoute, HttpRoute, OpaqueRoute,
        OutboundPolicy, TlsRoute, failure_accrual, grpc_route, http_route, opaque_route,
        proxy_protocol::{Detect, Kind, Opaque},
        tls_route,
    },
};
use std::time::Duration;

/// Bounds of a unified failure accrual.
const SHORTEST_WINDOW: Duration = Duration::from_millis(10);
const MOST_REQUESTS: u32 = 1_000_000;

/// Whether a proxy can use the policy of a target.
///
/// # Errors
/// What is wrong.
pub fn policy(policy: &OutboundPolicy) -> Accepted {
    backends(policy).map(|_| ())
}

/// All backends of a policy that a proxy can use.
pub(crate) fn backends(policy: &OutboundPolicy) -> Result<Vec<&Backend>, Invalid> {
    required("metadata", policy.metadata.as_ref(), complete)?;
    let protocol = policy.protocol.as_ref();
    let kind = protocol.and_then(|protocol| protocol.kind.as_ref());
    match there("protocol", kind)? {
        Kind::Detect(detect) => detected(detect).within("detect"),
        Kind::Opaque(opaque) => opaque_routes(opaque),
        Kind::Http1(one) => http_routes("http1", &one.routes, one.failure_accrual.as_ref()),
        Kind::Http2(one) => http_routes("http2", &one.routes, one.failure_accrual.as_ref()),
        Kind::Grpc(grpc) => {
            optional("failure_accrual", grpc.failure_accrual.as_ref(), accrual)?;
            routes(&grpc.routes, grpc_backends).within("grpc")
        }
        Kind::Tls(tls) => routes(&tls.routes, tls_backends).within("tls"),
    }
}

fn detected(detect: &Detect) -> Result<Vec<&Backend>, Invalid> {
    required("timeout", detect.timeout.as_ref(), duration)?;
    let opaque = there("opaque", detect.opaque.as_ref())?;
    let http1 = there("http1", detect.http1.as_ref())?;
    let http2 = there("http2", detect.http2.as_ref())?;
    let mut all = opaque_routes(opaque)?;
    for (place, all_routes, accrual) in [
        ("http1", &http1.routes, &http1.failure_accrual),
        ("http2", &http2.routes, &http2.failure_accrual),
    ] {
        all.extend(http_routes(place, all_routes, accrual.as_ref())?);
    }
    Ok(all)
}

fn http_routes<'a>(
    place: &str,
    all: &'a [HttpRoute],
    failure_accrual: Option<&FailureAccrual>,
) -> Result<Vec<&'a Backend>, Invalid> {
    optional("failure_accrual", failure_accrual, accrual).within(place)?;
    routes(all, http_backends).within(place)
}

fn opaque_routes(opaque: &Opaque) -> Result<Vec<&Backend>, Invalid> {
    if opaque.routes.len() > 1 {
        return Err(Invalid::new("more than one route")).within("opaque");
    }
    routes(&opaque.routes, opaque_backends).within("opaque")
}

fn routes<'a, R>(
    routes: &'a [R],
    backends: impl Fn(&'a R) -> Result<Vec<&'a Backend>, Invalid>,
) -> Result<Vec<&'a Backend>, Invalid> {
    let mut all = Vec::new();
    for (index, route) in routes.iter().enumerate() {
        all.extend(backends(route).within(format!("routes[{index}]"))?);
    }
    Ok(all)
}

fn http_backends(route: &HttpRoute) -> Result<Vec<&Backend>, Invalid> {
    required("metadata", route.metadata.as_ref(), complete)?;
    matches::hosts(&route.hosts)?;
    let mut all = Vec::new();
    for (index, rule) in route.rules.iter().enumerate() {
        let place = format!("rules[{index}]");
        each("matches", &rule.matches, matches::http).within(&*place)?;
        each("filters", &rule.filters, http_filter).within(&*place)?;
        #[allow(deprecated, reason = "proxies read it nevertheless")]
        let request_timeout = rule.request_timeout.as_ref();
        optional("requestTimeout", request_timeout, duration).within(&*place)?;
        optional("timeouts", rule.timeouts.as_ref(), timeouts).within(&*place)?;
        optional("retry", rule.retry.as_ref(), http_retry).within(&*place)?;
        all.extend(distribution::http_route(rule.backends.as_ref()).within(place)?);
    }
    Ok(all)
}

fn grpc_backends(route: &GrpcRoute) -> Result<Vec<&Backend>, Invalid> {
    required("metadata", route.metadata.as_ref(), complete)?;
    matches::hosts(&route.hosts)?;
    let mut all = Vec::new();
    for (index, rule) in route.rules.iter().enumerate() {
        let place = format!("rules[{index}]");
        each("matches", &rule.matches, matches::grpc).within(&*place)?;
        each("filters", &rule.filters, grpc_filter).within(&*place)?;
        #[allow(deprecated, reason = "proxies read it nevertheless")]
        let request_timeout = rule.request_timeout.as_ref();
        optional("requestTimeout", request_timeout, duration).within(&*place)?;
        optional("timeouts", rule.timeouts.as_ref(), timeouts).within(&*place)?;
        optional("retry", rule.retry.as_ref(), grpc_retry).within(&*place)?;
        all.extend(distribution::grpc_route(rule.backends.as_ref()).within(place)?);
    }
    Ok(all)
}

fn opaque_backends(route: &OpaqueRoute) -> Result<Vec<&Backend>, Invalid> {
    required("metadata", route.metadata.as_ref(), complete)?;
    let [rule] = &*route.rules else {
        return Err(Invalid::new(format!("{} rules", route.rules.len())));
    };
    each("filters", &rule.filters, opaque_filter)?;
    distribution::opaque_route(rule.backends.as_ref())
}

fn tls_backends(route: &TlsRoute) -> Result<Vec<&Backend>, Invalid> {
    required("metadata", route.metadata.as_ref(), complete)?;
    matches::snis(&route.snis)?;
    let [rule] = &*route.rules else {
        return Err(Invalid::new(format!("{} rules", route.rules.len())));
    };
    each("filters", &rule.filters, tls_filter)?;
    distribution::tls_route(rule.backends.as_ref())
}

pub(super) fn http_filter(filter: &http_route::Filter) -> Accepted {
    use http_route::filter::Kind;
    required("kind", filter.kind.as_ref(), |kind| match kind {
        Kind::FailureInjector(one) => filters::http_failure(one),
        Kind::RequestHeaderModifier(one) => filters::request_headers(one),
        Kind::Redirect(one) => filters::redirect(one),
        Kind::ResponseHeaderModifier(one) => filters::response_headers(one),
    })
}

pub(super) fn grpc_filter(filter: &grpc_route::Filter) -> Accepted {
    use grpc_route::filter::Kind;
    required("kind", filter.kind.as_ref(), |kind| match kind {
        Kind::FailureInjector(one) => filters::grpc_failure(one),
        Kind::RequestHeaderModifier(one) => filters::request_headers(one),
    })
}

pub(super) fn opaque_filter(filter: &opaque_route::Filter) -> Accepted {
    required("kind", filter.kind.as_ref(), present)
}

pub(super) fn tls_filter(filter: &tls_route::Filter) -> Accepted {
    required("kind", filter.kind.as_ref(), present)
}

fn timeouts(timeouts: &Timeouts) -> Accepted {
    optional("response", timeouts.response.as_ref(), duration)?;
    optional("request", timeouts.request.as_ref(), duration)?;
    optional("idle", timeouts.idle.as_ref(), duration)
}

fn http_retry(retry: &http_route::Retry) -> Accepted {
    if retry.max_retries > u32::from(u16::MAX) {
        return Err(Invalid::new("too many")).within("max_retries");
    }
    required("conditions", retry.conditions.as_ref(), |conditions| {
        each("status_ranges", &conditions.status_ranges, |range| {
            if range.start == 0 || range.start > range.end || range.end > 599 {
                let reason = format!("{}-{} is no range", range.start, range.end);
                return Err(Invalid::new(reason));
            }
            Ok(())
        })
    })?;
    optional("timeout", retry.timeout.as_ref(), duration)?;
    optional("backoff", retry.backoff.as_ref(), backoff)
}

fn grpc_retry(retry: &grpc_route::Retry) -> Accepted {
    required("conditions", retry.conditions.as_ref(), present)?;
    optional("timeout", retry.timeout.as_ref(), duration)?;
    optional("backoff", retry.backoff.as_ref(), backoff)
}

fn accrual(accrual: &FailureAccrual) -> Accepted {
    use failure_accrual::Kind;
    required("kind", accrual.kind.as_ref(), |kind| match kind {
        Kind::ConsecutiveFailures(one) => required("backoff", one.backoff.as_ref(), backoff),
        Kind::Unified(one) => {
            let threshold = one.success_rate_threshold;
            if !(0.0..=1.0).contains(&threshold) {
                return Err(Invalid::new(format!("{threshold}"))).within("success_rate_threshold");
            }
            optional("decay", one.decay.as_ref(), |decay| {
                let window = Duration::try_from(*decay);
                match window {
                    Ok(window) if threshold == 0.0 || window >= SHORTEST_WINDOW => Ok(()),
                    _ => Err(Invalid::new(format!("{decay}"))),
                }
            })?;
            if one.min_requests > MOST_REQUESTS {
                return Err(Invalid::new("too many")).within("min_requests");
            }
            required("backoff", one.backoff.as_ref(), backoff)
        }
    })
}

fn backoff(backoff: &ExponentialBackoff) -> Accepted {
    required("min_backoff", backoff.min_backoff.as_ref(), duration)?;
    required("max_backoff", backoff.max_backoff.as_ref(), duration)?;
    let bound = |bound: &Option<prost_types::Duration>| {
        bound.and_then(|bound| Duration::try_from(bound).ok())
    };
    let (min, max) = (bound(&backoff.min_backoff), bound(&backoff.max_backoff));
    if min > max || max == Some(Duration::ZERO) {
        return Err(Invalid::new(format!("{min:?} to {max:?} is no range")));
    }
    if !(0.0..=100.0).contains(&backoff.jitter_ratio) {
        let reason = format!("{}", backoff.jitter_ratio);
        return Err(Invalid::new(reason)).within("jitter_ratio");
    }
    Ok(())
}
