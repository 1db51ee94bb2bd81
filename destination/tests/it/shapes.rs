//! Objects as they come in a history.

use crate::{
    history::{ADDRESSES, EXTERNAL_WORKLOADS, PODS, SERVICES, key},
    objects::*,
    support::*,
};
use ferrule_cluster::object::{
    EndpointSlice, ExternalWorkload, Multicluster, Phase, Pod, PodTemplate, ProxyContainer,
    ProxyProtocol, Server, ServerPort, Service, Target, WorkloadPort, WorkloadSelector,
};
use proptest::prelude::*;

/// Values of the label `app`.
const APPS: u8 = 2;

#[derive(Clone, Debug)]
pub(crate) struct ServerShape {
    /// `None` where the selector cannot be read.
    selector: Option<SelectorShape>,
    port: Option<ServerPort>,
    protocol: ProxyProtocol,
}

#[derive(Clone, Debug)]
struct SelectorShape {
    external: bool,
    /// `None` selects all.
    app: Option<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct ExternalShape {
    address: u8,
    dual: bool,
    declares: bool,
    app: Option<u8>,
    opaque: Option<bool>,
    meshed: bool,
    zone: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum MulticlusterShape {
    None,
    Remote,
    /// Of a Service, or of other clusters' alone.
    Federated(Option<usize>),
}

#[derive(Clone, Debug)]
pub(crate) struct ServiceShape {
    named: bool,
    local: bool,
    external: bool,
    opaque: bool,
    shared_ip: bool,
    multicluster: MulticlusterShape,
}

#[derive(Clone, Debug)]
pub(crate) struct PodShape {
    address: u8,
    node: usize,
    meshed: bool,
    proxy: bool,
    opaque: Option<bool>,
    owner: Option<usize>,
    phase: u8,
    terminating: bool,
    app: Option<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct SliceShape {
    service: usize,
    v6: bool,
    port: u8,
    endpoints: Vec<EndpointShape>,
}

#[derive(Clone, Debug)]
struct EndpointShape {
    /// Of the pod, or of the ExternalWorkload.
    pod: Option<usize>,
    external: bool,
    address: u8,
    ready: bool,
    hostname: bool,
    zone: Option<u8>,
    hints: u8,
}

/// The label of a pod or ExternalWorkload.
pub(crate) fn app(app: Option<u8>) -> Vec<(&'static str, &'static str)> {
    let value = ["zero", "one"];
    let labels = app.map(|app| ("app", value[usize::from(app % APPS)]));
    labels.into_iter().collect()
}

pub(crate) fn some_app() -> impl Strategy<Value = Option<u8>> {
    prop::option::weighted(0.8, 0..APPS)
}

impl ServiceShape {
    pub(crate) fn build(&self, n: usize) -> Service {
        let ip_of = if self.shared_ip { 0 } else { n };
        Service {
            ports: [service_port(if self.named { "http" } else { "" }, 80)].into(),
            cluster_ips: [ip(&format!("10.96.0.{ip_of}"))].into(),
            external_name: self.external,
            local_traffic: self.local,
            opaque_ports: self.opaque.then(|| ports("80")),
            traffic: None,
            multicluster: self.multicluster.build(),
        }
    }
}

impl PodShape {
    pub(crate) fn build(&self) -> Pod {
        let template = PodTemplate {
            control_plane: self.meshed.then(|| "linkerd".into()),
            proxy: match (self.meshed, self.proxy) {
                (true, true) => template().proxy,
                (true, false) => ProxyContainer::Incomplete,
                (false, _) => ProxyContainer::Absent,
            },
            opaque_ports: self
                .opaque
                .map(|opaque| ports(if opaque { "8080" } else { "1" })),
            ..template()
        };
        let address = self.address % ADDRESSES;
        let mut pod = pod(&[&v4(address), &v6(address)], template);
        pod.node = format!("n{}", self.node).into();
        pod.phase = [
            Phase::Running,
            Phase::Running,
            Phase::Pending,
            Phase::Finished,
        ][usize::from(self.phase % 4)];
        pod.terminating = self.terminating;
        let mut pod = labelled(pod, &app(self.app));
        if let Some(rs) = self.owner {
            pod.owner = owner("ReplicaSet", &format!("rs{rs}"));
        }
        pod
    }
}

impl SliceShape {
    pub(crate) fn build(&self, version: u64) -> EndpointSlice {
        let endpoints = self.endpoints.iter().map(|shape| {
            let address = shape.address % ADDRESSES;
            let address = if self.v6 { v6(address) } else { v4(address) };
            let mut built = endpoint(&format!("pod{}", shape.pod.unwrap_or_default()), &address);
            match shape.pod {
                None => built.target = Target::Address,
                Some(n) if shape.external => {
                    built.target = Target::ExternalWorkload(key("vm", n % EXTERNAL_WORKLOADS));
                }
                Some(_) => {}
            }
            built.ready = shape.ready;
            built.hostname = shape
                .hostname
                .then(|| format!("h{}", shape.pod.unwrap_or(9)).into());
            built.zone = shape.zone.map(zone);
            built.zone_hints = (0..2)
                .filter(|n| shape.hints & (1 << n) != 0)
                .map(zone)
                .collect();
            built
        });
        let port = match self.port {
            0 => slice_port("", None),
            1 => slice_port("http", Some(8080)),
            2 => slice_port("", Some(9090)),
            _ => slice_port("", Some(8080)),
        };
        EndpointSlice {
            ports: Some([port].into()),
            address_type: slice("", [endpoint("", if self.v6 { "::1" } else { "10.0.0.1" })])
                .address_type,
            resource_version: version,
            ..slice(&format!("svc{}", self.service), endpoints)
        }
    }
}

fn v4(n: u8) -> String {
    format!("10.0.0.{n}")
}

fn v6(n: u8) -> String {
    format!("2001:db8::{n}")
}

fn zone(n: u8) -> ferrule_cluster::object::Name {
    format!("zone-{}", n % 2).into()
}

impl MulticlusterShape {
    pub(crate) fn build(self) -> Option<Box<Multicluster>> {
        let multicluster = match self {
            MulticlusterShape::None => return None,
            MulticlusterShape::Remote => Multicluster::Remote {
                cluster: "east".into(),
                service: Some("web".into()),
            },
            MulticlusterShape::Federated(member) => Multicluster::Federated {
                local: member.map(|n| format!("svc{n}").into()),
            },
        };
        Some(Box::new(multicluster))
    }
}

pub(crate) fn multicluster_shape(services: usize) -> impl Strategy<Value = MulticlusterShape> {
    prop_oneof![
        16 => Just(MulticlusterShape::None),
        1 => Just(MulticlusterShape::Remote),
        3 => prop::option::weighted(0.9, 0..services).prop_map(MulticlusterShape::Federated),
    ]
}

impl ServerShape {
    pub(crate) fn build(&self) -> Server {
        Server {
            workloads: self.selector.as_ref().map(|shape| {
                let selector = selector(&app(shape.app));
                if shape.external {
                    WorkloadSelector::ExternalWorkloads(selector)
                } else {
                    WorkloadSelector::Pods(selector)
                }
            }),
            port: self.port.clone(),
            protocol: self.protocol,
            ..Server::default()
        }
    }
}

impl ExternalShape {
    pub(crate) fn build(&self) -> ExternalWorkload {
        let (v4, v6) = (
            format!("10.0.0.{}", self.address),
            format!("2001:db8::{}", self.address),
        );
        let ips = [&*v4, &*v6];
        let port = |name: &str, port| WorkloadPort {
            name: name.into(),
            port,
            is_tcp: true,
        };
        ExternalWorkload {
            labels: labels_of(&app(self.app)),
            ports: if self.declares {
                [port("http", 8080), port("linkerd-proxy", 5143)].into()
            } else {
                [port("http", 9090)].into()
            },
            opaque_ports: self
                .opaque
                .map(|opaque| ports(if opaque { "8080" } else { "1" })),
            identity: if self.meshed { "spiffe://x/y" } else { "" }.into(),
            zone: self.zone.then(|| "zone-0".into()),
            ..external(&ips[..if self.dual { 2 } else { 1 }])
        }
    }
}

pub(crate) fn server_shape() -> impl Strategy<Value = ServerShape> {
    let selector = (any::<bool>(), prop::option::weighted(0.8, 0..APPS))
        .prop_map(|(external, app)| SelectorShape { external, app });
    let port = prop::sample::select(vec![
        None,
        Some(ServerPort::Number(8080)),
        Some(ServerPort::Number(8080)),
        Some(ServerPort::Number(80)),
        Some(named("http")),
        Some(named("http")),
        Some(named("8080")),
    ]);
    let protocol = prop_oneof![
        4 => Just(ProxyProtocol::Opaque),
        1 => Just(ProxyProtocol::Http1),
    ];
    (prop::option::weighted(0.9, selector), port, protocol).prop_map(
        |(selector, port, protocol)| ServerShape {
            selector,
            port,
            protocol,
        },
    )
}

pub(crate) fn external_shape(addresses: u8) -> impl Strategy<Value = ExternalShape> {
    (
        0..addresses,
        any::<bool>(),
        prop::bool::weighted(0.8),
        some_app(),
        prop::option::weighted(0.2, any::<bool>()),
        prop::bool::weighted(0.9),
        any::<bool>(),
    )
        .prop_map(
            |(address, dual, declares, app, opaque, meshed, zone)| ExternalShape {
                address,
                dual,
                declares,
                app,
                opaque,
                meshed,
                zone,
            },
        )
}

pub(crate) fn service_shape() -> impl Strategy<Value = ServiceShape> {
    let rarely = || prop::bool::weighted(0.15);
    (
        rarely(),
        rarely(),
        prop::bool::weighted(0.05),
        any::<bool>(),
        rarely(),
        multicluster_shape(SERVICES),
    )
        .prop_map(
            |(named, local, external, opaque, shared_ip, multicluster)| ServiceShape {
                named,
                local,
                external,
                opaque,
                shared_ip,
                multicluster,
            },
        )
}

pub(crate) fn pod_shape() -> impl Strategy<Value = PodShape> {
    (
        0..ADDRESSES,
        0..4_usize,
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.9),
        prop::option::weighted(0.2, any::<bool>()),
        prop::option::weighted(0.3, 0..2_usize),
        0..8_u8,
        prop::bool::weighted(0.1),
        some_app(),
    )
        .prop_map(
            |(address, node, meshed, proxy, opaque, owner, phase, terminating, app)| PodShape {
                address,
                node,
                meshed,
                proxy,
                opaque,
                owner,
                phase,
                terminating,
                app,
            },
        )
}

pub(crate) fn slice_shape() -> impl Strategy<Value = SliceShape> {
    let endpoint = (
        prop::option::weighted(0.9, 0..PODS),
        prop::bool::weighted(0.2),
        0..ADDRESSES,
        prop::bool::weighted(0.85),
        prop::bool::weighted(0.2),
        prop::option::of(0..2_u8),
        prop_oneof![8 => Just(0_u8), 2 => 0..4_u8],
    )
        .prop_map(
            |(pod, external, address, ready, hostname, zone, hints)| EndpointShape {
                pod,
                external,
                address,
                ready,
                hostname,
                zone,
                hints,
            },
        );
    (
        0..SERVICES,
        prop::bool::weighted(0.2),
        prop_oneof![1 => 0..3_u8, 5 => Just(3_u8)],
        prop::collection::vec(endpoint, 0..5),
    )
        .prop_map(|(service, v6, port, endpoints)| SliceShape {
            service,
            v6,
            port,
            endpoints,
        })
}
