//! How a proxy carries what goes out to a target.

use super::{
    backend::Distribution,
    filter::{self, Filter},
    limit,
    route::{self, Route, Rule},
    sheet::Sheet,
};
use crate::endpoint::resource;
use ferrule_proto::outbound::{
    FailureAccrual, GrpcRoute, HttpRoute, OpaqueRoute, OutboundPolicy, TlsRoute,
    proxy_protocol::{Detect, Kind},
};

pub(super) fn sheet(policy: &OutboundPolicy) -> Sheet {
    let protocol = policy.protocol.as_ref();
    let protocol = Protocol::of(protocol.and_then(|protocol| protocol.kind.as_ref()));
    let parent = policy.metadata.as_ref().map(resource);
    let mut facts = vec![
        ("parent", parent.unwrap_or_else(|| "not set".to_owned())),
        ("protocol", protocol.name),
    ];
    facts.extend(protocol.accruals);
    if protocol.rows.is_empty() {
        facts.push(("routes", "none: nothing gets through".to_owned()));
    }
    Sheet {
        facts,
        sections: vec![route::section(protocol.rows)],
    }
}

/// A protocol, and what is done with traffic of it.
struct Protocol {
    name: String,
    accruals: Vec<(&'static str, String)>,
    rows: Vec<Vec<String>>,
}

impl Protocol {
    fn of(kind: Option<&Kind>) -> Self {
        let (name, accrual, rows) = match kind {
            None => ("not set", &None, Vec::new()),
            Some(Kind::Detect(detect)) => return Self::detected(detect),
            Some(Kind::Http1(http)) => (
                "HTTP/1",
                &http.failure_accrual,
                http_rows("HTTP", &http.routes),
            ),
            Some(Kind::Http2(http)) => (
                "HTTP/2",
                &http.failure_accrual,
                http_rows("HTTP", &http.routes),
            ),
            Some(Kind::Grpc(grpc)) => ("gRPC", &grpc.failure_accrual, grpc_rows(&grpc.routes)),
            Some(Kind::Opaque(opaque)) => ("opaque", &None, opaque_rows(&opaque.routes)),
            Some(Kind::Tls(tls)) => ("TLS of the application", &None, tls_rows(&tls.routes)),
        };
        Self {
            name: name.to_owned(),
            accruals: accrual_fact("failure accrual", accrual.as_ref()),
            rows,
        }
    }

    /// What is the same for both versions of HTTP is told once.
    fn detected(detect: &Detect) -> Self {
        let http1 = detect.http1.clone().unwrap_or_default();
        let http2 = detect.http2.clone().unwrap_or_default();
        let mut rows = if http1.routes == http2.routes {
            http_rows("HTTP", &http1.routes)
        } else {
            let mut rows = http_rows("HTTP/1", &http1.routes);
            rows.extend(http_rows("HTTP/2", &http2.routes));
            rows
        };
        let opaque = detect.opaque.as_ref();
        rows.extend(
            opaque
                .map(|opaque| opaque_rows(&opaque.routes))
                .into_iter()
                .flatten(),
        );
        let (one, two) = (
            http1.failure_accrual.as_ref(),
            http2.failure_accrual.as_ref(),
        );
        let accruals = if one == two {
            accrual_fact("failure accrual", one)
        } else {
            let mut accruals = accrual_fact("failure accrual of HTTP/1", one);
            accruals.extend(accrual_fact("failure accrual of HTTP/2", two));
            accruals
        };
        Self {
            // How long it may take is a setting of the proxy's, whatever is told.
            name: "detected: HTTP/1, HTTP/2, else opaque".to_owned(),
            accruals,
            rows,
        }
    }
}

fn accrual_fact(
    name: &'static str,
    accrual: Option<&FailureAccrual>,
) -> Vec<(&'static str, String)> {
    accrual
        .map(|accrual| (name, limit::accrual(accrual)))
        .into_iter()
        .collect()
}

fn http_rows(kind: &'static str, routes: &[HttpRoute]) -> Vec<Vec<String>> {
    let rows = routes.iter().flat_map(|route| {
        let rules = route.rules.iter().map(|rule| Rule {
            matches: route::http_matches(&rule.matches),
            filters: filter::text(&rule.filters),
            backends: backends(rule.backends.as_ref()),
            limits: limit::http(rule.timeouts.as_ref(), rule.retry.as_ref()),
        });
        let route = Route {
            metadata: route.metadata.as_ref(),
            kind,
            hosts: route::hosts(&route.hosts),
        };
        route.rows(rules)
    });
    rows.collect()
}

fn grpc_rows(routes: &[GrpcRoute]) -> Vec<Vec<String>> {
    let rows = routes.iter().flat_map(|route| {
        let rules = route.rules.iter().map(|rule| Rule {
            matches: route::grpc_matches(&rule.matches),
            filters: filter::text(&rule.filters),
            backends: backends(rule.backends.as_ref()),
            limits: limit::grpc(rule.timeouts.as_ref(), rule.retry.as_ref()),
        });
        let route = Route {
            metadata: route.metadata.as_ref(),
            kind: "gRPC",
            hosts: route::hosts(&route.hosts),
        };
        route.rows(rules)
    });
    rows.collect()
}

fn opaque_rows(routes: &[OpaqueRoute]) -> Vec<Vec<String>> {
    let rows = routes.iter().flat_map(|route| {
        let rules = route.rules.iter();
        let rules = rules.map(|rule| of_connections(&rule.filters, rule.backends.as_ref()));
        let route = Route {
            metadata: route.metadata.as_ref(),
            kind: "opaque",
            hosts: String::new(),
        };
        route.rows(rules)
    });
    rows.collect()
}

fn tls_rows(routes: &[TlsRoute]) -> Vec<Vec<String>> {
    let rows = routes.iter().flat_map(|route| {
        let rules = route.rules.iter();
        let rules = rules.map(|rule| of_connections(&rule.filters, rule.backends.as_ref()));
        let route = Route {
            metadata: route.metadata.as_ref(),
            kind: "TLS",
            hosts: route::server_names(&route.snis),
        };
        route.rows(rules)
    });
    rows.collect()
}

/// A rule for whole connections: there is nothing in them that it could match, or limit.
fn of_connections(filters: &[impl Filter], distribution: Option<&impl Distribution>) -> Rule {
    Rule {
        matches: "any".to_owned(),
        filters: filter::text(filters),
        backends: backends(distribution),
        limits: String::new(),
    }
}

fn backends(distribution: Option<&impl Distribution>) -> String {
    distribution.map_or_else(|| "not set".to_owned(), Distribution::text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::{
        destination::WeightedAddr,
        http_route::{HttpRouteMatch, PathMatch, path_match},
        meta::{Metadata, Resource, metadata},
        opaque_route::Forbidden,
        outbound::{
            Backend, ProxyProtocol, backend,
            failure_accrual::{self, ConsecutiveFailures},
            http_route, opaque_route,
            proxy_protocol::{Http1, Http2, Opaque},
        },
    };
    use std::net::SocketAddr;

    fn named(name: &str) -> Option<Metadata> {
        Some(Metadata {
            kind: Some(metadata::Kind::Default(name.into())),
        })
    }

    fn web() -> Option<Metadata> {
        Some(Metadata {
            kind: Some(metadata::Kind::Resource(Resource {
                group: "core".into(),
                kind: "Service".into(),
                name: "web".into(),
                namespace: "shop".into(),
                section: String::new(),
                port: 80,
            })),
        })
    }

    fn forward() -> Option<Backend> {
        Some(Backend {
            kind: Some(backend::Kind::Forward(WeightedAddr {
                addr: Some(SocketAddr::from(([10, 0, 0, 1], 80)).into()),
                ..WeightedAddr::default()
            })),
            ..Backend::default()
        })
    }

    fn http(name: &str) -> HttpRoute {
        use http_route::{
            Distribution, RouteBackend, Rule,
            distribution::{FirstAvailable, Kind},
        };
        HttpRoute {
            metadata: named(name),
            rules: vec![Rule {
                matches: vec![HttpRouteMatch {
                    path: Some(PathMatch {
                        kind: Some(path_match::Kind::Prefix("/".into())),
                    }),
                    ..HttpRouteMatch::default()
                }],
                backends: Some(Distribution {
                    kind: Some(Kind::FirstAvailable(FirstAvailable {
                        backends: vec![RouteBackend {
                            backend: forward(),
                            ..RouteBackend::default()
                        }],
                    })),
                }),
                ..Rule::default()
            }],
            ..HttpRoute::default()
        }
    }

    fn forbidden(name: &str) -> OpaqueRoute {
        use opaque_route::{
            Distribution, Filter, Rule,
            distribution::{Empty, Kind},
            filter,
        };
        OpaqueRoute {
            metadata: named(name),
            rules: vec![Rule {
                backends: Some(Distribution {
                    kind: Some(Kind::Empty(Empty {})),
                }),
                filters: vec![Filter {
                    kind: Some(filter::Kind::Forbidden(Forbidden {})),
                }],
            }],
        }
    }

    fn text(kind: Kind) -> String {
        let policy = OutboundPolicy {
            protocol: Some(ProxyProtocol { kind: Some(kind) }),
            metadata: web(),
        };
        sheet(&policy).text(&[])
    }

    fn detect(http1: Http1, http2: Http2) -> Kind {
        Kind::Detect(Detect {
            timeout: None,
            opaque: Some(Opaque {
                routes: vec![forbidden("opaq")],
            }),
            http1: Some(http1),
            http2: Some(http2),
        })
    }

    #[test]
    fn what_holds_for_both_versions_of_http_is_told_once() {
        let failure_accrual = Some(FailureAccrual {
            kind: Some(failure_accrual::Kind::ConsecutiveFailures(
                ConsecutiveFailures {
                    max_failures: 7,
                    backoff: None,
                },
            )),
            ejection: None,
        });
        let http1 = |name| Http1 {
            routes: vec![http(name)],
            failure_accrual,
        };
        let http2 = |name, failure_accrual| Http2 {
            routes: vec![http(name)],
            failure_accrual,
        };
        assert_eq!(
            text(detect(http1("http"), http2("http", failure_accrual))),
            "parent            core/Service shop/web:80\n\
             protocol          detected: HTTP/1, HTTP/2, else opaque\n\
             failure accrual   7 failures in a row\n\
             \n\
             ROUTE   KIND     MATCHES        FILTERS     BACKENDS\n\
             http    HTTP     path below /   -           10.0.0.1:80\n\
             opaq    opaque   any            forbidden   none"
        );
        assert_eq!(
            text(detect(http1("a"), http2("b", None))),
            "parent                      core/Service shop/web:80\n\
             protocol                    detected: HTTP/1, HTTP/2, else opaque\n\
             failure accrual of HTTP/1   7 failures in a row\n\
             \n\
             ROUTE   KIND     MATCHES        FILTERS     BACKENDS\n\
             a       HTTP/1   path below /   -           10.0.0.1:80\n\
             b       HTTP/2   path below /   -           10.0.0.1:80\n\
             opaq    opaque   any            forbidden   none"
        );
    }

    #[test]
    fn a_policy_without_routes_says_what_that_means() {
        assert_eq!(
            text(Kind::Opaque(Opaque::default())),
            "parent     core/Service shop/web:80\n\
             protocol   opaque\n\
             routes     none: nothing gets through"
        );
    }
}
