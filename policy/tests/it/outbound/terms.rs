//! policy.md section 11, outbound: timeouts, retries, accrual and load, by the
//! annotations that say it.

use crate::{routes::*, support::*, target::*};
use ferrule_cluster::object::{
    Kind as ObjectKind, Service,
    route::{RequestSettings, Requests, RouteKind, Rules},
    traffic::{GrpcCode, Retry, StatusCodes, Timeouts},
};
use ferrule_policy::PolicySettings;
use ferrule_proto::{
    http_route,
    outbound::{
        ExponentialBackoff, OutboundPolicy,
        backend::{self, balance_p2c::Load},
        failure_accrual::Kind as Accrual,
        http_route::{Retry as HttpRetry, distribution::Kind as Distribution},
    },
};
use prost_types::Duration;
use std::time;

const WEB: &str = "web.ns.svc:80";
const HTTP: RouteKind = RouteKind::Http;

/// The annotations of a route.
type Annotations<'t> = &'t [(&'t str, &'t str)];

/// A route to `api` with annotations, and `timeouts.request` in its rule.
fn annotated_rules(kind: RouteKind, annotations: Annotations<'_>, request: Option<u64>) -> Rules {
    let annotations = Written(annotations);
    let timeout = request.map(time::Duration::from_secs);
    let timeouts = Timeouts::read(&annotations);
    let mut rules = all_to(kind, &[backend("api", 80)]);
    match &mut rules {
        Rules::Http(Requests { rules, settings }) => {
            rules[0].timeout = timeout;
            let retry = Retry::<StatusCodes>::read(&annotations);
            *settings = retry
                .and_then(|retry| Ok((retry, timeouts?)))
                .ok()
                .map(|(retry, timeouts)| RequestSettings { retry, timeouts });
        }
        Rules::Grpc(Requests { rules, settings }) => {
            rules[0].timeout = timeout;
            let retry = Retry::<GrpcCode>::read(&annotations);
            *settings = retry
                .and_then(|retry| Ok((retry, timeouts?)))
                .ok()
                .map(|(retry, timeouts)| RequestSettings { retry, timeouts });
        }
        Rules::Tls(_) | Rules::Tcp(_) => panic!("no requests"),
    }
    rules
}

/// The policy of an annotated `web` with a route that is annotated itself.
async fn told(kind: RouteKind, web: Annotations<'_>, own: Annotations<'_>) -> OutboundPolicy {
    let mut mesh = TestMesh::with_services();
    mesh.apply("web", annotated(web));
    let rules = annotated_rules(kind, own, None);
    mesh.apply_route(kind, "r", route(&[on_web(80)], rules));
    mesh.policy(authority(WEB)).await.expect("known")
}

/// The policy of an annotated `web` without routes.
async fn told_of(web: Service) -> OutboundPolicy {
    let mut mesh = TestMesh::with_services();
    mesh.apply("web", web);
    mesh.policy(authority(WEB)).await.expect("known")
}

fn seconds(timeouts: Option<&http_route::Timeouts>) -> [Option<i64>; 3] {
    let timeouts = timeouts.expect("always told");
    [timeouts.request, timeouts.response, timeouts.idle]
        .map(|timeout| timeout.map(|timeout| timeout.seconds))
}

fn ranges(retry: &HttpRetry) -> Vec<(u32, u32)> {
    let conditions = retry.conditions.as_ref().expect("always told");
    let ranges = conditions.status_ranges.iter();
    ranges.map(|range| (range.start, range.end)).collect()
}

#[tokio::test]
async fn s117_121_122_timeouts_are_the_routes_or_the_parents() {
    const REQUEST: &str = "timeout.linkerd.io/request";
    const RESPONSE: &str = "timeout.linkerd.io/response";
    const IDLE: &str = "timeout.linkerd.io/idle";
    let parent = [(RESPONSE, "10s")];
    for (web, own, in_rule, expected) in [
        (
            &parent[..],
            &[(REQUEST, "5s")][..],
            None,
            [Some(5), None, None],
        ),
        (&parent, &[], None, [None, Some(10), None]),
        (&parent, &[(IDLE, "0")], None, [None, None, Some(0)]),
        (&[], &[], None, [None, None, None]),
        // 121: the field counts where no annotation does, and as the route's own.
        (&parent, &[], Some(90), [Some(90), None, None]),
        (&parent, &[(REQUEST, "5s")], Some(90), [Some(5), None, None]),
        (
            &parent,
            &[(IDLE, "1m")],
            Some(90),
            [Some(90), None, Some(60)],
        ),
        // 122: all three or none.
        (
            &[(RESPONSE, "10s"), (IDLE, "5")],
            &[],
            None,
            [None, None, None],
        ),
    ] {
        for kind in [HTTP, RouteKind::PolicyHttp, RouteKind::Grpc] {
            let mut mesh = TestMesh::with_services();
            mesh.apply("web", annotated(web));
            let rules = annotated_rules(kind, own, in_rule);
            mesh.apply_route(kind, "r", route(&[on_web(80)], rules));
            let policy = mesh.policy(authority(WEB)).await.expect("known");
            let timeouts = match kind {
                RouteKind::Grpc => grpc_rule(&policy).timeouts.as_ref(),
                _ => http_rule(&policy).timeouts.as_ref(),
            };
            assert_eq!(seconds(timeouts), expected, "{web:?} {own:?} {in_rule:?}");
        }
    }
    // Without routes they are the parent's.
    let policy = told_of(annotated(&parent)).await;
    let timeouts = http_rule(&policy).timeouts.as_ref();
    assert_eq!(seconds(timeouts), [None, Some(10), None]);
}

#[tokio::test]
async fn s118_119_120_retries_are_the_routes_or_the_parents() {
    const CODES: &str = "retry.linkerd.io/http";
    const LIMIT: &str = "retry.linkerd.io/limit";
    const TIMEOUT: &str = "retry.linkerd.io/timeout";
    let parent = [(CODES, "5xx")];
    for (web, own, expected) in [
        // 118
        (&parent[..], &[][..], Some((1, vec![(500, 599)]))),
        // 119
        (&parent, &[(LIMIT, "0")], Some((1, vec![(500, 599)]))),
        (&[], &[(LIMIT, "0")], None),
        (&parent, &[(LIMIT, "3")], Some((3, vec![]))),
        (&parent, &[(TIMEOUT, "1s")], Some((1, vec![]))),
        (
            &[],
            &[(CODES, "gateway-error,404,410-412"), (LIMIT, "2")],
            Some((2, vec![(502, 504), (404, 404), (410, 412)])),
        ),
        // 120
        (&[(CODES, "5xx, 404")], &[], None),
        (&[], &[], None),
    ] {
        let policy = told(HTTP, web, own).await;
        let retry = http_rule(&policy).retry.as_ref();
        let found = retry.map(|retry| (retry.max_retries, ranges(retry)));
        assert_eq!(found, expected, "{web:?} {own:?}");
    }
    let policy = told(HTTP, &parent, &[]).await;
    let retry = http_rule(&policy).retry.as_ref().expect("inherited");
    assert_eq!((retry.max_request_bytes, retry.timeout), (65_536, None));
    let millis = |millis| {
        Some(Duration {
            seconds: 0,
            nanos: millis * 1_000_000,
        })
    };
    let backoff = ExponentialBackoff {
        min_backoff: millis(25),
        max_backoff: millis(250),
        jitter_ratio: 1.0,
        respect_retry_after_hint: false,
    };
    assert_eq!(retry.backoff, Some(backoff));
    // 120: a route whose annotations cannot be read is told to nobody.
    let policy = told(HTTP, &[], &[(CODES, "5xx, 404")]).await;
    assert_eq!(spoken(&policy), "web:80 detect http | opaq");
    let policy = told(RouteKind::Grpc, &[], &[("retry.linkerd.io/grpc", "no")]).await;
    assert_eq!(spoken(&policy), "web:80 detect http | opaq");
}

#[tokio::test]
async fn retries_of_calls_have_their_own_conditions_and_the_same_limit() {
    let both = [
        ("retry.linkerd.io/grpc", "cancelled,Unavailable"),
        ("retry.linkerd.io/limit", "4"),
    ];
    let policy = told(RouteKind::Grpc, &both, &[]).await;
    let retry = grpc_rule(&policy).retry.as_ref().expect("inherited");
    let conditions = retry.conditions.as_ref().expect("always told");
    assert!(conditions.cancelled && conditions.unavailable);
    assert!(!conditions.internal && !conditions.deadine_exceeded);
    assert!(!conditions.resource_exhausted);
    assert_eq!(retry.max_retries, 4);
    // Of requests they have no condition, but the limit.
    let policy = told_of(annotated(&both)).await;
    let retry = http_rule(&policy)
        .retry
        .as_ref()
        .expect("a limit is enough");
    assert_eq!((retry.max_retries, ranges(retry)), (4, vec![]));
}

#[tokio::test]
async fn s123_124_125_128_accrual_is_the_parents() {
    const MODE: (&str, &str) = ("balancer.linkerd.io/failure-accrual", "consecutive");
    const UNIFIED: (&str, &str) = (MODE.0, "unified");
    const HONOR: (&str, &str) = (
        "balancer.alpha.linkerd.io/failure-accrual-honor-retry-after",
        "true",
    );
    const WINDOW: &str = "balancer.alpha.linkerd.io/failure-accrual-success-rate-window";
    const THRESHOLD: &str = "balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold";
    const REQUESTS: &str = "balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests";
    let min = "balancer.linkerd.io/failure-accrual-consecutive-min-penalty";
    let jitter = "balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio";
    let backoff = |hint| {
        Some(ExponentialBackoff {
            min_backoff: Some(Duration {
                seconds: 1,
                nanos: 0,
            }),
            max_backoff: Some(Duration {
                seconds: 60,
                nanos: 0,
            }),
            jitter_ratio: 0.5,
            respect_retry_after_hint: hint,
        })
    };
    for (annotations, hint) in [(&[MODE][..], false), (&[MODE, HONOR], false)] {
        let policy = told_of(annotated(annotations)).await;
        let found = accrual(&policy).and_then(|one| one.kind.as_ref());
        let Some(Accrual::ConsecutiveFailures(found)) = found else {
            panic!("{policy:?}");
        };
        assert_eq!((found.max_failures, &found.backoff), (7, &backoff(hint)));
    }
    // 124
    let policy = told_of(annotated(&[UNIFIED, HONOR])).await;
    let found = accrual(&policy).and_then(|one| one.kind.as_ref());
    let Some(Accrual::Unified(found)) = found else {
        panic!("{policy:?}");
    };
    assert!((found.success_rate_threshold - 0.8).abs() < f64::EPSILON);
    assert_eq!(found.decay.map(|decay| decay.seconds), Some(10));
    assert_eq!((found.min_requests, found.max_consecutive_failures), (5, 7));
    assert_eq!(found.backoff, backoff(true));
    for (annotations, is_told) in [
        (&[(MODE.0, "true")][..], false),
        (&[MODE, (jitter, "101")], false),
        (&[MODE, (min, "2m")], false),
        // 125
        (&[UNIFIED, (WINDOW, "9ms")], false),
        (&[UNIFIED, (WINDOW, "5ms"), (THRESHOLD, "0")], true),
        (&[UNIFIED, (REQUESTS, "2000000"), (THRESHOLD, "0")], true),
        // 128
        (&[HONOR], false),
    ] {
        let policy = told_of(annotated(annotations)).await;
        assert_eq!(accrual(&policy).is_some(), is_told, "{annotations:?}");
    }
    // With every protocol that has requests, and routes or not.
    for (protocol, is_told) in [
        (None, true),
        (Some("http"), true),
        (Some("grpc"), true),
        (Some("linkerd.io/opaque"), false),
    ] {
        let web = Service {
            traffic: traffic(&[MODE]),
            ..speaking(protocol)
        };
        assert_eq!(accrual(&told_of(web).await).is_some(), is_told);
    }
    for kind in [HTTP, RouteKind::Grpc] {
        assert!(accrual(&told(kind, &[MODE], &[]).await).is_some());
    }
}

#[tokio::test]
async fn s126_who_is_asked_for_says_whether_failures_count() {
    const PENALIZE: (&str, &str) = ("balancer.alpha.linkerd.io/penalize-failures", "true");
    let maybe = [(PENALIZE.0, "maybe")];
    for (web, api, kind, expected, own) in [
        (&[PENALIZE][..], &[][..], HTTP, "1*~api:80", "=~web:80"),
        (&[PENALIZE], &[], RouteKind::Grpc, "1*~api:80", ""),
        (&[PENALIZE], &[], RouteKind::Tcp, "1*api:80", ""),
        (&[PENALIZE], &[], RouteKind::Tls, "1*api:80", ""),
        (&[], &[PENALIZE], HTTP, "1*api:80", "=web:80"),
        (&maybe, &[], HTTP, "1*api:80", "=web:80"),
    ] {
        let mut mesh = TestMesh::with_services();
        mesh.apply("web", annotated(web));
        let api = Service {
            traffic: traffic(api),
            ..service(&["10.96.0.2"])
        };
        mesh.apply("api", api);
        let rules = all_to(kind, &[backend("api", 80)]);
        mesh.apply_route(kind, "r", route(&[on_web(80)], rules));
        let policy = mesh.policy(authority(WEB)).await.expect("known");
        assert_eq!(leads(&policy), [expected], "{kind:?}");
        if !own.is_empty() {
            assert_eq!(opaque_leads(&policy), [own]);
            mesh.delete_route(kind, "r");
            let policy = mesh.policy(authority(WEB)).await.expect("known");
            assert_eq!(leads(&policy), [own]);
        }
    }
    // Of what is not read nobody knows whether it failed.
    for protocol in ["linkerd.io/opaque", "https"] {
        let web = Service {
            traffic: traffic(&[PENALIZE]),
            ..speaking(Some(protocol))
        };
        assert_eq!(leads(&told_of(web).await), ["=web:80"]);
    }
    let policy = told_of(annotated(&[PENALIZE])).await;
    let distribution = http_rule(&policy).backends.as_ref();
    let Some(Distribution::FirstAvailable(first)) =
        distribution.and_then(|distribution| distribution.kind.as_ref())
    else {
        panic!("{policy:?}");
    };
    let own = first.backends[0].backend.as_ref().expect("set");
    let Some(backend::Kind::Balancer(balancer)) = &own.kind else {
        panic!("{own:?}");
    };
    let Some(Load::PenaltyPeakEwma(load)) = &balancer.load else {
        panic!("{own:?}");
    };
    let seconds = [
        load.penalty,
        load.penalty_decay,
        load.max_retry_after,
        load.decay,
    ];
    let seconds = seconds.map(|duration| duration.map(|duration| duration.seconds));
    assert_eq!(seconds, [Some(5), Some(10), Some(300), Some(10)]);
    assert_eq!(load.default_rtt.map(|rtt| rtt.nanos), Some(30_000_000));
}

#[tokio::test]
async fn s127_annotations_of_a_service_that_is_followed_are_told_once() {
    let mut mesh = TestMesh::with_services();
    let rules = annotated_rules(HTTP, &[], None);
    mesh.apply_route(HTTP, "r", route(&[on_web(80)], rules));
    let mut clients = Vec::new();
    for target in [authority(WEB), addr("10.96.0.1:80")] {
        let mut client = mesh.watch(target).await.expect("known");
        client.read();
        clients.push(client);
    }
    let annotations = [
        ("balancer.linkerd.io/failure-accrual", "consecutive"),
        ("retry.linkerd.io/http", "5xx"),
        ("timeout.linkerd.io/request", "5s"),
    ];
    mesh.apply("web", annotated(&annotations));
    for client in &mut clients {
        let told = client.read();
        assert_eq!(told.len(), 1);
        assert!(accrual(&told[0]).is_some() && http_rule(&told[0]).retry.is_some());
        let timeouts = http_rule(&told[0]).timeouts.as_ref();
        assert_eq!(seconds(timeouts), [Some(5), None, None]);
    }
    mesh.delete(ObjectKind::Service, "web");
    // By name there may be one again, and until then there is nothing to say.
    let told = clients[0].read();
    assert!(accrual(&told[0]).is_none());
    assert_eq!(clients[1].read(), []);
}

#[tokio::test]
async fn only_routes_of_the_cluster_let_headers_of_requests_decide() {
    for allow in [false, true] {
        let mut mesh = TestMesh::new(PolicySettings {
            allow_l5d_request_headers: allow,
            ..PolicySettings::default()
        });
        mesh.apply("web", service(&["10.96.0.1"]));
        let policy = mesh.policy(authority(WEB)).await.expect("known");
        assert!(!http_rule(&policy).allow_l5d_request_headers);
        mesh.apply_route(HTTP, "r", route(&[on_web(80)], all_to(HTTP, &[])));
        let policy = mesh.policy(authority(WEB)).await.expect("known");
        assert_eq!(http_rule(&policy).allow_l5d_request_headers, allow);
        let grpc = RouteKind::Grpc;
        mesh.apply_route(grpc, "r", route(&[on_web(80)], all_to(grpc, &[])));
        let policy = mesh.policy(authority(WEB)).await.expect("known");
        assert_eq!(grpc_rule(&policy).allow_l5d_request_headers, allow);
    }
}
