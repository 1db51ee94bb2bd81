//! A mesh in a test: an index, its servers, and clients that keep what they are
//! told as a proxy does.

use crate::acceptable::Acceptable;
use ferrule_cluster::{
    Index, Interner,
    index::Handle,
    object::{
        Kind, Namespace, Object, ObjectKey, Owner, Phase, Pod, PodTemplate, PortSet, Service,
        ServicePort,
    },
    source::Event,
};
use ferrule_policy::{
    Inbound, InboundKey, InboundServer, Outbound, OutboundServer, Policies, PolicySettings,
    Reasons, Registry, Request, WorkloadKey,
};
use ferrule_proto::{
    inbound::{PortSpec, Server},
    meta::{Metadata, Resource, metadata},
    net::TcpAddress,
    outbound::{OutboundPolicy, TrafficSpec, traffic_spec::Target},
};
pub(crate) use ferrule_test_history::applied;
use futures::{FutureExt, poll};
use http_body_util::BodyExt;
use prost::Message;
use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Status, body::Body, server::NamedService};
use tower::Service as TowerService;

pub(crate) const NS: &str = "ns";
/// The workload that asks where it does not matter.
pub(crate) const CLIENT: &str = "ns:client";

pub(crate) struct TestMesh {
    index: Index,
    inbound: InboundServer,
    outbound: OutboundServer,
    requests: mpsc::Sender<Request>,
    pub(crate) registry: Arc<Registry>,
    // Keeps the channel open.
    _handle: Handle,
}

impl TestMesh {
    /// A synced, empty mesh.
    pub(crate) fn new(settings: PolicySettings) -> Self {
        let mut this = Self::unsynced(settings);
        for kind in Kind::ALL {
            this.feed(Event::Relisting(kind));
            this.feed(Event::Synced(kind));
        }
        this.publish();
        this
    }

    pub(crate) fn unsynced(settings: PolicySettings) -> Self {
        let registry = Arc::<Registry>::default();
        let policies = Policies::new(Arc::new(settings), registry.clone());
        let (mut index, handle) = Index::new(Interner::new());
        let requests = index.project(policies);
        Self {
            index,
            inbound: Inbound::server(registry.clone(), requests.clone()),
            outbound: Outbound::server(registry.clone(), requests.clone()),
            requests,
            registry,
            _handle: handle,
        }
    }

    pub(crate) fn feed(&mut self, event: Event) {
        self.index.apply(event);
    }

    pub(crate) fn publish(&mut self) {
        self.index.publish();
    }

    /// Applies one object and publishes.
    pub(crate) fn apply(&mut self, name: &str, object: impl Into<Object>) {
        self.apply_in(NS, name, object);
    }

    pub(crate) fn apply_in(&mut self, namespace: &str, name: &str, object: impl Into<Object>) {
        self.feed(applied(ObjectKey::new(namespace, name), object.into()));
        self.publish();
    }

    pub(crate) fn delete(&mut self, kind: Kind, name: &str) {
        self.delete_in(NS, kind, name);
    }

    pub(crate) fn delete_in(&mut self, namespace: &str, kind: Kind, name: &str) {
        self.feed(Event::Deleted(kind, ObjectKey::new(namespace, name)));
        self.publish();
    }

    /// Follows the policy of a port.
    pub(crate) async fn watch_port(
        &mut self,
        workload: &str,
        port: u32,
    ) -> Result<Client<Server>, Status> {
        let request = port_spec(workload, port);
        self.call_inbound("WatchPort", &request)
            .await
            .map(Client::new)
    }

    /// The policy of a port, by both methods.
    pub(crate) async fn port(&mut self, workload: &str, port: u32) -> Result<Server, Status> {
        let watched = match self.watch_port(workload, port).await {
            Ok(mut client) => Ok(only(client.read())),
            Err(status) => Err(status),
        };
        let request = port_spec(workload, port);
        let got = self.call_inbound("GetPort", &request).await;
        same(watched, got.map(Client::new))
    }

    /// Follows the policy of a target.
    pub(crate) async fn watch(&mut self, target: Target) -> Result<Client<OutboundPolicy>, Status> {
        self.watch_as(CLIENT, Some(target)).await
    }

    /// Follows the policy of a target from a namespace.
    pub(crate) async fn watch_from(
        &mut self,
        namespace: &str,
        target: Target,
    ) -> Result<Client<OutboundPolicy>, Status> {
        let workload = format!("{namespace}:client");
        self.watch_as(&workload, Some(target)).await
    }

    pub(crate) async fn watch_as(
        &mut self,
        workload: &str,
        target: Option<Target>,
    ) -> Result<Client<OutboundPolicy>, Status> {
        let request = traffic_spec(workload, target);
        self.call_outbound("Watch", &request).await.map(Client::new)
    }

    /// The policy of a target, by both methods.
    pub(crate) async fn policy(&mut self, target: Target) -> Result<OutboundPolicy, Status> {
        self.policy_from(NS, target).await
    }

    /// The policy of a target for clients in a namespace, by both methods.
    pub(crate) async fn policy_from(
        &mut self,
        namespace: &str,
        target: Target,
    ) -> Result<OutboundPolicy, Status> {
        let watched = match self.watch_from(namespace, target.clone()).await {
            Ok(mut client) => Ok(only(client.read())),
            Err(status) => Err(status),
        };
        let workload = format!("{namespace}:client");
        let request = traffic_spec(&workload, Some(target));
        let got = self.call_outbound("Get", &request).await;
        same(watched, got.map(Client::new))
    }

    /// Why a port has its policy.
    pub(crate) fn reasons(&mut self, workload: &str, port: u16) -> Option<Reasons> {
        let workload = WorkloadKey::parse(workload).expect("literal");
        let (reply, mut answer) = oneshot::channel();
        let request = Request::reasons(InboundKey { workload, port }, reply);
        self.requests.try_send(request).expect("room");
        self.index.answer();
        answer.try_recv().expect("answered")
    }

    async fn call_inbound(&mut self, method: &str, request: &PortSpec) -> Result<Body, Status> {
        let server = self.inbound.clone();
        self.call(server, method, request).await
    }

    async fn call_outbound(&mut self, method: &str, request: &TrafficSpec) -> Result<Body, Status> {
        let server = self.outbound.clone();
        self.call(server, method, request).await
    }

    async fn call<S>(
        &mut self,
        mut server: S,
        method: &str,
        request: &impl Message,
    ) -> Result<Body, Status>
    where
        S: NamedService + TowerService<http::Request<Body>, Response = http::Response<Body>>,
    {
        let frame = ferrule_cluster::stream::message(request);
        let request = http::Request::builder()
            .uri(format!("/{}/{method}", S::NAME))
            .body(Body::new(http_body_util::Full::from(frame)))
            .expect("valid");
        let mut response = pin!(server.call(request));
        let response = loop {
            match poll!(&mut response) {
                Poll::Ready(Ok(response)) => break response,
                Poll::Ready(Err(_)) => unreachable!("infallible"),
                Poll::Pending => {
                    self.index.answer();
                    // A test that never waits runs out of tokio's budget for a task,
                    // and then no channel is ever ready.
                    tokio::task::yield_now().await;
                }
            }
        };
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok(response.into_body()),
        }
    }
}

/// What `GetPort` and `Get` say is what `WatchPort` and `Watch` say first.
fn same<M: Acceptable>(
    watched: Result<M, Status>,
    got: Result<Client<M>, Status>,
) -> Result<M, Status> {
    match (watched, got) {
        (Ok(watched), Ok(mut got)) => {
            assert_eq!(only(got.read()), watched);
            assert_eq!(got.ended, Some(Code::Ok));
            Ok(watched)
        }
        (Err(watched), Err(got)) => {
            assert_eq!(
                (watched.code(), watched.message()),
                (got.code(), got.message())
            );
            Err(watched)
        }
        (watched, got) => panic!("{watched:?} {:?}", got.map(|client| client.newest)),
    }
}

fn only<M: std::fmt::Debug>(told: Vec<M>) -> M {
    assert_eq!(told.len(), 1, "{told:?}");
    told.into_iter().next().expect("one")
}

/// A proxy's side of a stream.
pub(crate) struct Client<M> {
    body: Body,
    pub(crate) newest: Option<M>,
    /// With what the stream ended.
    pub(crate) ended: Option<Code>,
}

impl<M: Acceptable> Client<M> {
    fn new(body: Body) -> Self {
        Self {
            body,
            newest: None,
            ended: None,
        }
    }

    /// What it has been sent and has not read.
    pub(crate) fn read(&mut self) -> Vec<M> {
        let mut told = Vec::new();
        while let Some(Some(frame)) = self.body.frame().now_or_never() {
            match frame.expect("infallible").into_data() {
                Ok(data) => {
                    let message = M::decode(&data[5..]).expect("a message");
                    message.accept();
                    self.newest = Some(message.clone());
                    told.push(message);
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().expect("data or trailers");
                    let status = Status::from_header_map(&trailers).expect("a status");
                    self.ended = Some(status.code());
                }
            }
        }
        told
    }
}

fn port_spec(workload: &str, port: u32) -> PortSpec {
    PortSpec {
        workload: workload.into(),
        port,
    }
}

fn traffic_spec(workload: &str, target: Option<Target>) -> TrafficSpec {
    TrafficSpec {
        source_workload: workload.into(),
        target,
    }
}

pub(crate) fn addr(text: &str) -> Target {
    let addr: SocketAddr = text.parse().expect("literal");
    Target::Addr(TcpAddress::from(addr))
}

pub(crate) fn authority(text: &str) -> Target {
    Target::Authority(text.into())
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("literal")
}

pub(crate) fn ports(text: &str) -> PortSet {
    let (set, errors) = PortSet::parse(text, |_| None);
    assert!(errors.is_empty());
    set
}

/// The template of a pod in the mesh.
pub(crate) fn template() -> PodTemplate {
    PodTemplate {
        service_account: "default".into(),
        control_plane: Some("linkerd".into()),
        ..PodTemplate::default()
    }
}

pub(crate) fn pod(template: PodTemplate) -> Pod {
    Pod {
        template: Arc::new(template),
        labels: Arc::default(),
        owner: Owner::Unclear,
        node: "".into(),
        ips: Default::default(),
        host_ips: Default::default(),
        phase: Phase::Pending,
        terminating: false,
        host_network: false,
    }
}

/// A Service with ports 80 and 8080.
pub(crate) fn service(ips: &[&str]) -> Service {
    Service {
        ports: [service_port(80, None), service_port(8080, None)].into(),
        cluster_ips: ips.iter().map(|text| ip(text)).collect(),
        ..Service::default()
    }
}

pub(crate) fn service_port(port: u16, app_protocol: Option<&str>) -> ServicePort {
    ServicePort {
        name: "".into(),
        port,
        app_protocol: app_protocol.map(Into::into),
    }
}

pub(crate) fn namespace(opaque_ports: Option<&str>) -> Object {
    Object::Namespace(Namespace {
        opaque_ports: opaque_ports.map(Into::into),
    })
}

pub(crate) fn default_metadata(name: &str) -> Option<Metadata> {
    Some(Metadata {
        kind: Some(metadata::Kind::Default(name.into())),
    })
}

pub(crate) fn service_metadata(name: &str, port: u32) -> Option<Metadata> {
    Some(Metadata {
        kind: Some(metadata::Kind::Resource(Resource {
            group: "core".into(),
            kind: "Service".into(),
            name: name.into(),
            namespace: NS.into(),
            section: String::new(),
            port,
        })),
    })
}
