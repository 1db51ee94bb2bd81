//! What a policy is the policy of, for metrics and logs.

use ferrule_cluster::object::{
    ObjectKey,
    route::{ParentKey, ParentKind, RouteKey},
};
use ferrule_proto::meta::{Metadata, Resource, metadata::Kind};

/// Something that no object of the cluster configures.
pub(crate) fn default(name: &str) -> Metadata {
    Metadata {
        kind: Some(Kind::Default(name.to_owned())),
    }
}

/// A port of a Service.
pub(crate) fn service(key: &ObjectKey, port: u16) -> Metadata {
    object(ParentKind::Service, key, port)
}

/// A port of something that routes are attached to; 0 for no port. Proxies refuse
/// an empty group, so that of Services is called `core`.
pub(crate) fn parent(parent: &ParentKey, port: u16) -> Metadata {
    object(parent.kind, &parent.key, port)
}

/// A route.
pub(crate) fn route(route: &RouteKey) -> Metadata {
    resource(route.kind.group(), route.kind.name(), &route.key, 0)
}

fn object(kind: ParentKind, key: &ObjectKey, port: u16) -> Metadata {
    resource(kind.group(), kind.name(), key, port)
}

fn resource(group: &str, kind: &str, key: &ObjectKey, port: u16) -> Metadata {
    Metadata {
        kind: Some(Kind::Resource(Resource {
            group: group.to_owned(),
            kind: kind.to_owned(),
            name: key.name.to_string(),
            namespace: key.namespace.to_string(),
            section: String::new(),
            port: port.into(),
        })),
    }
}
