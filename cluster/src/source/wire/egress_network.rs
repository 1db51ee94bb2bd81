use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    metadata::{Mark, Metadata, some_port_numbers},
    network::{Cidr, networks},
    status::{Status, conditions_of},
    traffic::traffic,
};
use crate::object::{self, Kind, Object, ObjectKey};
use serde::Deserialize;

/// `policy.linkerd.io` EgressNetwork.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EgressNetwork {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
    status: Field<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    traffic_policy: Field<Box<str>>,
    networks: Field<Vec<Field<Cidr>>>,
}

object_shapes!(EgressNetwork, Spec);

impl Watched for EgressNetwork {
    const KIND: Kind = Kind::EgressNetwork;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, mut metadata: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        Object::EgressNetwork(object::EgressNetwork {
            created: metadata.created(reader),
            allows: allows(spec.traffic_policy, reader),
            networks: networks(spec.networks, "spec.networks", reader),
            opaque_ports: some_port_numbers(&mut metadata, Mark::OpaquePorts, reader),
            traffic: traffic(&mut metadata, reader),
            conditions: conditions_of(self.status, reader),
        })
    }
}

fn allows(field: Field<Box<str>>, reader: &mut Reader<'_>) -> bool {
    const PATH: &str = "spec.trafficPolicy";
    match reader.required(field, PATH).as_deref() {
        Some("Allow") => true,
        Some("Deny") | None => false,
        Some(other) => {
            let problem = format!("{PATH}: {other:?} is neither Allow nor Deny; all is denied");
            reader.problems.push(problem);
            false
        }
    }
}
