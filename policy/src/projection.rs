//! The views of policies, kept up to date by the index and looked up by
//! connections.

use crate::{
    PolicySettings,
    frames::Frames,
    inbound::{Batch, InboundDependency, InboundKey, Namespace, Reasons, Workload, WorkloadKey},
    outbound::{Affected, OutboundKey, OutboundTarget, Subject, what_is_told_of},
};
use bytes::Bytes;
use ferrule_cluster::{
    Answer, LINGER, ValueView, ViewRegistry, Views, World, describe,
    index::Projection,
    object::{ObjectKey, route::RouteKind},
    stream::message,
    world::Changes,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use tonic::Status;

/// Views may linger until so many were made; then those that nobody follows go
/// at once, so that asking for every port of a pod does not fill the memory. A
/// view is about a kilobyte.
const MAX_IDLE: usize = 16_384;

/// What connections read without asking the index: the views that exist.
#[derive(Default)]
pub struct Registry {
    ready: AtomicBool,
    pub(crate) inbound: Arc<ViewRegistry<InboundKey>>,
    pub(crate) outbound: Arc<ViewRegistry<OutboundKey>>,
    values: AtomicUsize,
}

impl Registry {
    /// Whether the world has been listed once: only then is anything answered.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// How many views of inbound and of outbound policies there are.
    pub fn views(&self) -> (usize, usize) {
        (self.inbound.len(), self.outbound.len())
    }

    /// How many different policies all views had together when they were last
    /// counted, at most ten seconds ago.
    pub fn values(&self) -> usize {
        self.values.load(Ordering::Relaxed)
    }

    /// How many different messages were told to those who follow inbound and to
    /// those who follow outbound policies; the others that were sent are the same
    /// ones again.
    pub fn encoded(&self) -> (u64, u64) {
        (self.inbound.updates(), self.outbound.updates())
    }

    /// What is told of connections to a Service, by name or by one of its cluster
    /// IPs, and each stream that is told it; as JSON, for people.
    pub fn describe_outbound(&self, service: &ObjectKey, ips: &[IpAddr]) -> Vec<Value> {
        let mut policies = Vec::new();
        self.outbound.for_each(|key, view| {
            let asked = match &key.target {
                OutboundTarget::Service { service: of, port } if of == service => {
                    json!({"service": of.to_string(), "port": port})
                }
                OutboundTarget::Address { ip, port } if ips.contains(ip) => {
                    json!({"address": SocketAddr::new(*ip, *port).to_string()})
                }
                _ => return,
            };
            policies.push(json!({
                "asked": asked,
                "from": key.client,
                "version": view.version(),
                "streams": describe::streams(view.subscribers(), view.version()),
            }));
        });
        policies
    }

    /// Nothing is answered from half a world (ruling 5).
    pub(crate) fn ready(&self) -> Result<(), Status> {
        if self.is_ready() {
            Ok(())
        } else {
            Err(Status::unavailable("the cluster has not been listed yet"))
        }
    }
}

/// A question for the index, from a connection.
pub struct Request(Ask);

pub(crate) enum Ask {
    /// The view of a port's policy; made if there is none.
    Inbound(InboundKey, oneshot::Sender<Arc<ValueView>>),
    /// A port's policy as it is now.
    InboundNow(InboundKey, oneshot::Sender<Result<Bytes, Status>>),
    /// Why a port has the policy that it has; `None` where there is no such
    /// workload.
    Reasons(InboundKey, oneshot::Sender<Option<Reasons>>),
    /// The view of a target's policy; made if there is none.
    Outbound(OutboundKey, oneshot::Sender<Arc<ValueView>>),
    /// A target's policy as it is now.
    OutboundNow(OutboundKey, oneshot::Sender<Result<Bytes, Status>>),
}

impl Request {
    /// Asks why a port has the policy that it has; the answer is `None` where the
    /// mesh has no such workload.
    pub fn reasons(key: InboundKey, reply: oneshot::Sender<Option<Reasons>>) -> Self {
        Self(Ask::Reasons(key, reply))
    }
}

impl From<Ask> for Request {
    fn from(ask: Ask) -> Self {
        Request(ask)
    }
}

/// The index's side of all policy views.
pub struct Policies {
    writer: Writer,
    registry: Arc<Registry>,
    inbound: Views<InboundKey>,
    outbound: Views<OutboundKey>,
}

/// Writes the policies of the world, equal ones once.
struct Writer {
    settings: Arc<PolicySettings>,
    frames: Frames,
}

impl Writer {
    fn inbound(&mut self, world: &World, key: &InboundKey) -> Result<Bytes, Status> {
        let namespace = namespace(&self.settings, world, key.workload.namespace());
        let server = namespace.policy(key)?;
        Ok(self.frames.share(message(&server)))
    }

    fn outbound(&mut self, world: &World, key: &OutboundKey) -> Result<Bytes, Status> {
        let subject = key.subject(&self.settings, world)?;
        Ok(self.write(world, &subject))
    }

    fn write(&mut self, world: &World, subject: &Subject) -> Bytes {
        let policy = subject.policy(&self.settings, world);
        self.frames.share(message(&policy))
    }
}

impl Policies {
    /// No views yet.
    pub fn new(settings: Arc<PolicySettings>, registry: Arc<Registry>) -> Self {
        Self {
            writer: Writer {
                settings,
                frames: Frames::default(),
            },
            inbound: Views::new(registry.inbound.clone()),
            outbound: Views::new(registry.outbound.clone()),
            registry,
        }
    }

    fn update_inbound(&mut self, world: &World, changes: &Changes) {
        let pods = changes.pods.iter().cloned().map(WorkloadKey::Pod);
        let external = changes.external_workloads.iter().cloned();
        let external = external.map(WorkloadKey::ExternalWorkload);
        for workload in pods.chain(external) {
            let is_known = Workload::find(world, &workload).is_some();
            let is_looked_at_below = changes.policies.contains(workload.namespace());
            let workload = InboundDependency::Workload(workload);
            if !is_known {
                // Its proxy asks again should there be such a workload later.
                self.inbound.end(&workload, &Status::ok(""));
            } else if !is_looked_at_below {
                for (key, view) in self.inbound.dependents(&workload) {
                    publish(view, self.writer.inbound(world, key));
                }
            }
        }
        let Writer { settings, frames } = &mut self.writer;
        for name in &changes.policies {
            let mut batch = Batch::new(namespace(settings, world, name));
            let dependency = InboundDependency::Namespace(name.clone());
            for (key, view) in self.inbound.dependents(&dependency) {
                let frame = batch.frame(key, |server| frames.share(message(server)));
                publish(view, frame);
            }
        }
    }

    fn update_outbound(&mut self, world: &World, changes: &Changes) {
        let settings = self.writer.settings.clone();
        let affected = Affected::by(&settings, world, changes, &self.outbound);
        // Clients of many namespaces ask for one Service: what is told of it is
        // written once.
        let mut written = FxHashMap::<Subject, Bytes>::default();
        let tcp = changes.routes.iter();
        let tcp: FxHashSet<_> = tcp.filter(|route| route.kind == RouteKind::Tcp).collect();
        for (key, view) in affected.told {
            let subject = key.subject(&settings, world);
            let passes_over = !tcp.is_empty()
                && matches!(&subject, Ok(subject) if subject.passes_over(&settings, world, &tcp));
            let policy = subject.map(|subject| {
                let frame = written.get(&subject).cloned();
                frame.unwrap_or_else(|| {
                    let frame = self.writer.write(world, &subject);
                    written.insert(subject, frame.clone());
                    frame
                })
            });
            // Who asks for an address is told by another answer that it is something
            // else, not by this one.
            if affected.ended.contains(key) && !continues(view, &policy) {
                continue;
            }
            // Linkerd tells that there is such a route, though no word of it.
            if !publish(view, policy) && passes_over {
                view.repeat();
            }
        }
        for key in affected.ended {
            // The proxy asks again at once.
            self.outbound.end_view(&key, &Status::ok(""));
        }
    }

    fn give_up(&mut self, linger: Duration, now: Instant) {
        self.inbound.give_up(linger, now);
        self.outbound.give_up(linger, now);
    }
}

fn namespace<'w>(settings: &'w PolicySettings, world: &'w World, name: &'w str) -> Namespace<'w> {
    Namespace {
        settings,
        world,
        name,
    }
}

/// Those who follow what has no policy any more keep the one they have: it may
/// be back in a moment, and telling it again would reset their routers. Whether
/// anybody had to be told.
fn publish(view: &ValueView, policy: Result<Bytes, Status>) -> bool {
    match policy {
        Ok(frame) => view.publish(frame.into()),
        Err(refusal) => {
            view.refuse(refusal);
            false
        }
    }
}

/// Whether a policy is about the same object as the one that a view has.
fn continues(view: &ValueView, policy: &Result<Bytes, Status>) -> bool {
    match (view.newest(), policy) {
        (Ok(Some(told)), Ok(policy)) => what_is_told_of(&told) == what_is_told_of(policy),
        _ => false,
    }
}

fn answer(policy: Result<Bytes, Status>) -> Answer {
    policy.map_or_else(Answer::from, Answer::from)
}

impl Projection for Policies {
    type Request = Request;

    fn update(&mut self, world: &World, changes: &Changes) {
        self.update_inbound(world, changes);
        self.update_outbound(world, changes);
    }

    // Who asked and has gone in the meantime does not need the answer.
    fn handle(&mut self, world: &World, Request(ask): Request) {
        if self.inbound.made() + self.outbound.made() > MAX_IDLE {
            self.give_up(Duration::ZERO, Instant::now());
        }
        let writer = &mut self.writer;
        match ask {
            Ask::Inbound(key, reply) => {
                let make = |key: &_| answer(writer.inbound(world, key));
                let _ = reply.send(self.inbound.open(key, make));
            }
            Ask::InboundNow(key, reply) => {
                let _ = reply.send(writer.inbound(world, &key));
            }
            Ask::Reasons(key, reply) => {
                let name = key.workload.namespace();
                let _ = reply.send(namespace(&writer.settings, world, name).reasons(&key));
            }
            Ask::Outbound(key, reply) => {
                let make = |key: &_| answer(writer.outbound(world, key));
                let _ = reply.send(self.outbound.open(key, make));
            }
            Ask::OutboundNow(key, reply) => {
                let _ = reply.send(writer.outbound(world, &key));
            }
        }
    }

    fn synced(&mut self, _: &World) {
        self.registry.ready.store(true, Ordering::Release);
    }

    fn tidy(&mut self, now: Instant) {
        self.give_up(LINGER, now);
        self.writer.frames.sweep();
        let values = self.writer.frames.len();
        self.registry.values.store(values, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_cluster::{
        object::{Owner, Phase, Pod, PodTemplate},
        source::Event,
    };

    fn world_with(pods: &[&str]) -> World {
        let mut world = World::default();
        for name in pods {
            let template = PodTemplate {
                control_plane: Some("linkerd".into()),
                ..PodTemplate::default()
            };
            let pod = Pod {
                template: Arc::new(template),
                labels: Arc::default(),
                owner: Owner::Unclear,
                node: "".into(),
                ips: Default::default(),
                host_ips: Default::default(),
                phase: Phase::Running,
                terminating: false,
                host_network: false,
            };
            let event = Event::Applied {
                key: ObjectKey::new("ns", *name),
                object: pod.into(),
                problems: Vec::new(),
            };
            world.apply(event, &mut Changes::default());
        }
        world
    }

    fn open(policies: &mut Policies, world: &World, pod: &str, port: u16) -> Arc<ValueView> {
        let (reply, mut answer) = oneshot::channel();
        let key = InboundKey {
            workload: WorkloadKey::Pod(ObjectKey::new("ns", pod)),
            port,
        };
        policies.handle(world, Ask::Inbound(key, reply).into());
        answer.try_recv().expect("answered")
    }

    #[test]
    fn ports_with_equal_policies_share_their_bytes_until_nobody_asks_for_a_minute() {
        let world = world_with(&["a", "b"]);
        let registry = Arc::<Registry>::default();
        let mut policies = Policies::new(Arc::default(), registry.clone());
        let bytes = |view: &ValueView| view.newest().expect("no refusal").expect("a value");
        let views = [("a", 80), ("a", 81), ("b", 80)]
            .map(|(pod, port)| open(&mut policies, &world, pod, port));
        let first = bytes(&views[0]).as_ptr();
        assert!(views.iter().all(|view| bytes(view).as_ptr() == first));
        drop(views);

        policies.tidy(Instant::now());
        assert_eq!((registry.views(), registry.values()), ((3, 0), 1));
        policies.tidy(Instant::now() + 2 * LINGER);
        assert_eq!(registry.views(), (0, 0));
    }

    #[test]
    fn asking_for_every_port_does_not_fill_the_memory() {
        let world = world_with(&["a"]);
        let registry = Arc::<Registry>::default();
        let mut policies = Policies::new(Arc::default(), registry.clone());
        for port in 1..=u16::MAX {
            open(&mut policies, &world, "a", port);
        }
        assert!(registry.views().0 <= MAX_IDLE + 1, "{:?}", registry.views());
    }
}
