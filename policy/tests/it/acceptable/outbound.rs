//! Policies of what a workload calls.

use super::{Acceptable, accept_metadata, bounded, routes::*};
use ferrule_proto::{
    http_route::Timeouts,
    outbound::{
        self, Backend, ExponentialBackoff, FailureAccrual, GrpcRoute, HttpRoute, OpaqueRoute,
        OutboundPolicy, TlsRoute,
        backend::{self, balance_p2c::Load, endpoint_discovery},
        failure_accrual, grpc_route, http_route, opaque_route, tls_route,
    },
};
use prost_types::Duration;
use std::{net::SocketAddr, time};

impl Acceptable for OutboundPolicy {
    fn accept(&self) {
        use outbound::proxy_protocol::Kind;
        accept_metadata(self.metadata.as_ref());
        let kind = self
            .protocol
            .as_ref()
            .and_then(|protocol| protocol.kind.as_ref());
        match kind.expect("a protocol") {
            Kind::Detect(detect) => {
                bounded(detect.timeout.as_ref());
                accept_opaque(&detect.opaque.as_ref().expect("required").routes);
                let http1 = detect.http1.as_ref().expect("required");
                let http2 = detect.http2.as_ref().expect("required");
                accept_http(&http1.routes);
                accept_http(&http2.routes);
                accept_accrual(http1.failure_accrual.as_ref());
                accept_accrual(http2.failure_accrual.as_ref());
            }
            Kind::Opaque(opaque) => accept_opaque(&opaque.routes),
            Kind::Http1(http1) => {
                accept_http(&http1.routes);
                accept_accrual(http1.failure_accrual.as_ref());
            }
            Kind::Http2(http2) => {
                accept_http(&http2.routes);
                accept_accrual(http2.failure_accrual.as_ref());
            }
            Kind::Grpc(grpc) => {
                assert!(!grpc.routes.is_empty(), "nothing would match");
                grpc.routes.iter().for_each(accept_grpc_route);
                accept_accrual(grpc.failure_accrual.as_ref());
            }
            Kind::Tls(tls) => {
                assert!(!tls.routes.is_empty(), "nothing would match");
                tls.routes.iter().for_each(accept_tls_route);
            }
        }
    }
}

/// What is alike for all kinds of routes: where a rule leads.
macro_rules! accept_distributions {
    ($($name:ident: $kind:ident, $filters:ident;)+) => {$(
        fn $name(distribution: Option<&$kind::Distribution>) {
            use $kind::distribution::Kind;
            match distribution.and_then(|one| one.kind.as_ref()).expect("a distribution") {
                Kind::Empty(_) => {}
                Kind::FirstAvailable(first) => {
                    assert!(!first.backends.is_empty());
                    for one in &first.backends {
                        accept_backend(one.backend.as_ref());
                        assert!(one.filters.is_empty());
                    }
                }
                Kind::RandomAvailable(random) => {
                    let backends = &random.backends;
                    assert!(!backends.is_empty());
                    let weights = backends.iter().map(|one| one.weight);
                    let sum = weights.map(u64::from).sum::<u64>();
                    // A proxy panics on such ones.
                    assert!(backends.len() == 1 || sum != 0);
                    assert!(backends.len() == 1 || u32::try_from(sum).is_ok());
                    for weighted in backends {
                        let one = weighted.backend.as_ref().expect("a backend");
                        let backend = accept_backend(one.backend.as_ref());
                        $filters(&one.filters);
                        // Nothing may go where there is nothing.
                        assert!(backend.kind.is_some() || one.filters.len() == 1);
                    }
                }
            }
        }
    )+};
}

accept_distributions! {
    accept_http_distribution: http_route, accept_http_filters;
    accept_grpc_distribution: grpc_route, accept_grpc_filters;
    accept_tls_distribution: tls_route, accept_tls_filters;
    accept_opaque_distribution: opaque_route, accept_opaque_filters;
}

fn accept_http(routes: &[HttpRoute]) {
    assert!(!routes.is_empty(), "nothing would match");
    for route in routes {
        accept_metadata(route.metadata.as_ref());
        accept_hosts(&route.hosts);
        for rule in &route.rules {
            rule.matches.iter().for_each(accept_requests);
            accept_http_filters(&rule.filters);
            accept_http_distribution(rule.backends.as_ref());
            #[allow(deprecated)]
            accept_timeouts(rule.timeouts.as_ref(), rule.request_timeout.as_ref());
            if let Some(retry) = &rule.retry {
                assert!(retry.max_retries > 0 && retry.max_retries <= u32::from(u16::MAX));
                let conditions = retry.conditions.as_ref().expect("required");
                for range in &conditions.status_ranges {
                    assert!(range.start > 0 && range.start <= range.end && range.end <= 599);
                }
                accept_attempts(retry.timeout.as_ref(), retry.backoff.as_ref());
            }
        }
    }
}

fn accept_grpc_route(route: &GrpcRoute) {
    accept_metadata(route.metadata.as_ref());
    accept_hosts(&route.hosts);
    for rule in &route.rules {
        rule.matches.iter().for_each(accept_calls);
        accept_grpc_filters(&rule.filters);
        accept_grpc_distribution(rule.backends.as_ref());
        #[allow(deprecated)]
        accept_timeouts(rule.timeouts.as_ref(), rule.request_timeout.as_ref());
        if let Some(retry) = &rule.retry {
            assert!(retry.conditions.is_some() && retry.max_retries > 0);
            accept_attempts(retry.timeout.as_ref(), retry.backoff.as_ref());
        }
    }
}

fn accept_tls_route(route: &TlsRoute) {
    accept_metadata(route.metadata.as_ref());
    accept_snis(&route.snis);
    let [rule] = &route.rules[..] else {
        panic!("one rule, not {}", route.rules.len());
    };
    accept_tls_filters(&rule.filters);
    accept_tls_distribution(rule.backends.as_ref());
}

fn accept_opaque(routes: &[OpaqueRoute]) {
    let [route] = routes else {
        panic!("one route, not {}", routes.len());
    };
    accept_metadata(route.metadata.as_ref());
    let [rule] = &route.rules[..] else {
        panic!("one rule, not {}", route.rules.len());
    };
    accept_opaque_filters(&rule.filters);
    accept_opaque_distribution(rule.backends.as_ref());
}

fn accept_http_filters(filters: &[http_route::Filter]) {
    use http_route::filter::Kind;
    for filter in filters {
        match filter.kind.as_ref().expect("costs the whole policy") {
            Kind::FailureInjector(failure) => accept_http_failure(failure),
            Kind::RequestHeaderModifier(changes) => {
                accept_changes(changes.add.as_ref(), changes.set.as_ref(), &changes.remove);
            }
            Kind::ResponseHeaderModifier(changes) => {
                accept_changes(changes.add.as_ref(), changes.set.as_ref(), &changes.remove);
            }
            Kind::Redirect(redirect) => accept_redirect(redirect),
        }
    }
}

fn accept_grpc_filters(filters: &[grpc_route::Filter]) {
    use grpc_route::filter::Kind;
    for filter in filters {
        match filter.kind.as_ref().expect("costs the whole policy") {
            Kind::FailureInjector(failure) => accept_grpc_failure(failure),
            Kind::RequestHeaderModifier(changes) => {
                accept_changes(changes.add.as_ref(), changes.set.as_ref(), &changes.remove);
            }
        }
    }
}

fn accept_tls_filters(filters: &[tls_route::Filter]) {
    assert!(filters.iter().all(|filter| filter.kind.is_some()));
}

fn accept_opaque_filters(filters: &[opaque_route::Filter]) {
    assert!(filters.iter().all(|filter| filter.kind.is_some()));
}

fn accept_timeouts(timeouts: Option<&Timeouts>, request: Option<&Duration>) {
    let told = timeouts.map(|timeouts| {
        let all = [&timeouts.request, &timeouts.response, &timeouts.idle];
        all.into_iter()
            .for_each(|timeout| optional(timeout.as_ref()));
        timeouts.request.as_ref()
    });
    assert_eq!(told.flatten(), request, "older proxies read the latter");
}

fn accept_attempts(timeout: Option<&Duration>, backoff: Option<&ExponentialBackoff>) {
    optional(timeout);
    accept_backoff(backoff);
}

fn accept_accrual(accrual: Option<&FailureAccrual>) {
    use failure_accrual::Kind;
    let Some(accrual) = accrual else { return };
    assert!(accrual.ejection.is_none());
    match accrual.kind.as_ref().expect("a kind") {
        Kind::ConsecutiveFailures(failures) => accept_backoff(failures.backoff.as_ref()),
        Kind::Unified(unified) => {
            accept_backoff(unified.backoff.as_ref());
            let threshold = unified.success_rate_threshold;
            assert!((0.0..=1.0).contains(&threshold));
            let window = duration(unified.decay.as_ref().expect("told"));
            assert!(threshold == 0.0 || window >= time::Duration::from_millis(10));
            assert!(unified.min_requests <= 1_000_000);
        }
    }
}

fn accept_backoff(backoff: Option<&ExponentialBackoff>) {
    let backoff = backoff.expect("required");
    let min = duration(backoff.min_backoff.as_ref().expect("required"));
    let max = duration(backoff.max_backoff.as_ref().expect("required"));
    assert!(min <= max && !max.is_zero());
    assert!((0.0..=100.0).contains(&backoff.jitter_ratio));
}

/// A backend without a kind is for what cannot go anywhere.
fn accept_backend(backend: Option<&Backend>) -> &Backend {
    let backend = backend.expect("a backend");
    accept_metadata(backend.metadata.as_ref());
    let queue = backend.queue.as_ref().expect("a queue");
    bounded(queue.failfast_timeout.as_ref());
    match &backend.kind {
        None => {}
        Some(backend::Kind::Forward(forward)) => {
            let addr = SocketAddr::try_from(forward.addr.expect("an address")).expect("valid");
            assert_ne!(addr.port(), 0, "the proxy panics");
        }
        Some(backend::Kind::Balancer(balancer)) => {
            let discovery = balancer.discovery.as_ref().and_then(|d| d.kind.as_ref());
            let endpoint_discovery::Kind::Dst(get) = discovery.expect("a discovery");
            let (host, port) = get.path.rsplit_once(':').expect("a port");
            assert_ne!(port.parse::<u16>().expect("a number"), 0);
            let is_label = |label: &str| {
                let mut bytes = label.bytes();
                !label.is_empty() && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            };
            assert!(host.split('.').all(is_label), "{host}");
            match balancer.load.as_ref().expect("a load") {
                Load::PeakEwma(ewma) => {
                    bounded(ewma.default_rtt.as_ref());
                    bounded(ewma.decay.as_ref());
                }
                Load::PenaltyPeakEwma(ewma) => {
                    bounded(ewma.default_rtt.as_ref());
                    bounded(ewma.decay.as_ref());
                    bounded(ewma.penalty.as_ref());
                    bounded(ewma.penalty_decay.as_ref());
                    bounded(ewma.max_retry_after.as_ref());
                }
            }
        }
    }
    backend
}

fn optional(duration: Option<&Duration>) {
    if duration.is_some() {
        bounded(duration);
    }
}

fn duration(message: &Duration) -> time::Duration {
    time::Duration::try_from(*message).expect("not negative")
}
