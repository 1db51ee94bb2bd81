use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    metadata::{Mark, Metadata},
    traffic::traffic,
};
use crate::object::{self, Kind, Multicluster, Object, ObjectKey, PortSet};
use serde::Deserialize;

/// `v1` Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Service {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    ports: Field<Vec<Field<Port>>>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Field<Vec<Field<Box<str>>>>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Field<Box<str>>,
    r#type: Field<Box<str>>,
    internal_traffic_policy: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    name: Field<Box<str>>,
    port: Field<u16>,
    app_protocol: Field<Box<str>>,
}

object_shapes!(Service, Spec, Port);

/// What a headless Service has as its address.
const HEADLESS: &str = "None";

impl Watched for Service {
    const KIND: Kind = Kind::Service;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, mut metadata: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        let mut service = object::Service {
            ports: ports(spec.ports, reader),
            cluster_ips: cluster_ips(spec.cluster_ips, spec.cluster_ip, reader),
            external_name: *reader.text(spec.r#type, "spec.type") == *"ExternalName",
            local_traffic: *reader.text(spec.internal_traffic_policy, "spec.internalTrafficPolicy")
                == *"Local",
            opaque_ports: None,
            traffic: traffic(&mut metadata, reader),
            multicluster: multicluster(&mut metadata, reader).map(Box::new),
        };
        service.opaque_ports = metadata.annotation(Mark::OpaquePorts, reader).map(|text| {
            port_set(
                Mark::OpaquePorts,
                &text,
                |name| service.port_named(name),
                reader,
            )
        });
        Object::Service(service)
    }
}

fn ports(field: Field<Vec<Field<Port>>>, reader: &mut Reader<'_>) -> Box<[object::ServicePort]> {
    reader
        .elements(field, "spec.ports")
        .into_iter()
        .filter_map(|port| {
            Some(object::ServicePort {
                name: reader.name(port.name, "spec.ports[].name"),
                port: port.port.read("spec.ports[].port", &mut reader.problems)?,
                app_protocol: reader.some_name(port.app_protocol, "spec.ports[].appProtocol"),
            })
        })
        .collect()
}

/// The annotations come before the label; that they are there is enough.
fn multicluster(metadata: &mut Metadata, reader: &mut Reader<'_>) -> Option<Multicluster> {
    let local = metadata.annotation(Mark::LocalDiscovery, reader);
    let remote = metadata.annotation(Mark::RemoteDiscovery, reader);
    if local.is_some() || remote.is_some() {
        let local = local.filter(|name| !name.is_empty());
        return Some(Multicluster::Federated {
            local: local.map(|name| reader.interner.name(&name)),
        });
    }
    let cluster = metadata.label(Mark::RemoteDiscovery, reader)?;
    Some(Multicluster::Remote {
        cluster: reader.interner.name(&cluster),
        service: metadata.label_name(Mark::RemoteService, reader),
    })
}

fn cluster_ips(
    list: Field<Vec<Field<Box<str>>>>,
    single: Field<Box<str>>,
    reader: &mut Reader<'_>,
) -> Box<[std::net::IpAddr]> {
    let list = reader.elements(list, "spec.clusterIPs");
    let is_headless = |text: &str| text == HEADLESS;
    if list.iter().any(|text| is_headless(text))
        || matches!(&single, Field::Is(text) if is_headless(text))
    {
        return Box::default();
    }
    reader
        .addresses(list, "spec.clusterIPs", single, "spec.clusterIP")
        .into()
}

/// The port set in an annotation; what cannot be read of it is a problem.
pub(super) fn port_set(
    mark: Mark,
    text: &str,
    port_named: impl Fn(&str) -> Option<u16>,
    reader: &mut Reader<'_>,
) -> PortSet {
    let (set, errors) = PortSet::parse(text, port_named);
    reader.problems.extend(
        errors
            .into_iter()
            .map(|error| format!("annotation {}: {error}", mark.key())),
    );
    set
}
