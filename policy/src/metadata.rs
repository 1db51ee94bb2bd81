//! What a policy is the policy of, for metrics and logs.

use ferrule_cluster::object::ObjectKey;
use ferrule_proto::meta::{Metadata, Resource, metadata::Kind};

/// Something that no object of the cluster configures.
pub(crate) fn default(name: &str) -> Metadata {
    Metadata {
        kind: Some(Kind::Default(name.to_owned())),
    }
}

/// A port of a Service. Proxies refuse an empty group, so that of Services is
/// called `core`.
pub(crate) fn service(key: &ObjectKey, port: u16) -> Metadata {
    Metadata {
        kind: Some(Kind::Resource(Resource {
            group: "core".into(),
            kind: "Service".into(),
            name: key.name.to_string(),
            namespace: key.namespace.to_string(),
            section: String::new(),
            port: port.into(),
        })),
    }
}
