//! A cluster's history as an API server tells it: what is true, and what each
//! kind's watch has not delivered yet. Watches break, lists come whole, in any
//! order and with repetitions, and the truth itself may go back in time.

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
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

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
    /// The watch of a kind brings some events,
    Deliver(Kind, usize),
    /// or breaks: what was on its way is lost and a list comes, from this seed.
    Relist(Kind, u64),
    /// A list breaks off after some objects and is begun again.
    BrokenList(Kind, usize, u64),
    Publish,
    /// Everything that is on its way arrives.
    Settle,
    /// etcd is saved,
    Save,
    /// or restored to what was saved: every kind is listed again.
    Restore(u64),
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

/// The truth, and what is on its way.
#[derive(Default)]
pub(crate) struct Cluster {
    truth: BTreeMap<(Kind, ObjectKey), Object>,
    saved: BTreeMap<(Kind, ObjectKey), Object>,
    watches: BTreeMap<Kind, VecDeque<Event>>,
}

/// Every kind that there are objects of.
pub(crate) fn kinds() -> impl Iterator<Item = Kind> {
    let others = [Kind::Service, Kind::Pod, Kind::Namespace];
    others.into_iter().chain(INBOUND_KINDS).chain(routes::KINDS)
}

impl Cluster {
    /// What the operation does to the cluster and to what is on its way; events
    /// that arrive now.
    pub(crate) fn happen(&mut self, op: &Op) -> Vec<Event> {
        match op {
            Op::Service(n, shape) => self.put(key("svc", *n), shape.build().into()),
            Op::Pod(n, shape) => self.put(key("pod", *n), shape.build().into()),
            Op::Relabel(n, app) => {
                let key = key("pod", *n);
                let known = self.truth.get(&(Kind::Pod, key.clone()));
                if let Some(Object::Pod(mut pod)) = known.cloned() {
                    pod.labels = labels_of(*app);
                    self.put(key, pod.into());
                }
            }
            Op::Namespace(opaque_ports) => {
                self.put(ObjectKey::new("", NS), namespace(*opaque_ports));
            }
            Op::Policy(key, object) => self.put(key.clone(), object.clone()),
            Op::Delete(kind, n) => self.delete(*kind, *n),
            Op::Deliver(kind, count) => {
                let watch = self.watches.entry(*kind).or_default();
                return watch.drain(..watch.len().min(*count)).collect();
            }
            Op::Relist(kind, seed) => {
                let list = self.list(*kind, *seed);
                self.watches.insert(*kind, list.into());
            }
            Op::BrokenList(kind, after, seed) => {
                let mut events = self.list(*kind, *seed);
                events.truncate(1 + after);
                events.extend(self.list(*kind, seed.wrapping_add(1)));
                self.watches.insert(*kind, events.into());
            }
            Op::Save => self.saved = self.truth.clone(),
            Op::Restore(seed) => {
                self.truth = self.saved.clone();
                for kind in kinds() {
                    let list = self.list(kind, *seed);
                    self.watches.insert(kind, list.into());
                }
            }
            Op::Settle => return self.rest(),
            Op::Publish | Op::Open(_) | Op::Read(_) | Op::Close(_) => {}
        }
        Vec::new()
    }

    /// Everything that is on its way.
    pub(crate) fn rest(&mut self) -> Vec<Event> {
        self.watches.values_mut().flat_map(std::mem::take).collect()
    }

    /// A full list of a kind, in an order and with repetitions given by `seed`.
    pub(crate) fn list(&self, kind: Kind, seed: u64) -> Vec<Event> {
        let mut random = seed | 1;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut items = Vec::new();
        for ((of, key), object) in &self.truth {
            let times = if *of != kind { 0 } else { 1 + next() % 4 / 3 };
            for _ in 0..times {
                items.push((next(), applied(key.clone(), object.clone())));
            }
        }
        items.sort_by_key(|(order, _)| *order);
        let mut events = vec![Event::Relisting(kind)];
        events.extend(items.into_iter().map(|(_, event)| event));
        events.push(Event::Synced(kind));
        events
    }

    fn put(&mut self, key: ObjectKey, object: Object) {
        let kind = object.kind();
        let watch = self.watches.entry(kind).or_default();
        watch.push_back(applied(key.clone(), object.clone()));
        self.truth.insert((kind, key), object);
    }

    fn delete(&mut self, kind: Kind, n: usize) {
        let key = match kind {
            Kind::Service => key("svc", n % SERVICES),
            Kind::Pod => key("pod", n % PODS),
            Kind::Namespace => ObjectKey::new("", NS),
            _ => shapes::key(kind, n % 4),
        };
        if self.truth.remove(&(kind, key.clone())).is_some() {
            let watch = self.watches.entry(kind).or_default();
            watch.push_back(Event::Deleted(kind, key));
        }
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
        24 => (kind(), 1..6_usize).prop_map(|(kind, count)| Op::Deliver(kind, count)),
        2 => (kind(), any::<u64>()).prop_map(|(kind, seed)| Op::Relist(kind, seed)),
        1 => (kind(), 0..4_usize, any::<u64>())
            .prop_map(|(kind, after, seed)| Op::BrokenList(kind, after, seed)),
        8 => Just(Op::Publish),
        2 => Just(Op::Settle),
        1 => Just(Op::Save),
        1 => any::<u64>().prop_map(Op::Restore),
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
