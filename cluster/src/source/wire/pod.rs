use super::{
    Reader, Watched,
    field::{Field, Shape, object_shapes},
    metadata::{Mark, Metadata, default_policy, port_numbers},
    probe::Probe,
    service::port_set,
};
use crate::object::{
    self, ContainerPort, HttpProbe, Kind, Object, ObjectKey, Phase, PodTemplate, ProxyContainer,
    ProxyPorts,
};
use serde::{
    Deserialize,
    de::{IgnoredAny, MapAccess, SeqAccess},
};
use std::net::SocketAddr;

/// `v1` Pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pod {
    metadata: Field<Metadata>,
    spec: Field<Spec>,
    status: Field<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    service_account_name: Field<Box<str>>,
    node_name: Field<Box<str>>,
    host_network: Field<bool>,
    init_containers: Field<Vec<Field<Container>>>,
    containers: Field<Vec<Field<Container>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    name: Field<Box<str>>,
    ports: Field<Vec<Field<Port>>>,
    env: Field<ProxyEnvironment>,
    liveness_probe: Field<Probe>,
    readiness_probe: Field<Probe>,
    startup_probe: Field<Probe>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    name: Field<Box<str>>,
    container_port: Field<u16>,
    host_port: Field<u16>,
    protocol: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    phase: Field<Box<str>>,
    #[serde(rename = "podIPs")]
    pod_ips: Field<Vec<Field<Address>>>,
    #[serde(rename = "podIP")]
    pod_ip: Field<Box<str>>,
    #[serde(rename = "hostIPs")]
    host_ips: Field<Vec<Field<Address>>>,
    #[serde(rename = "hostIP")]
    host_ip: Field<Box<str>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    ip: Field<Box<str>>,
}

object_shapes!(Pod, Spec, Container, Port, Status, Address, Variable);

const PROXY: &str = "linkerd-proxy";

/// The listen addresses in a container's environment. The first of a name
/// counts; the other variables, of which there are dozens, are not kept.
#[derive(Clone, Copy, Debug, Default)]
struct ProxyEnvironment {
    inbound: Option<ListenPort>,
    admin: Option<ListenPort>,
    control: Option<ListenPort>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: Field<VariableName>,
    value: Field<ListenPort>,
}

#[derive(Clone, Copy, Debug)]
enum VariableName {
    Inbound,
    Admin,
    Control,
    Other,
}

/// The port of a literal `ip:port`, if the text is one.
#[derive(Clone, Copy, Debug)]
struct ListenPort(Option<u16>);

impl Shape for VariableName {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "LINKERD2_PROXY_INBOUND_LISTEN_ADDR" => Self::Inbound,
            "LINKERD2_PROXY_ADMIN_LISTEN_ADDR" => Self::Admin,
            "LINKERD2_PROXY_CONTROL_LISTEN_ADDR" => Self::Control,
            _ => Self::Other,
        })
    }
}

impl Shape for ListenPort {
    const EXPECTED: &'static str = "a string";

    fn from_text(text: &str) -> Option<Self> {
        let port = text.parse().ok().map(|address: SocketAddr| address.port());
        Some(Self(port))
    }
}

impl Shape for ProxyEnvironment {
    const EXPECTED: &'static str = "a list";

    fn from_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut environment = Self::default();
        while let Some(variable) = list.next_element::<Field<Variable>>()? {
            let Field::Is(Variable {
                name: Field::Is(name),
                value: Field::Is(value),
            }) = variable
            else {
                continue;
            };
            let slot = match name {
                VariableName::Inbound => &mut environment.inbound,
                VariableName::Admin => &mut environment.admin,
                VariableName::Control => &mut environment.control,
                VariableName::Other => continue,
            };
            slot.get_or_insert(value);
        }
        Ok(Some(environment))
    }

    fn from_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl ProxyEnvironment {
    fn ports(self) -> ProxyContainer {
        let port = |listen: Option<ListenPort>| listen.and_then(|listen| listen.0);
        match (port(self.admin), port(self.control)) {
            (Some(admin), Some(control)) => ProxyContainer::Listening(ProxyPorts {
                inbound: port(self.inbound),
                admin,
                control,
            }),
            _ => ProxyContainer::Incomplete,
        }
    }
}

impl Watched for Pod {
    const KIND: Kind = Kind::Pod;
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Field<Metadata> {
        &mut self.metadata
    }

    fn into_object(self, mut metadata: Metadata, _: &ObjectKey, reader: &mut Reader<'_>) -> Object {
        let mut spec = reader.part(self.spec, "spec");
        let status = reader.part(self.status, "status");
        let node = reader.name(std::mem::take(&mut spec.node_name), "spec.nodeName");
        let host_network = reader
            .flag(std::mem::take(&mut spec.host_network), "spec.hostNetwork")
            .unwrap_or_default();
        let template = template(&mut metadata, spec, reader);
        let labels = metadata.labels(reader);
        let phase = phase(&reader.text(status.phase, "status.phase"));
        let ips = addresses(status.pod_ips, "podIPs", status.pod_ip, "podIP", reader);
        let mut pod = object::Pod {
            template: reader.interner.template(template),
            labels,
            owner: metadata.owner(reader),
            node,
            ips: ips.into(),
            host_ips: Default::default(),
            phase,
            terminating: metadata.is_terminating(),
            host_network,
        };
        if pod.has_host_port() {
            let ips = addresses(status.host_ips, "hostIPs", status.host_ip, "hostIP", reader);
            pod.host_ips = ips.into();
        }
        Object::Pod(pod)
    }
}

fn template(metadata: &mut Metadata, spec: Spec, reader: &mut Reader<'_>) -> PodTemplate {
    let service_account = reader
        .some_name(spec.service_account_name, "spec.serviceAccountName")
        .unwrap_or_else(|| reader.interner.name("default"));
    let mut containers = reader.elements(spec.init_containers, "spec.initContainers");
    containers.extend(reader.elements(spec.containers, "spec.containers"));
    let containers = read_containers(containers, reader);
    let mut template = PodTemplate {
        service_account,
        control_plane: metadata.label_name(Mark::ControlPlane, reader),
        template_hash: metadata.label_name(Mark::TemplateHash, reader),
        opaque_ports: None,
        skip_inbound_ports: port_numbers(metadata, Mark::SkipInboundPorts, reader),
        default_policy: default_policy(metadata, reader),
        require_identity_ports: port_numbers(metadata, Mark::RequireIdentityPorts, reader),
        ports: containers.ports.into(),
        probes: containers.probes.into(),
        proxy: containers.proxy,
    };
    if template.control_plane.is_some() && template.proxy == ProxyContainer::Incomplete {
        reader.problems.push(format!(
            "the container {PROXY} lacks LINKERD2_PROXY_ADMIN_LISTEN_ADDR or \
             LINKERD2_PROXY_CONTROL_LISTEN_ADDR: the pod is no endpoint of any Service"
        ));
    }
    template.opaque_ports = metadata.annotation(Mark::OpaquePorts, reader).map(|text| {
        port_set(
            Mark::OpaquePorts,
            &text,
            |name| template.port_named(name),
            reader,
        )
    });
    template
}

/// What all containers of a pod say together.
#[derive(Default)]
struct Containers {
    ports: Vec<ContainerPort>,
    probes: Vec<HttpProbe>,
    /// What the first one of the proxy's name says.
    proxy: ProxyContainer,
}

fn read_containers(containers: Vec<Container>, reader: &mut Reader<'_>) -> Containers {
    let mut read = Containers::default();
    for container in containers {
        // Names of ports mean those of the same container to a kubelet.
        let mut tcp_ports = Vec::new();
        for port in reader.elements(container.ports, "containers[].ports") {
            if let Some(port) = read_port(port, reader) {
                if port.is_tcp && !port.name.is_empty() {
                    tcp_ports.push((port.name.clone(), port.port));
                }
                read.ports.push(port);
            }
        }
        for (probe, path) in [
            (container.liveness_probe, "containers[].livenessProbe"),
            (container.readiness_probe, "containers[].readinessProbe"),
            (container.startup_probe, "containers[].startupProbe"),
        ] {
            let probe = reader.part(probe, path);
            read.probes.extend(probe.http(&tcp_ports, path, reader));
        }
        let name = reader.text(container.name, "containers[].name");
        if *name == *PROXY && read.proxy == ProxyContainer::Absent {
            read.proxy = container
                .env
                .read("containers[].env", &mut reader.problems)
                .unwrap_or_default()
                .ports();
        }
    }
    read.probes.sort_unstable();
    read.probes.dedup();
    read
}

/// The port, unless its number cannot be read.
fn read_port(port: Port, reader: &mut Reader<'_>) -> Option<ContainerPort> {
    let number = port
        .container_port
        .read("containers[].ports[].containerPort", &mut reader.problems)?;
    let protocol = reader.text(port.protocol, "containers[].ports[].protocol");
    Some(ContainerPort {
        name: reader.name(port.name, "containers[].ports[].name"),
        port: number,
        host_port: port
            .host_port
            .read("containers[].ports[].hostPort", &mut reader.problems)
            .filter(|port| *port != 0),
        is_tcp: is_tcp(&protocol),
    })
}

/// Whether a port's `protocol` is TCP, as it is where nothing is said.
pub(super) fn is_tcp(protocol: &str) -> bool {
    protocol.is_empty() || protocol.eq_ignore_ascii_case("TCP")
}

fn phase(text: &str) -> Phase {
    match text {
        "Running" => Phase::Running,
        "Succeeded" | "Failed" => Phase::Finished,
        _ => Phase::Pending,
    }
}

fn addresses(
    list: Field<Vec<Field<Address>>>,
    list_name: &str,
    single: Field<Box<str>>,
    single_name: &str,
    reader: &mut Reader<'_>,
) -> Vec<std::net::IpAddr> {
    let list_path = format!("status.{list_name}");
    let list: Vec<_> = reader
        .elements(list, &list_path)
        .into_iter()
        .map(|address| reader.text(address.ip, format_args!("{list_path}[].ip")))
        .collect();
    reader.addresses(list, &list_path, single, &format!("status.{single_name}"))
}
