use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    metadata::Metadata,
    network::{Cidr, networks},
};
use crate::object::{self, Kind, Object, ObjectKey};
use serde::Deserialize;

/// `policy.linkerd.io` NetworkAuthentication.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NetworkAuthentication {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Spec {
    networks: Field<Vec<Field<Cidr>>>,
}

object_shapes!(NetworkAuthentication, Spec);

impl Watched for NetworkAuthentication {
    const KIND: Kind = Kind::NetworkAuthentication;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, _: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        let networks = networks(spec.networks, "spec.networks", reader).unwrap_or_default();
        if networks.is_empty() {
            reader.problems.push(
                "spec.networks: no network is named, so nobody is let in; expected some such as \
                 cidr: 10.0.0.0/8"
                    .to_owned(),
            );
        }
        Object::NetworkAuthentication(object::NetworkAuthentication { networks })
    }
}
