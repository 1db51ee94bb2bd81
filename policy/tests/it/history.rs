//! Histories of a cluster, and of clients that ask about it.

use crate::{
    objects::container_port,
    shapes::{self, INBOUND_KINDS, app, labels_of, routes},
    support::*,
};
use ferrule_cluster::{
    object::{
        DefaultPolicy, HttpProbe, Kind, Object, ObjectKey, Phase, Pod, PodTemplate, Service,
        traffic::Traffic,
    },
    source::Event,
};
use ferrule_test_history::{Act, ApiServer, acts};
use proptest::prelude::*;

const SERVICES: usize = 3;
const PODS: usize = 3;
/// Cluster IPs, of which the last is outside of the cluster's networks.
const ADDRESSES: [&str; 4] = ["10.96.0.1", "10.96.0.2", "fd00::1", "1.1.1.1"];
/// Addresses that no Service has, inside and outside of the cluster.
const OTHER_ADDRESSES: [&str; 3] = ["8.8.8.8", "1.1.1.2", "10.9.9.9"];
/// The namespaces of those who ask.
const CLIENTS: [&str; 3] = [NS, routes::CONSUMER, "d"];
const PORTS: [u16; 3] = [80, 8080, 3306];

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Service(usize, ServiceShape),
    Pod(usize, PodShape),
    Relabel(usize, Option<&'static str>),
    Namespace(Option<&'static str>),
    /// What policies are made of besides Services and pods.
    Policy(ObjectKey, Object),
    Delete(Kind, usize),
    /// The API server does something with what is true.
    Api(Act),
    Publish,
    /// Everything that is on its way arrives.
    Settle,
    Open(Question),
    Read(usize),
    Close(usize),
}

/// What a client asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    Pod {
        pod: usize,
        port: u16,
    },
    External {
        workload: usize,
        port: u16,
    },
    Address {
        client: &'static str,
        address: &'static str,
        port: u16,
    },
    Service {
        client: &'static str,
        service: usize,
        port: u16,
    },
}

#[derive(Clone, Debug)]
pub(crate) struct ServiceShape {
    addresses: Vec<&'static str>,
    ports: Vec<(u16, Option<&'static str>)>,
    external: bool,
    opaque: Option<&'static str>,
    traffic: Option<Box<Traffic>>,
}

#[derive(Clone, Debug)]
pub(crate) struct PodShape {
    meshed: bool,
    running: bool,
    policy: Option<DefaultPolicy>,
    opaque: Option<&'static str>,
    require_identity: bool,
    probe: Option<u16>,
    app: Option<&'static str>,
    named: bool,
}

/// The objects that there may be.
pub(crate) struct Cluster {
    pub(crate) api: ApiServer,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let kinds = [Kind::Service, Kind::Pod, Kind::Namespace].into_iter();
        let kinds = kinds.chain(INBOUND_KINDS).chain(routes::KINDS);
        Self {
            api: ApiServer::of(kinds),
        }
    }

    /// What the operation does to the cluster and to what is on its way; events
    /// that arrive now.
    pub(crate) fn happen(&mut self, op: &Op) -> Vec<Event> {
        match op {
            Op::Service(n, shape) => self.api.put(key("svc", *n), shape.build().into()),
            Op::Pod(n, shape) => self.api.put(key("pod", *n), shape.build().into()),
            Op::Relabel(n, app) => {
                let key = key("pod", *n);
                let known = self.api.get(Kind::Pod, &key);
                if let Some(Object::Pod(mut pod)) = known.cloned() {
                    pod.labels = labels_of(*app);
                    self.api.put(key, pod.into());
                }
            }
            Op::Namespace(opaque_ports) => {
                self.api
                    .put(ObjectKey::new("", NS), namespace(*opaque_ports));
            }
            Op::Policy(key, object) => self.api.put(key.clone(), object.clone()),
            Op::Delete(kind, n) => self.delete(*kind, *n),
            Op::Api(act) => return self.api.act(act),
            Op::Settle => return self.api.rest(),
            Op::Publish | Op::Open(_) | Op::Read(_) | Op::Close(_) => {}
        }
        Vec::new()
    }

    fn delete(&mut self, kind: Kind, n: usize) {
        let key = match kind {
            Kind::Service => key("svc", n % SERVICES),
            Kind::Pod => key("pod", n % PODS),
            Kind::Namespace => ObjectKey::new("", NS),
            _ => shapes::key(kind, n % 4),
        };
        self.api.delete(kind, key);
    }
}

fn key(prefix: &str, n: usize) -> ObjectKey {
    ObjectKey::new(NS, format!("{prefix}{n}"))
}

impl ServiceShape {
    fn build(&self) -> Service {
        Service {
            ports: self
                .ports
                .iter()
                .map(|&(port, app_protocol)| service_port(port, app_protocol))
                .collect(),
            cluster_ips: self.addresses.iter().map(|text| ip(text)).collect(),
            external_name: self.external,
            opaque_ports: self.opaque.map(ports),
            traffic: self.traffic.clone(),
            ..Service::default()
        }
    }
}

impl PodShape {
    fn build(&self) -> Pod {
        let probe = |port| HttpProbe {
            port,
            path: "/ready".into(),
        };
        let mut pod = pod(PodTemplate {
            control_plane: self.meshed.then(|| "linkerd".into()),
            default_policy: self.policy,
            opaque_ports: self.opaque.map(ports),
            require_identity_ports: ports(if self.require_identity { "80" } else { "" }),
            probes: self.probe.map(probe).into_iter().collect(),
            ports: [container_port("http", if self.named { 80 } else { 8080 })].into(),
            ..template()
        });
        pod.labels = labels_of(self.app);
        if self.running {
            pod.phase = Phase::Running;
            pod.ips = [ip("10.0.0.1")].into_iter().collect();
        }
        pod
    }
}

/// Any history, with clients that come, read at their own speed and go. In the
/// end few things change, or each would be looked at again because of another.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Op>> {
    let events = prop_oneof![
        1 => prop::collection::vec(op(), 1..12),
        2 => prop::collection::vec(op(), 1..120),
    ];
    let last = prop::collection::vec(change(), 0..3);
    (any::<bool>(), events, last).prop_map(|(is_settled, events, last)| {
        let mut all = if is_settled { settled() } else { Vec::new() };
        all.extend(events);
        all.push(Op::Settle);
        all.extend(last);
        all
    })
}

/// A port that somebody may call, and one who follows that.
fn settled() -> Vec<Op> {
    let pod = PodShape {
        meshed: true,
        running: true,
        policy: None,
        opaque: None,
        require_identity: false,
        probe: None,
        app: Some("a"),
        named: true,
    };
    let objects = shapes::settled().into_iter();
    let mut all = vec![Op::Pod(0, pod)];
    all.extend(objects.map(|(key, object)| Op::Policy(key, object)));
    all.push(Op::Settle);
    all.push(Op::Open(Question::Pod { pod: 0, port: 80 }));
    for client in CLIENTS {
        all.push(Op::Open(Question::Service {
            client,
            service: 0,
            port: 80,
        }));
        all.push(Op::Open(Question::Address {
            client,
            address: OTHER_ADDRESSES[0],
            port: 80,
        }));
    }
    all
}

/// The truth changes.
fn change() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0..SERVICES, service_shape()).prop_map(|(n, shape)| Op::Service(n, shape)),
        8 => (0..PODS, pod_shape()).prop_map(|(n, shape)| Op::Pod(n, shape)),
        3 => (0..PODS, app()).prop_map(|(n, app)| Op::Relabel(n, app)),
        32 => shapes::object().prop_map(|(key, object)| Op::Policy(key, object)),
        2 => prop::sample::select(vec![None, Some("80"), Some("8080,bad-")])
            .prop_map(Op::Namespace),
        8 => (kind(), 0..8_usize).prop_map(|(kind, n)| Op::Delete(kind, n)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        45 => change(),
        29 => acts(kind()).prop_map(Op::Api),
        8 => Just(Op::Publish),
        2 => Just(Op::Settle),
        8 => question().prop_map(Op::Open),
        8 => (0..16_usize).prop_map(Op::Read),
        1 => (0..16_usize).prop_map(Op::Close),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        4 => Just(Kind::Service),
        4 => Just(Kind::Pod),
        1 => Just(Kind::Namespace),
        12 => prop::sample::select(INBOUND_KINDS.to_vec()),
        12 => prop::sample::select(routes::KINDS.to_vec()),
    ]
}

fn port() -> impl Strategy<Value = u16> {
    prop::sample::select(PORTS.to_vec())
}

fn client() -> impl Strategy<Value = &'static str> {
    prop::sample::select(CLIENTS.to_vec())
}

fn address() -> impl Strategy<Value = &'static str> {
    prop::sample::select([&ADDRESSES[..], &OTHER_ADDRESSES].concat())
}

fn question() -> impl Strategy<Value = Question> {
    prop_oneof![
        4 => (0..PODS, port()).prop_map(|(pod, port)| Question::Pod { pod, port }),
        1 => (0..4_usize, port())
            .prop_map(|(workload, port)| Question::External { workload, port }),
        4 => (client(), address(), port())
            .prop_map(|(client, address, port)| Question::Address { client, address, port }),
        4 => (client(), 0..SERVICES, port())
            .prop_map(|(client, service, port)| Question::Service { client, service, port }),
    ]
}

fn service_shape() -> impl Strategy<Value = ServiceShape> {
    let app_protocol = prop::sample::select(vec![
        None,
        None,
        Some("http"),
        Some("grpc"),
        Some("kubernetes.io/h2c"),
        Some("linkerd.io/opaque"),
    ]);
    (
        prop::sample::subsequence(ADDRESSES.to_vec(), 0..3),
        prop::collection::vec((port(), app_protocol), 0..4),
        prop::bool::weighted(0.1),
        prop::sample::select(vec![None, None, Some(""), Some("80"), Some("8080")]),
        routes::any_traffic(),
    )
        .prop_map(
            |(addresses, ports, external, opaque, traffic)| ServiceShape {
                addresses,
                ports,
                external,
                opaque,
                traffic,
            },
        )
}

fn pod_shape() -> impl Strategy<Value = PodShape> {
    let policy = prop::sample::select(DefaultPolicy::ALL.to_vec());
    (
        prop::bool::weighted(0.8),
        any::<bool>(),
        prop::option::of(policy),
        prop::sample::select(vec![None, Some("80"), Some("1-65535")]),
        any::<bool>(),
        prop::option::weighted(0.3, port()),
        app(),
        any::<bool>(),
    )
        .prop_map(
            |(meshed, running, policy, opaque, require_identity, probe, app, named)| PodShape {
                meshed,
                running,
                policy,
                opaque,
                require_identity,
                probe,
                app,
                named,
            },
        )
}
