//! Histories of a cluster, and of clients that ask about it.

use crate::{shapes::*, support::*};
use ferrule_cluster::{
    object::{
        EndpointSlice, GoDuration, Kind, Namespace, Object, ObjectKey, Owner, RetryBudget,
        ServiceProfile,
    },
    source::Event,
};
use ferrule_test_history::{Act, ApiServer, acts};
use proptest::prelude::*;

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
    /// The API server does something with what is true.
    Api(Act),
    Publish,
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

/// The objects that there may be.
pub(crate) struct Cluster {
    pub(crate) api: ApiServer,
    version: u64,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        // Nodes are outside of history.
        let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Node);
        Self {
            api: ApiServer::of(kinds),
            version: 0,
        }
    }

    /// What the operation does to the cluster and to what is on its way; events
    /// that arrive now.
    pub(crate) fn happen(&mut self, op: &Op) -> Vec<Event> {
        match op {
            Op::Service(n, shape) => self
                .api
                .put(key("svc", *n), Object::Service(shape.build(*n))),
            Op::Pod(n, shape) => self.api.put(key("pod", *n), Object::Pod(shape.build())),
            Op::Slice(n, shape) => {
                self.version += 1;
                let slice = shape.build(self.version);
                self.api.put(key("slice", *n), Object::EndpointSlice(slice));
            }
            Op::Rewrite(n) => {
                self.version += 1;
                let key = key("slice", *n);
                let known = self.api.get(Kind::EndpointSlice, &key);
                if let Some(Object::EndpointSlice(slice)) = known.cloned() {
                    let slice = EndpointSlice {
                        resource_version: self.version,
                        ..slice
                    };
                    self.api.put(key, Object::EndpointSlice(slice));
                }
            }
            Op::ReplicaSet(n, parent) => {
                let parent =
                    parent.map_or(Owner::Unclear, |d| owner("Deployment", &format!("d{d}")));
                self.api.put(key("rs", *n), Object::ReplicaSet(parent));
            }
            Op::Server(n, shape) => self
                .api
                .put(key("server", *n), Object::Server(shape.build())),
            Op::ExternalWorkload(n, shape) => {
                self.api
                    .put(key("vm", *n), Object::ExternalWorkload(shape.build()));
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
                self.api
                    .put(profile_key(*n, *clients), Object::ServiceProfile(profile));
            }
            Op::Namespace(opaque_ports) => self.api.put(
                ObjectKey::new("", NS),
                Object::Namespace(Namespace {
                    opaque_ports: opaque_ports.map(Into::into),
                }),
            ),
            Op::Delete(kind, n) => self.delete(*kind, *n),
            Op::Api(act) => {
                if let Act::Restore(_) = act {
                    self.version /= 2;
                }
                return self.api.act(act);
            }
            Op::Publish | Op::Open(_) | Op::Read(..) | Op::Close(_) => {}
        }
        Vec::new()
    }

    /// Whether a ServiceProfile cannot be told: what it was before is known to
    /// those alone who saw it.
    pub(crate) fn has_untellable_profile(&self) -> bool {
        self.api
            .objects()
            .any(|object| *object == Object::ServiceProfile(None))
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
        self.api.delete(kind, key);
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
        21 => acts(kind()).prop_map(Op::Api),
        10 => Just(Op::Publish),
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
        2 => (0..SERVICES, 0..PODS, port.clone())
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
