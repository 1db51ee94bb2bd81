//! The routes of a port that no route of the cluster is attached to (policy.md
//! section 5.6).

use super::authorization;
use crate::{PolicySettings, metadata};
use ferrule_cluster::object::Name;
use ferrule_proto::{
    grpc_route::{GrpcRouteMatch, GrpcRpcMatch},
    http_route::{HttpRouteMatch, PathMatch, path_match},
    http_types::{HttpMethod, http_method},
    inbound::{Authz, GrpcRoute, HttpRoute, grpc_route, http_route::Rule},
};

/// All requests, and those by which kubelets probe: the latter are let in
/// whoever else is not.
pub(super) fn defaults(settings: &PolicySettings, probes: &[&Name]) -> Vec<HttpRoute> {
    let mut routes = vec![route(
        "default",
        Vec::new(),
        vec![HttpRouteMatch {
            path: Some(PathMatch {
                kind: Some(path_match::Kind::Prefix("/".into())),
            }),
            ..HttpRouteMatch::default()
        }],
    )];
    if !probes.is_empty()
        && let Some(authz) = authorization::of_probes(settings)
    {
        let probes = probes.iter().map(|path| get(path)).collect();
        routes.push(route("probe", vec![authz], probes));
    }
    routes
}

/// All calls.
pub(super) fn grpc_defaults() -> Vec<GrpcRoute> {
    let any = GrpcRouteMatch {
        rpc: Some(GrpcRpcMatch::default()),
        ..GrpcRouteMatch::default()
    };
    vec![GrpcRoute {
        metadata: Some(metadata::default("default")),
        rules: vec![grpc_route::Rule {
            matches: vec![any],
            filters: Vec::new(),
        }],
        ..GrpcRoute::default()
    }]
}

fn route(name: &str, authorizations: Vec<Authz>, matches: Vec<HttpRouteMatch>) -> HttpRoute {
    HttpRoute {
        metadata: Some(metadata::default(name)),
        hosts: Vec::new(),
        authorizations,
        rules: vec![Rule {
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
