use ferrule_cluster::object::{Kind, route::RouteKind};
use ferrule_proto::meta::{Metadata, Resource, metadata};
use std::collections::BTreeMap;

/// The group of the objects that decide about what comes in.
const GROUP: &str = "policy.linkerd.io";

/// What decides: an object of the cluster, or a default of that name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// No object.
    Default(&'a str),
    /// A Server.
    Server(&'a str),
    /// A ServerAuthorization.
    ServerAuthorization(&'a str),
    /// An AuthorizationPolicy.
    AuthorizationPolicy(&'a str),
    /// An HTTPLocalRateLimitPolicy.
    RateLimit(&'a str),
    /// A route.
    Route(RouteKind, &'a str),
}

impl Origin<'_> {
    /// Group, kind and name, as metrics have them.
    fn parts(&self) -> (&'static str, &'static str, &str) {
        match self {
            Origin::Default(name) => ("", "default", name),
            Origin::Server(name) => (GROUP, "server", name),
            Origin::ServerAuthorization(name) => (GROUP, "serverauthorization", name),
            Origin::AuthorizationPolicy(name) => (GROUP, "authorizationpolicy", name),
            Origin::RateLimit(name) => (GROUP, Kind::RateLimit.manifest_name(), name),
            Origin::Route(kind, name) => (kind.group(), kind.name(), name),
        }
    }

    pub(super) fn labels(self) -> BTreeMap<String, String> {
        let (group, kind, name) = self.parts();
        [("group", group), ("kind", kind), ("name", name)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    /// Without the namespace, which is the workload's.
    pub(super) fn metadata(self) -> Metadata {
        let (group, kind, name) = match self {
            Origin::Default(name) => return crate::metadata::default(name),
            _ => self.parts(),
        };
        Metadata {
            kind: Some(metadata::Kind::Resource(Resource {
                group: group.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                ..Resource::default()
            })),
        }
    }
}
