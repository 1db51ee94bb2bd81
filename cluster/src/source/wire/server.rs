use super::{
    Reader, Watched,
    field::{Field, Shape, object_shapes},
    metadata::Metadata,
    selector::Selector,
};
use crate::object::{self, Kind, Object, ObjectKey, ProxyProtocol, ServerPort, WorkloadSelector};
use serde::Deserialize;

/// `policy.linkerd.io` Server, any version.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Server {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    pod_selector: Field<Selector>,
    external_workload_selector: Field<Selector>,
    port: Field<Port>,
    proxy_protocol: Field<Box<str>>,
}

object_shapes!(Server, Spec);

/// A number, or the name that workloads give a port.
#[derive(Clone, Debug)]
enum Port {
    Number(u16),
    Name(Box<str>),
}

impl Shape for Port {
    const EXPECTED: &'static str = "a port (1-65535) or the name of one";

    fn from_text(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::Name(text.into()))
    }

    fn from_integer(number: i64) -> Option<Self> {
        let port = u16::try_from(number).ok().filter(|port| *port != 0)?;
        Some(Self::Number(port))
    }
}

impl Watched for Server {
    const KIND: Kind = Kind::Server;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, _: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        let port = match spec.port.read("spec.port", &mut reader.problems) {
            None => None,
            Some(Port::Number(port)) => Some(ServerPort::Number(port)),
            Some(Port::Name(name)) => Some(ServerPort::Name(reader.interner.name(&name))),
        };
        Object::Server(object::Server {
            workloads: workloads(spec.pod_selector, spec.external_workload_selector, reader),
            port,
            protocol: protocol(spec.proxy_protocol, reader),
        })
    }
}

/// One of the two selectors; with both the CRD's own rule is broken, and pods
/// are what older versions know alone.
fn workloads(
    pods: Field<Selector>,
    external: Field<Selector>,
    reader: &mut Reader<'_>,
) -> Option<WorkloadSelector> {
    const PODS: &str = "spec.podSelector";
    const EXTERNAL: &str = "spec.externalWorkloadSelector";
    if let Some(selector) = pods.read(PODS, &mut reader.problems) {
        return selector.read(PODS, reader).map(WorkloadSelector::Pods);
    }
    external
        .read(EXTERNAL, &mut reader.problems)?
        .read(EXTERNAL, reader)
        .map(WorkloadSelector::ExternalWorkloads)
}

fn protocol(field: Field<Box<str>>, reader: &mut Reader<'_>) -> ProxyProtocol {
    let text = reader.text(field, "spec.proxyProtocol");
    if text.is_empty() {
        return ProxyProtocol::default();
    }
    ProxyProtocol::parse(&text).unwrap_or_else(|| {
        let known = ProxyProtocol::ALL.map(|(_, spelling)| spelling).join(", ");
        reader
            .problems
            .push(format!("spec.proxyProtocol: {text:?} is none of {known}"));
        ProxyProtocol::default()
    })
}
