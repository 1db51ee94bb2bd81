use crate::policies::{self, default};
use ferrule_proto::{
    destination::{DestinationProfile, RetryBudget, WeightedAddr},
    http_route::{
        HeaderMatch, HttpFailureInjector, HttpRouteMatch, PathMatch, Ratio, RequestHeaderModifier,
        RequestRedirect, path_match,
    },
    http_types::{Headers, HttpMethod, headers::Header, http_method},
    inbound::{self, Authz, Server},
    meta::{Metadata, Resource, metadata},
    net::IpNetwork,
    outbound::{self, Backend, ExponentialBackoff, OutboundPolicy, failure_accrual, http_route},
};
use ferrule_tests::acceptance;
use prost_types::Duration;
use std::net::IpAddr;

#[test]
fn what_a_proxy_can_use_is_accepted() {
    assert_eq!(acceptance::server(&policies::inbound()), Ok(()));
    assert_eq!(
        acceptance::policy(&policies::outbound("web.shop:80")),
        Ok(())
    );
    let profile = DestinationProfile::default();
    assert_eq!(acceptance::profile(&profile), Ok(()));
}

#[test]
fn every_kind_of_route_is_looked_into() {
    let metadata = Some(default("route"));
    let backend = backend(&mut policies::outbound("web.shop:80")).clone();
    let grpc = |backend: Option<Backend>| {
        let first = outbound::grpc_route::distribution::FirstAvailable {
            backends: vec![outbound::grpc_route::RouteBackend {
                backend,
                ..Default::default()
            }],
        };
        let kind = outbound::grpc_route::distribution::Kind::FirstAvailable(first);
        let rule = outbound::grpc_route::Rule {
            backends: Some(outbound::grpc_route::Distribution { kind: Some(kind) }),
            ..Default::default()
        };
        outbound::proxy_protocol::Kind::Grpc(outbound::proxy_protocol::Grpc {
            routes: vec![outbound::GrpcRoute {
                metadata: metadata.clone(),
                rules: vec![rule],
                ..Default::default()
            }],
            failure_accrual: None,
        })
    };
    let tls = |backend: Option<Backend>| {
        let first = outbound::tls_route::distribution::FirstAvailable {
            backends: vec![outbound::tls_route::RouteBackend {
                backend,
                ..Default::default()
            }],
        };
        let kind = outbound::tls_route::distribution::Kind::FirstAvailable(first);
        let rule = outbound::tls_route::Rule {
            backends: Some(outbound::tls_route::Distribution { kind: Some(kind) }),
            ..Default::default()
        };
        outbound::proxy_protocol::Kind::Tls(outbound::proxy_protocol::Tls {
            routes: vec![outbound::TlsRoute {
                metadata: metadata.clone(),
                rules: vec![rule],
                ..Default::default()
            }],
        })
    };
    let place = "routes[0].rules[0].backends[0].backend: missing";
    for (kind, expected) in [
        (grpc(Some(backend.clone())), Ok(())),
        (grpc(None), Err(format!("grpc.{place}"))),
        (tls(Some(backend)), Ok(())),
        (
            tls(None),
            Err("tls.routes[0].backends[0].backend: missing".to_owned()),
        ),
    ] {
        let policy = OutboundPolicy {
            metadata: metadata.clone(),
            protocol: Some(outbound::ProxyProtocol { kind: Some(kind) }),
        };
        let accepted = acceptance::policy(&policy).map_err(|invalid| invalid.to_string());
        assert_eq!(accepted, expected);
    }
}

#[test]
fn a_budget_that_breaks_a_proxy_is_found() {
    let with = |min_retries_per_second| DestinationProfile {
        retry_budget: Some(RetryBudget {
            min_retries_per_second,
            ..RetryBudget::default()
        }),
        ..DestinationProfile::default()
    };
    assert_eq!(acceptance::profile(&with(2_147_483_646)), Ok(()));
    let error = acceptance::profile(&with(2_147_483_647)).unwrap_err();
    assert!(error.to_string().starts_with("retry_budget.min_retries"));
}

#[test]
fn a_server_without_what_a_proxy_needs_is_invalid() {
    type Spoil = fn(&mut Server);
    let cases: [(&str, Spoil); 17] = [
        ("protocol: missing", |server| server.protocol = None),
        ("protocol: missing", |server| kind(server).kind = None),
        ("protocol.detect.timeout: missing", |server| {
            detect(server).timeout = None;
        }),
        ("protocol.detect.timeout: ", |server| {
            detect(server).timeout = Some(negative());
        }),
        ("protocol.detect.local_rate_limit.metadata: ", |server| {
            detect(server).http_local_rate_limit = Some(inbound::HttpLocalRateLimit {
                metadata: Some(Metadata::default()),
                ..Default::default()
            });
        }),
        (
            "protocol.detect.http_routes[1].metadata: missing",
            |server| {
                let named = inbound::HttpRoute {
                    metadata: Some(default("default")),
                    ..Default::default()
                };
                detect(server).http_routes = vec![named, inbound::HttpRoute::default()];
            },
        ),
        (
            "protocol.detect.http_routes[0].authorizations[0]: no networks",
            |server| {
                detect(server).http_routes = vec![inbound::HttpRoute {
                    metadata: Some(default("probe")),
                    authorizations: vec![Authz::default()],
                    ..Default::default()
                }];
            },
        ),
        (
            "protocol.detect.http_routes[0].rules[0].matches[0].path: ",
            |server| detect(server).http_routes = vec![inbound_matching(path("("))],
        ),
        (
            "protocol.detect.http_routes[0].rules[0].matches[0].method: ",
            |server| {
                let method = HttpMethod {
                    r#type: Some(http_method::Type::Registered(9)),
                };
                detect(server).http_routes = vec![inbound_matching(HttpRouteMatch {
                    method: Some(method),
                    ..Default::default()
                })];
            },
        ),
        (
            "protocol.detect.http_routes[0].rules[0].matches[0].headers[0].name: ",
            |server| {
                detect(server).http_routes = vec![inbound_matching(HttpRouteMatch {
                    headers: vec![HeaderMatch {
                        name: "a b".into(),
                        ..Default::default()
                    }],
                    ..Default::default()
                })];
            },
        ),
        ("labels: no name", |server| {
            server.labels.remove("name");
        }),
        ("authorizations[0]: no networks", |server| {
            server.authorizations[0].networks.clear();
        }),
        ("authorizations[0].networks[0].net: missing", |server| {
            server.authorizations[0].networks[0].net = None;
        }),
        (
            "authorizations[0].networks[0].except[0]: prefix",
            |server| {
                server.authorizations[0].networks[0].except = vec![IpNetwork {
                    ip: Some(IpAddr::from([10, 0, 0, 0]).into()),
                    prefix_len: 33,
                }];
            },
        ),
        ("authorizations[0].authentication: missing", |server| {
            server.authorizations[0].authentication = None;
        }),
        ("authorizations[0].authentication: nobody", |server| {
            server.authorizations[0].authentication = Some(inbound::Authn { permit: None });
        }),
        ("authorizations[0].labels: no name", |server| {
            server.authorizations[0].metadata = None;
        }),
    ];
    for (reason, spoil) in cases {
        let mut server = policies::inbound();
        spoil(&mut server);
        let error = acceptance::server(&server).expect_err(reason).to_string();
        assert!(error.starts_with(reason), "{reason}: {error}");
    }
}

#[test]
fn a_policy_without_what_a_proxy_needs_is_invalid() {
    type Spoil = fn(&mut OutboundPolicy);
    let cases: [(&str, Spoil); 21] = [
        ("metadata: missing", |policy| policy.metadata = None),
        ("metadata.group: empty", |policy| {
            policy.metadata = Some(Metadata {
                kind: Some(metadata::Kind::Resource(Resource::default())),
            });
        }),
        ("protocol: missing", |policy| policy.protocol = None),
        ("detect.timeout: missing", |policy| {
            out(policy).timeout = None;
        }),
        ("detect.opaque: missing", |policy| out(policy).opaque = None),
        ("detect.http1: missing", |policy| out(policy).http1 = None),
        ("detect.http2: missing", |policy| out(policy).http2 = None),
        ("detect.opaque: more than one route", |policy| {
            let opaque = out(policy).opaque.as_mut().unwrap();
            opaque.routes.push(opaque.routes[0].clone());
        }),
        ("detect.opaque.routes[0]: 0 rules", |policy| {
            out(policy).opaque.as_mut().unwrap().routes[0].rules.clear();
        }),
        (
            "detect.http1.routes[0].rules[0].backends: missing",
            |policy| {
                rule(policy).backends = None;
            },
        ),
        (
            "detect.http1.routes[0].rules[0].backends: empty",
            |policy| {
                first(policy).clear();
            },
        ),
        (
            "detect.http1.routes[0].rules[0].filters[0].kind: missing",
            |policy| {
                rule(policy).filters = vec![http_route::Filter { kind: None }];
            },
        ),
        (
            "detect.http1.routes[0].rules[0].filters[0].kind.status: ",
            |policy| {
                rule(policy).filters = vec![filter(http_route::filter::Kind::FailureInjector(
                    HttpFailureInjector::default(),
                ))];
            },
        ),
        (
            "detect.http1.routes[0].rules[0].filters[0].kind.ratio: ",
            |policy| {
                rule(policy).filters = vec![filter(http_route::filter::Kind::FailureInjector(
                    HttpFailureInjector {
                        status: 500,
                        ratio: Some(Ratio::default()),
                        ..Default::default()
                    },
                ))];
            },
        ),
        (
            "detect.http1.routes[0].rules[0].filters[0].kind.port: ",
            |policy| {
                rule(policy).filters = vec![filter(http_route::filter::Kind::Redirect(
                    RequestRedirect {
                        port: 65_536,
                        ..Default::default()
                    },
                ))];
            },
        ),
        (
            "detect.http1.routes[0].rules[0].filters[0].kind.set.headers[0].value: ",
            |policy| {
                let modifier = RequestHeaderModifier {
                    set: Some(Headers {
                        headers: vec![Header {
                            name: "a".into(),
                            value: b"\n".to_vec(),
                        }],
                    }),
                    ..Default::default()
                };
                let kind = http_route::filter::Kind::RequestHeaderModifier(modifier);
                rule(policy).filters = vec![filter(kind)];
            },
        ),
        (
            "detect.http1.routes[0].rules[0].retry.conditions: missing",
            |policy| rule(policy).retry = Some(http_route::Retry::default()),
        ),
        ("detect.http1.failure_accrual.kind.backoff: ", |policy| {
            let backoff = ExponentialBackoff {
                min_backoff: Some(seconds(2)),
                max_backoff: Some(seconds(1)),
                ..Default::default()
            };
            let kind = failure_accrual::ConsecutiveFailures {
                max_failures: 7,
                backoff: Some(backoff),
            };
            let kind = failure_accrual::Kind::ConsecutiveFailures(kind);
            out(policy).http1.as_mut().unwrap().failure_accrual = Some(outbound::FailureAccrual {
                kind: Some(kind),
                ..Default::default()
            });
        }),
        (
            "detect.http1.routes[0].rules[0].backends[0].backend.queue: missing",
            |policy| backend(policy).queue = None,
        ),
        (
            "detect.http1.routes[0].rules[0].backends[0].backend.forward: port 0",
            |policy| {
                let addr = std::net::SocketAddr::from(([10, 0, 0, 1], 0));
                backend(policy).kind = Some(outbound::backend::Kind::Forward(WeightedAddr {
                    addr: Some(addr.into()),
                    ..Default::default()
                }));
            },
        ),
        (
            "detect.http1.routes[0].rules[0].backends[0].backend.balancer.load: missing",
            |policy| {
                if let Some(outbound::backend::Kind::Balancer(one)) = &mut backend(policy).kind {
                    one.load = None;
                }
            },
        ),
    ];
    for (reason, spoil) in cases {
        let mut policy = policies::outbound("web.shop:80");
        spoil(&mut policy);
        let error = acceptance::policy(&policy).expect_err(reason).to_string();
        assert!(error.starts_with(reason), "{reason}: {error}");
    }
}

#[test]
fn what_kills_a_proxys_task_is_invalid() {
    for path in [
        "10.0.0.1:80",
        "web.shop",
        "web.shop:http",
        "web.1:80",
        ":80",
        "",
    ] {
        let error = acceptance::policy(&policies::outbound(path)).unwrap_err();
        assert!(error.to_string().ends_with("is not NAME:PORT"), "{error}");
    }
    for (weights, accepted) in [
        (vec![0], true),
        (vec![0, 0], false),
        (vec![0, 1], true),
        (vec![u32::MAX, 1], false),
    ] {
        let mut policy = policies::outbound("web.shop:80");
        let random = random(&mut policy);
        random.backends = weights
            .iter()
            .map(|&weight| outbound::opaque_route::WeightedRouteBackend {
                weight,
                ..random.backends[0].clone()
            })
            .collect();
        assert_eq!(acceptance::policy(&policy).is_ok(), accepted, "{weights:?}");
    }
}

fn kind(server: &mut Server) -> &mut inbound::ProxyProtocol {
    server.protocol.as_mut().unwrap()
}

fn detect(server: &mut Server) -> &mut inbound::proxy_protocol::Detect {
    match &mut kind(server).kind {
        Some(inbound::proxy_protocol::Kind::Detect(detect)) => detect,
        other => panic!("{other:?}"),
    }
}

fn inbound_matching(one: HttpRouteMatch) -> inbound::HttpRoute {
    inbound::HttpRoute {
        metadata: Some(default("default")),
        rules: vec![inbound::http_route::Rule {
            matches: vec![one],
            filters: vec![],
        }],
        ..Default::default()
    }
}

fn path(regex: &str) -> HttpRouteMatch {
    HttpRouteMatch {
        path: Some(PathMatch {
            kind: Some(path_match::Kind::Regex(regex.into())),
        }),
        ..Default::default()
    }
}

fn out(policy: &mut OutboundPolicy) -> &mut outbound::proxy_protocol::Detect {
    match &mut policy.protocol.as_mut().unwrap().kind {
        Some(outbound::proxy_protocol::Kind::Detect(detect)) => detect,
        other => panic!("{other:?}"),
    }
}

fn rule(policy: &mut OutboundPolicy) -> &mut http_route::Rule {
    &mut out(policy).http1.as_mut().unwrap().routes[0].rules[0]
}

fn first(policy: &mut OutboundPolicy) -> &mut Vec<http_route::RouteBackend> {
    match &mut rule(policy).backends.as_mut().unwrap().kind {
        Some(http_route::distribution::Kind::FirstAvailable(first)) => &mut first.backends,
        other => panic!("{other:?}"),
    }
}

fn random(
    policy: &mut OutboundPolicy,
) -> &mut outbound::opaque_route::distribution::RandomAvailable {
    let opaque = out(policy).opaque.as_mut().unwrap();
    match &mut opaque.routes[0].rules[0].backends.as_mut().unwrap().kind {
        Some(outbound::opaque_route::distribution::Kind::RandomAvailable(random)) => random,
        other => panic!("{other:?}"),
    }
}

fn backend(policy: &mut OutboundPolicy) -> &mut Backend {
    first(policy)[0].backend.as_mut().unwrap()
}

fn filter(kind: http_route::filter::Kind) -> http_route::Filter {
    http_route::Filter { kind: Some(kind) }
}

fn seconds(seconds: i64) -> Duration {
    Duration { seconds, nanos: 0 }
}

fn negative() -> Duration {
    seconds(-1)
}
