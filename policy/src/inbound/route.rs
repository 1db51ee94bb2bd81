//! The routes of a port that no route of the cluster is attached to (policy.md
//! section 5.6).

use super::authorization;
use crate::{PolicySettings, metadata};
use ferrule_cluster::object::PodTemplate;
use ferrule_proto::{
    http_route::{HttpRouteMatch, PathMatch, path_match},
    http_types::{HttpMethod, http_method},
    inbound::{Authz, HttpRoute, http_route::Rule},
};

/// All requests, and those by which kubelets probe: the latter are let in
/// whoever else is not.
pub(super) fn defaults(settings: &PolicySettings, pod: &PodTemplate, port: u16) -> Vec<HttpRoute> {
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
    let probes: Vec<_> = pod.probe_paths(port).map(|path| get(path)).collect();
    if !probes.is_empty()
        && let Some(authz) = authorization::of_probes(settings)
    {
        routes.push(route("probe", vec![authz], probes));
    }
    routes
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
