//! What a workload's proxy lets in on a port.

use super::{
    authorization, filter, limit,
    route::{self, Route, Rule},
    sheet::Sheet,
};
use crate::endpoint::{resource, short_identity};
use ferrule_proto::inbound::{
    Authz, GrpcRoute, HttpLocalRateLimit, HttpRoute, ProxyProtocol, Server,
    http_local_rate_limit::Limit, proxy_protocol::Kind,
};

pub(super) fn sheet(server: &Server) -> Sheet {
    let protocol = Protocol::of(server.protocol.as_ref());
    let mut facts = vec![
        ("policy", policy(server)),
        ("protocol", protocol.name.clone()),
    ];
    facts.extend(
        protocol
            .rate_limit
            .map(|limit| ("rate limit", rate_limit(limit))),
    );
    if server.authorizations.is_empty() {
        facts.push((
            "authorizations",
            match protocol.has_authorizations() {
                true => "none but those of the routes",
                false => "none: only the workload itself is let in",
            }
            .to_owned(),
        ));
    }
    let of_server = server.authorizations.iter();
    let of_server = of_server.map(|authz| (String::new(), authz));
    let authorizations = authorization::section(of_server.chain(protocol.authorizations()));
    Sheet {
        facts,
        sections: vec![authorizations, route::section(protocol.rows())],
    }
}

/// What decides: an object, or the default of that name.
fn policy(server: &Server) -> String {
    let label = |name: &str| server.labels.get(name).map_or("", String::as_str);
    match (label("group"), label("kind"), label("name")) {
        (_, "default" | "", name) => format!("{name} (default)"),
        (group, kind, name) => authorization::object(group, kind, name),
    }
}

/// A protocol, and what comes with some of them.
struct Protocol<'a> {
    name: String,
    http: &'a [HttpRoute],
    grpc: &'a [GrpcRoute],
    rate_limit: Option<&'a HttpLocalRateLimit>,
}

impl<'a> Protocol<'a> {
    fn of(protocol: Option<&'a ProxyProtocol>) -> Self {
        let mut told = Self {
            name: String::new(),
            http: &[],
            grpc: &[],
            rate_limit: None,
        };
        told.name = match protocol.and_then(|protocol| protocol.kind.as_ref()) {
            None => "not set".to_owned(),
            Some(Kind::Detect(detect)) => {
                told.http = &detect.http_routes;
                told.rate_limit = detect.http_local_rate_limit.as_ref();
                let timeout = detect.timeout.map(limit::span).unwrap_or_default();
                format!("detected within {timeout}: HTTP/1, HTTP/2, else opaque")
            }
            Some(Kind::Http1(http)) => {
                told.http = &http.routes;
                told.rate_limit = http.local_rate_limit.as_ref();
                "HTTP/1".to_owned()
            }
            Some(Kind::Http2(http)) => {
                told.http = &http.routes;
                told.rate_limit = http.local_rate_limit.as_ref();
                "HTTP/2".to_owned()
            }
            Some(Kind::Grpc(grpc)) => {
                told.grpc = &grpc.routes;
                "gRPC".to_owned()
            }
            Some(Kind::Opaque(_)) => "opaque".to_owned(),
            Some(Kind::Tls(_)) => "TLS of the application".to_owned(),
        };
        told
    }

    /// Those of routes, with the route.
    fn authorizations(&self) -> impl Iterator<Item = (String, &'a Authz)> {
        let http = self.http.iter();
        let http = http.map(|route| (&route.metadata, &route.authorizations));
        let grpc = self.grpc.iter();
        let grpc = grpc.map(|route| (&route.metadata, &route.authorizations));
        http.chain(grpc).flat_map(|(metadata, authorizations)| {
            let all = authorizations.iter();
            all.map(|authz| (route::name(metadata.as_ref()), authz))
        })
    }

    fn has_authorizations(&self) -> bool {
        self.authorizations().next().is_some()
    }

    fn rows(&self) -> Vec<Vec<String>> {
        let http = self.http.iter().flat_map(http_rows);
        let grpc = self.grpc.iter().flat_map(grpc_rows);
        http.chain(grpc).collect()
    }
}

fn http_rows(route: &HttpRoute) -> Vec<Vec<String>> {
    let rules = route.rules.iter().map(|rule| Rule {
        matches: route::http_matches(&rule.matches),
        filters: filter::text(&rule.filters),
        ..Rule::default()
    });
    let route = Route {
        metadata: route.metadata.as_ref(),
        kind: "HTTP",
        hosts: route::hosts(&route.hosts),
    };
    route.rows(rules)
}

fn grpc_rows(route: &GrpcRoute) -> Vec<Vec<String>> {
    let rules = route.rules.iter().map(|rule| Rule {
        matches: route::grpc_matches(&rule.matches),
        filters: filter::text(&rule.filters),
        ..Rule::default()
    });
    let route = Route {
        metadata: route.metadata.as_ref(),
        kind: "gRPC",
        hosts: route::hosts(&route.hosts),
    };
    route.rows(rules)
}

/// `100 a second in all, 10 for each client, 5 for web.shop`.
fn rate_limit(limits: &HttpLocalRateLimit) -> String {
    let per_second = |limit: &Limit| limit.requests_per_second;
    let mut told = Vec::new();
    if let Some(total) = &limits.total {
        told.push(format!("{} a second in all", per_second(total)));
    }
    if let Some(identity) = &limits.identity {
        told.push(format!("{} a second for each client", per_second(identity)));
    }
    for over in &limits.overrides {
        let limit = over.limit.as_ref().map(per_second).unwrap_or_default();
        let clients = over.clients.iter().flat_map(|clients| &clients.identities);
        let clients: Vec<_> = clients.map(|client| short_identity(&client.name)).collect();
        told.push(format!("{limit} a second for {}", clients.join(" and ")));
    }
    let told = told.join(", ");
    match limits.metadata.as_ref() {
        Some(metadata) => format!("{told} ({})", resource(metadata)),
        None => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::{
        http_route::{HttpRouteMatch, PathMatch, path_match},
        inbound::{
            Authn, Identity, Network,
            authn::{Permit, PermitUnauthenticated},
            http_local_rate_limit::{Override, r#override::ClientIdentities},
            http_route, proxy_protocol,
        },
        meta::{Metadata, Resource, metadata},
        net::IpNetwork,
    };
    use std::{collections::BTreeMap, net::IpAddr};

    fn default(name: &str) -> Option<Metadata> {
        Some(Metadata {
            kind: Some(metadata::Kind::Default(name.into())),
        })
    }

    fn anyone(name: &str) -> Authz {
        Authz {
            networks: vec![Network {
                net: Some(IpNetwork {
                    ip: Some(IpAddr::from([0, 0, 0, 0]).into()),
                    prefix_len: 0,
                }),
                except: Vec::new(),
            }],
            authentication: Some(Authn {
                permit: Some(Permit::Unauthenticated(PermitUnauthenticated {})),
            }),
            metadata: default(name),
            ..Authz::default()
        }
    }

    fn route(name: &str, path: path_match::Kind) -> HttpRoute {
        HttpRoute {
            metadata: default(name),
            rules: vec![http_route::Rule {
                matches: vec![HttpRouteMatch {
                    path: Some(PathMatch { kind: Some(path) }),
                    ..HttpRouteMatch::default()
                }],
                filters: Vec::new(),
            }],
            ..HttpRoute::default()
        }
    }

    fn labels(group: &str, kind: &str, name: &str) -> BTreeMap<String, String> {
        [("group", group), ("kind", kind), ("name", name)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn server(kind: Kind, authorizations: Vec<Authz>) -> Server {
        Server {
            protocol: Some(ProxyProtocol { kind: Some(kind) }),
            authorizations,
            labels: labels("", "default", "all-unauthenticated"),
            ..Server::default()
        }
    }

    #[test]
    fn a_port_that_nobody_configured_is_on_one_page() {
        let probe = HttpRoute {
            authorizations: vec![anyone("probe")],
            ..route("probe", path_match::Kind::Exact("/ready".into()))
        };
        let detect = proxy_protocol::Detect {
            timeout: Some(prost_types::Duration {
                seconds: 10,
                nanos: 0,
            }),
            http_routes: vec![
                route("default", path_match::Kind::Prefix("/".into())),
                probe,
            ],
            http_local_rate_limit: None,
        };
        let server = server(Kind::Detect(detect), vec![anyone("all-unauthenticated")]);
        assert_eq!(
            sheet(&server).text(&[]),
            "policy     all-unauthenticated (default)\n\
             protocol   detected within 10 s: HTTP/1, HTTP/2, else opaque\n\
             \n\
             AUTHORIZATION         ROUTE   CLIENTS   NETWORKS\n\
             all-unauthenticated   -       anyone    0.0.0.0/0\n\
             probe                 probe   anyone    0.0.0.0/0\n\
             \n\
             ROUTE     KIND   MATCHES\n\
             default   HTTP   path below /\n\
             probe     HTTP   path /ready"
        );
    }

    #[test]
    fn who_is_let_in_is_said_where_nobody_is() {
        let opaque = Kind::Opaque(proxy_protocol::Opaque {});
        let denied = Server {
            labels: labels("policy.linkerd.io", "server", "web"),
            ..server(opaque, Vec::new())
        };
        assert_eq!(
            sheet(&denied).text(&[]),
            "policy           Server web\n\
             protocol         opaque\n\
             authorizations   none: only the workload itself is let in"
        );
    }

    #[test]
    fn a_rate_limit_is_a_fact() {
        let limit = |requests_per_second| {
            Some(Limit {
                requests_per_second,
            })
        };
        let http = proxy_protocol::Http1 {
            routes: vec![HttpRoute::default()],
            local_rate_limit: Some(HttpLocalRateLimit {
                metadata: Some(Metadata {
                    kind: Some(metadata::Kind::Resource(Resource {
                        group: "policy.linkerd.io".into(),
                        kind: "HTTPLocalRateLimitPolicy".into(),
                        name: "web".into(),
                        ..Resource::default()
                    })),
                }),
                total: limit(100),
                identity: limit(10),
                overrides: vec![Override {
                    limit: limit(50),
                    clients: Some(ClientIdentities {
                        identities: vec![Identity {
                            name: "web.shop.serviceaccount.identity.linkerd.cluster.local".into(),
                        }],
                    }),
                }],
            }),
        };
        let facts = sheet(&server(Kind::Http1(http), Vec::new())).facts;
        assert_eq!(
            facts[2],
            (
                "rate limit",
                "100 a second in all, 10 a second for each client, 50 a second for web.shop \
                 (policy.linkerd.io/HTTPLocalRateLimitPolicy web)"
                    .to_owned()
            )
        );
    }
}
