use super::{
    Reader, Watched,
    field::{Field, Shape, object_shapes},
    metadata::Metadata,
    selector::Selector,
};
use crate::object::{
    self, DefaultPolicy, Kind, Object, ObjectKey, ProxyProtocol, ServerPort, WorkloadSelector,
};
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
    access_policy: Field<Box<str>>,
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

    fn into_object(self, mut metadata: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let spec = reader.part(self.spec, "spec");
        let port = port(spec.port, reader);
        Object::Server(object::Server {
            labels: metadata.labels(reader),
            created: metadata.created(reader),
            workloads: workloads(spec.pod_selector, spec.external_workload_selector, reader),
            port,
            protocol: protocol(spec.proxy_protocol, reader),
            access: access(spec.access_policy, reader),
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
    match (pods.is_present(), external.is_present()) {
        (true, true) => reader.problems.push(format!(
            "{PODS} and {EXTERNAL} are both there: expected one, {PODS} holds"
        )),
        (false, false) => reader.problems.push(format!(
            "neither {PODS} nor {EXTERNAL} is there: nothing is selected"
        )),
        _ => {}
    }
    if pods.is_present() {
        let selector = pods.read(PODS, &mut reader.problems)?;
        return selector.read(PODS, reader).map(WorkloadSelector::Pods);
    }
    external
        .read(EXTERNAL, &mut reader.problems)?
        .read(EXTERNAL, reader)
        .map(WorkloadSelector::ExternalWorkloads)
}

fn port(field: Field<Port>, reader: &mut Reader<'_>) -> Option<ServerPort> {
    Some(match reader.required(field, "spec.port")? {
        Port::Number(port) => ServerPort::Number(port),
        Port::Name(name) => ServerPort::Name(reader.interner.name(&name)),
    })
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

/// Nobody where nothing is said, as versions before v1beta3 had it, and where it
/// cannot be read.
fn access(field: Field<Box<str>>, reader: &mut Reader<'_>) -> DefaultPolicy {
    const PATH: &str = "spec.accessPolicy";
    let text = reader.text(field, PATH);
    if text.is_empty() {
        return DefaultPolicy::Deny;
    }
    text.parse().unwrap_or_else(|error| {
        reader.problems.push(format!("{PATH}: {error}"));
        DefaultPolicy::Deny
    })
}
