//! The routes of requests that come in (policy.md sections 5.6 and 5.7).

use super::{authorization, origin::Origin};
use crate::{
    PolicySettings,
    attachment::{self, Attached},
    metadata,
    route::{filter, host, matches},
};
use ferrule_cluster::{
    World,
    object::{
        Name, ObjectKey,
        route::{Filter, GrpcMatch, HttpMatch, Requests, Rules},
    },
};
use ferrule_proto::{
    grpc_route::{GrpcRouteMatch, GrpcRpcMatch},
    http_route::{HttpRouteMatch, PathMatch, path_match},
    http_types::{HttpMethod, http_method},
    inbound::{Authz, GrpcRoute, HttpRoute, grpc_route, http_route},
};

/// The HTTPRoutes of a Server; where there is none, or no Server, the defaults.
pub(super) fn http(
    settings: &PolicySettings,
    world: &World,
    server: Option<&ObjectKey>,
    probes: &[&Name],
) -> Vec<HttpRoute> {
    let attached = attached(settings, world, server);
    let routes = attached.iter().filter_map(|route| match &route.spec.rules {
        Rules::Http(requests) => Some(HttpRoute {
            metadata: Some(origin(route).metadata()),
            hosts: host::hosts(&route.spec.hosts),
            authorizations: authorization::of_route(settings, world, route.key),
            rules: http_rules(requests),
        }),
        _ => None,
    });
    let routes: Vec<_> = routes.collect();
    if routes.is_empty() {
        return http_defaults(settings, probes);
    }
    routes
}

/// The GRPCRoutes of a Server; where there is none, one for all calls.
pub(super) fn grpc(
    settings: &PolicySettings,
    world: &World,
    server: Option<&ObjectKey>,
) -> Vec<GrpcRoute> {
    let attached = attached(settings, world, server);
    let routes = attached.iter().filter_map(|route| match &route.spec.rules {
        Rules::Grpc(requests) => Some(GrpcRoute {
            metadata: Some(origin(route).metadata()),
            hosts: host::hosts(&route.spec.hosts),
            authorizations: authorization::of_route(settings, world, route.key),
            rules: grpc_rules(requests),
        }),
        _ => None,
    });
    let routes: Vec<_> = routes.collect();
    if routes.is_empty() {
        return vec![every_call()];
    }
    routes
}

fn attached<'w>(
    settings: &PolicySettings,
    world: &'w World,
    server: Option<&ObjectKey>,
) -> Vec<Attached<'w>> {
    let attached = server.map(|server| attachment::to_server(settings, world, server));
    attached.unwrap_or_default()
}

fn origin<'w>(route: &Attached<'w>) -> Origin<'w> {
    Origin::Route(route.key.kind, &route.key.key.name)
}

/// Backends, retries and timeouts are for those who send; responses are not
/// changed on this side (policy.md section 2.9).
fn http_rules<C>(requests: &Requests<HttpMatch, C>) -> Vec<http_route::Rule> {
    use http_route::filter::Kind;
    let rules = requests.rules.iter().map(|rule| {
        let filters = rule.filters.iter().filter_map(|filter| {
            let kind = match filter {
                Filter::RequestHeaders(changes) => {
                    Kind::RequestHeaderModifier(filter::request_headers(changes))
                }
                Filter::Redirect(redirect) => Kind::Redirect(filter::redirect(redirect)),
                Filter::ResponseHeaders(_) => return None,
            };
            Some(http_route::Filter { kind: Some(kind) })
        });
        http_route::Rule {
            matches: rule.matches.iter().map(matches::http).collect(),
            filters: filters.collect(),
        }
    });
    rules.collect()
}

fn grpc_rules<C>(requests: &Requests<GrpcMatch, C>) -> Vec<grpc_route::Rule> {
    use grpc_route::filter::Kind;
    let rules = requests.rules.iter().map(|rule| {
        let filters = rule.filters.iter().filter_map(|filter| match filter {
            Filter::RequestHeaders(changes) => {
                let kind = Kind::RequestHeaderModifier(filter::request_headers(changes));
                Some(grpc_route::Filter { kind: Some(kind) })
            }
            Filter::Redirect(_) | Filter::ResponseHeaders(_) => None,
        });
        grpc_route::Rule {
            matches: rule.matches.iter().map(matches::grpc).collect(),
            filters: filters.collect(),
        }
    });
    rules.collect()
}

/// All requests, and those by which kubelets probe: the latter are let in
/// whoever else is not.
fn http_defaults(settings: &PolicySettings, probes: &[&Name]) -> Vec<HttpRoute> {
    let mut routes = vec![default("default", Vec::new(), vec![matches::below("/")])];
    if !probes.is_empty()
        && let Some(authz) = authorization::of_probes(settings)
    {
        let probes = probes.iter().map(|path| get(path)).collect();
        routes.push(default("probe", vec![authz], probes));
    }
    routes
}

fn every_call() -> GrpcRoute {
    let any = GrpcRouteMatch {
        rpc: Some(GrpcRpcMatch::default()),
        ..GrpcRouteMatch::default()
    };
    GrpcRoute {
        metadata: Some(metadata::default("default")),
        rules: vec![grpc_route::Rule {
            matches: vec![any],
            filters: Vec::new(),
        }],
        ..GrpcRoute::default()
    }
}

fn default(name: &str, authorizations: Vec<Authz>, matches: Vec<HttpRouteMatch>) -> HttpRoute {
    HttpRoute {
        metadata: Some(metadata::default(name)),
        hosts: Vec::new(),
        authorizations,
        rules: vec![http_route::Rule {
            matches,
            filters: Vec::new(),
        }],
    }
}

fn get(path: &str) -> HttpRouteMatch {
    HttpRouteMatch {
        path: Some(PathMatch {
            kind: Some(path_match::Kind::Exact(path.to_owned())),
        }),
        method: Some(HttpMethod {
            r#type: Some(http_method::Type::Registered(
                http_method::Registered::Get.into(),
            )),
        }),
        ..HttpRouteMatch::default()
    }
}
