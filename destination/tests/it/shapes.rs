//! Servers, ExternalWorkloads and what Services stand for, in a history.

use crate::{objects::*, support::*};
use ferrule_cluster::object::{
    ExternalWorkload, Multicluster, ProxyProtocol, Server, ServerPort, WorkloadPort,
    WorkloadSelector,
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

/// The label of a pod or ExternalWorkload.
pub(crate) fn app(app: Option<u8>) -> Vec<(&'static str, &'static str)> {
    let value = ["zero", "one"];
    let labels = app.map(|app| ("app", value[usize::from(app % APPS)]));
    labels.into_iter().collect()
}

pub(crate) fn some_app() -> impl Strategy<Value = Option<u8>> {
    prop::option::weighted(0.8, 0..APPS)
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
