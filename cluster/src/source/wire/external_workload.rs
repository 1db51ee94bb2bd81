use super::{
    Reader, Watched,
    field::{Field, object_shapes},
    metadata::{Mark, Metadata, default_policy, port_numbers},
    pod::is_tcp,
    service::port_set,
};
use crate::object::{self, Kind, Object, ObjectKey, WorkloadPort};
use serde::Deserialize;

/// `workload.linkerd.io` ExternalWorkload, any version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExternalWorkload {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    #[serde(rename = "meshTLS")]
    mesh_tls: Field<MeshTls>,
    /// As v1alpha1 spells it.
    #[serde(rename = "meshTls")]
    old_mesh_tls: Field<MeshTls>,
    #[serde(rename = "workloadIPs")]
    workload_ips: Field<Vec<Field<Ip>>>,
    ports: Field<Vec<Field<Port>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MeshTls {
    identity: Field<Box<str>>,
    server_name: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Ip {
    ip: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Field<Box<str>>,
    port: Field<u16>,
    protocol: Field<Box<str>>,
}

object_shapes!(ExternalWorkload, Spec, MeshTls, Ip, Port);

impl Watched for ExternalWorkload {
    const KIND: Kind = Kind::ExternalWorkload;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, mut metadata: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        let mesh_tls = spec
            .mesh_tls
            .read("spec.meshTLS", &mut reader.problems)
            .or_else(|| spec.old_mesh_tls.read("spec.meshTls", &mut reader.problems))
            .unwrap_or_default();
        let ips = reader.elements(spec.workload_ips, "spec.workloadIPs");
        let mut workload = object::ExternalWorkload {
            owner: metadata.owner(reader),
            zone: metadata.label_name(Mark::Zone, reader),
            labels: metadata.labels(reader),
            identity: reader.name(mesh_tls.identity, "spec.meshTLS.identity"),
            server_name: reader.name(mesh_tls.server_name, "spec.meshTLS.serverName"),
            ips: ips
                .into_iter()
                .filter_map(|ip| {
                    let text = reader.text(ip.ip, "spec.workloadIPs[].ip");
                    reader.address(&text, "spec.workloadIPs[].ip")
                })
                .collect(),
            ports: ports(spec.ports, reader),
            opaque_ports: None,
            default_policy: default_policy(&mut metadata, reader),
            require_identity_ports: port_numbers(&mut metadata, Mark::RequireIdentityPorts, reader),
        };
        if !workload.is_meshed() {
            reader.problems.push(
                "spec.meshTLS: expected identity and serverName; a workload without both is not \
                 sent to"
                    .to_owned(),
            );
        }
        workload.opaque_ports = metadata.annotation(Mark::OpaquePorts, reader).map(|text| {
            port_set(
                Mark::OpaquePorts,
                &text,
                |name| workload.port_named(name),
                reader,
            )
        });
        Object::ExternalWorkload(workload)
    }
}

fn ports(field: Field<Vec<Field<Port>>>, reader: &mut Reader<'_>) -> Box<[WorkloadPort]> {
    reader
        .elements(field, "spec.ports")
        .into_iter()
        .filter_map(|port| {
            Some(WorkloadPort {
                name: reader.name(port.name, "spec.ports[].name"),
                port: port.port.read("spec.ports[].port", &mut reader.problems)?,
                is_tcp: is_tcp(&reader.text(port.protocol, "spec.ports[].protocol")),
            })
        })
        .collect()
}
