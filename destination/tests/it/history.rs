//! A cluster's history as an API server tells it: what is true, and what each
//! kind's watch has not delivered yet. Watches break, lists come whole, in any
//! order and with repetitions, and the truth itself may go back in time.

use crate::{shapes::*, support::*};
use ferrule_cluster::{
    object::{
        EndpointSlice, GoDuration, Kind, Namespace, Object, ObjectKey, Owner, RetryBudget,
        ServiceProfile,
    },
    source::Event,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

pub(crate) const SERVICES: usize = 3;
pub(crate) const PODS: usize = 7;
const SLICES: usize = 5;
const SERVERS: usize = 3;
pub(crate) const EXTERNAL_WORKLOADS: usize = 3;
pub(crate) const ADDRESSES: u8 = 6;
/// A namespace of clients that may have ServiceProfiles of its own.
const CLIENTS: &str = "clients";

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Service(usize, ServiceShape),
    Pod(usize, PodShape),
    Slice(usize, SliceShape),
    /// A slice is written again as it is.
    Rewrite(usize),
    ReplicaSet(usize, Option<u8>),
    Server(usize, ServerShape),
    ExternalWorkload(usize, ExternalShape),
    /// The ServiceProfile for a Service, in its namespace or in the clients': a
    /// retry budget of so many retries, or `None` for what cannot be told.
    ServiceProfile(usize, bool, Option<u8>),
    Namespace(Option<&'static str>),
    Delete(Kind, usize),
    /// The watch of a kind brings some events,
    Deliver(Kind, usize),
    /// or breaks: what was on its way is lost and a list comes, from this seed.
    Relist(Kind, u64),
    /// A list breaks off after some objects and is begun again.
    BrokenList(Kind, usize, u64),
    Publish,
    /// etcd is saved,
    Save,
    /// or restored to what was saved: every kind is listed again.
    Restore(u64),
    Open(Question),
    Read(usize, usize),
    Close(usize),
}

/// What a client asks.
#[derive(Clone, Debug)]
pub(crate) enum Question {
    Get {
        service: usize,
        port: u16,
        hostname: Option<usize>,
        node: usize,
    },
    Profile {
        service: usize,
        port: u16,
        client: &'static str,
    },
    Hostname {
        service: usize,
        pod: usize,
        port: u16,
    },
    Address {
        address: u8,
        port: u16,
        client: &'static str,
    },
    ClusterIp {
        service: usize,
        port: u16,
        client: &'static str,
    },
}

/// The truth, and what is on its way.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) truth: BTreeMap<(Kind, ObjectKey), Object>,
    saved: BTreeMap<(Kind, ObjectKey), Object>,
    watches: BTreeMap<Kind, VecDeque<Event>>,
    version: u64,
}

impl Cluster {
    /// What the operation does to the cluster and to what is on its way; events
    /// that arrive now.
    pub(crate) fn happen(&mut self, op: &Op) -> Vec<Event> {
        match op {
            Op::Service(n, shape) => self.put(key("svc", *n), Object::Service(shape.build(*n))),
            Op::Pod(n, shape) => self.put(key("pod", *n), Object::Pod(shape.build())),
            Op::Slice(n, shape) => {
                self.version += 1;
                let slice = shape.build(self.version);
                self.put(key("slice", *n), Object::EndpointSlice(slice));
            }
            Op::Rewrite(n) => {
                self.version += 1;
                let key = key("slice", *n);
                let known = self.truth.get(&(Kind::EndpointSlice, key.clone()));
                if let Some(Object::EndpointSlice(slice)) = known.cloned() {
                    let slice = EndpointSlice {
                        resource_version: self.version,
                        ..slice
                    };
                    self.put(key, Object::EndpointSlice(slice));
                }
            }
            Op::ReplicaSet(n, parent) => {
                let parent =
                    parent.map_or(Owner::Unclear, |d| owner("Deployment", &format!("d{d}")));
                self.put(key("rs", *n), Object::ReplicaSet(parent));
            }
            Op::Server(n, shape) => self.put(key("server", *n), Object::Server(shape.build())),
            Op::ExternalWorkload(n, shape) => {
                self.put(key("vm", *n), Object::ExternalWorkload(shape.build()));
            }
            Op::ServiceProfile(n, clients, retries) => {
                let profile = retries.map(|retries| ServiceProfile {
                    retry_budget: Some(RetryBudget {
                        ratio: retries.into(),
                        min_per_second: 1,
                        ttl: GoDuration::default(),
                    }),
                    ..ServiceProfile::default()
                });
                self.put(profile_key(*n, *clients), Object::ServiceProfile(profile));
            }
            Op::Namespace(opaque_ports) => self.put(
                ObjectKey::new("", NS),
                Object::Namespace(Namespace {
                    opaque_ports: opaque_ports.map(Into::into),
                }),
            ),
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
                self.version /= 2;
                // Nodes are outside of history.
                for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Node) {
                    let list = self.list(kind, *seed);
                    self.watches.insert(kind, list.into());
                }
            }
            Op::Publish | Op::Open(_) | Op::Read(..) | Op::Close(_) => {}
        }
        Vec::new()
    }

    /// Whether a ServiceProfile cannot be told: what it was before is known to
    /// those alone who saw it.
    pub(crate) fn has_untellable_profile(&self) -> bool {
        let mut objects = self.truth.values();
        objects.any(|object| *object == Object::ServiceProfile(None))
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
        let mut items: Vec<_> = self
            .truth
            .iter()
            .filter(|((of, _), _)| *of == kind)
            .map(|((_, key), object)| (next(), applied(key.clone(), object.clone())))
            .collect();
        let again = items.iter().filter(|(n, _)| n % 4 == 0);
        let again: Vec<_> = again
            .map(|(n, event)| (n.rotate_left(17), event.clone()))
            .collect();
        items.extend(again);
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
            Kind::EndpointSlice => key("slice", n % SLICES),
            Kind::ReplicaSet => key("rs", n % 2),
            Kind::Server => key("server", n % SERVERS),
            Kind::ExternalWorkload => key("vm", n % EXTERNAL_WORKLOADS),
            Kind::ServiceProfile => profile_key(n % SERVICES, n / SERVICES % 2 == 1),
            Kind::Namespace => ObjectKey::new("", NS),
            // None of them is ever there.
            _ => return,
        };
        if self.truth.remove(&(kind, key.clone())).is_some() {
            let watch = self.watches.entry(kind).or_default();
            watch.push_back(Event::Deleted(kind, key));
        }
    }
}

fn profile_key(service: usize, clients: bool) -> ObjectKey {
    let namespace = if clients { CLIENTS } else { NS };
    ObjectKey::new(namespace, format!("svc{service}.{NS}.svc.cluster.local"))
}

pub(crate) fn key(prefix: &str, n: usize) -> ObjectKey {
    ObjectKey::new(NS, format!("{prefix}{n}"))
}

/// Any history, with clients that come, read at their own speed and go.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Op>> {
    prop::collection::vec(op(), 1..160)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..SERVICES, service_shape()).prop_map(|(n, shape)| Op::Service(n, shape)),
        8 => (0..PODS, pod_shape()).prop_map(|(n, shape)| Op::Pod(n, shape)),
        10 => (0..SLICES, slice_shape()).prop_map(|(n, shape)| Op::Slice(n, shape)),
        2 => (0..SLICES).prop_map(Op::Rewrite),
        1 => (0..2_usize, prop::option::of(0..2_u8)).prop_map(|(n, d)| Op::ReplicaSet(n, d)),
        5 => (0..SERVERS, server_shape()).prop_map(|(n, shape)| Op::Server(n, shape)),
        5 => (0..EXTERNAL_WORKLOADS, external_shape(ADDRESSES))
            .prop_map(|(n, shape)| Op::ExternalWorkload(n, shape)),
        3 => (0..SERVICES, any::<bool>(), prop::option::weighted(0.9, 0..4_u8))
            .prop_map(|(n, clients, retries)| Op::ServiceProfile(n, clients, retries)),
        1 => prop::sample::select(vec![None, Some("8080"), Some("80,http"), Some("bad-")])
            .prop_map(Op::Namespace),
        5 => (kind(), 0..8_usize).prop_map(|(kind, n)| Op::Delete(kind, n)),
        16 => (kind(), 1..6_usize).prop_map(|(kind, count)| Op::Deliver(kind, count)),
        2 => (kind(), any::<u64>()).prop_map(|(kind, seed)| Op::Relist(kind, seed)),
        1 => (kind(), 0..4_usize, any::<u64>())
            .prop_map(|(kind, after, seed)| Op::BrokenList(kind, after, seed)),
        10 => Just(Op::Publish),
        1 => Just(Op::Save),
        1 => any::<u64>().prop_map(Op::Restore),
        5 => target().prop_map(Op::Open),
        8 => (0..16_usize, 1..4_usize).prop_map(|(client, count)| Op::Read(client, count)),
        1 => (0..16_usize).prop_map(Op::Close),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        3 => Just(Kind::Service),
        6 => Just(Kind::EndpointSlice),
        6 => Just(Kind::Pod),
        1 => Just(Kind::Namespace),
        1 => Just(Kind::ReplicaSet),
        3 => Just(Kind::Server),
        3 => Just(Kind::ExternalWorkload),
        2 => Just(Kind::ServiceProfile),
    ]
}

fn target() -> impl Strategy<Value = Question> {
    let port = prop::sample::select(vec![80_u16, 80, 8080]);
    prop_oneof![
        6 => (0..SERVICES, port.clone(), prop::option::weighted(0.1, 0..PODS), 0..4_usize)
            .prop_map(|(service, port, hostname, node)| Question::Get { service, port, hostname, node }),
        2 => (0..SERVICES, port.clone(), client())
            .prop_map(|(service, port, client)| Question::Profile { service, port, client }),
        1 => (0..SERVICES, 0..PODS, port.clone())
            .prop_map(|(service, pod, port)| Question::Hostname { service, pod, port }),
        2 => (0..ADDRESSES, port.clone(), client())
            .prop_map(|(address, port, client)| Question::Address { address, port, client }),
        2 => (0..SERVICES, port, client())
            .prop_map(|(service, port, client)| Question::ClusterIp { service, port, client }),
    ]
}

fn client() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", NS, CLIENTS, "others"])
}
