//! The parts of the server in this process, and those who ask it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use ferrule_cluster::index::IndexStats;
use ferrule_cluster::source::{Kubernetes, WatchStats};
use ferrule_cluster::{Index, Interner};
use ferrule_destination::{Destination, DestinationServer, Destinations, Mesh, Registry};
use ferrule_proto::destination::GetDestination;
use http::Request;
use http_body::Body as _;
use http_body_util::Full;
use tokio::net::TcpListener;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::{Service as _, service_fn};

use super::counting::{Count, Counted};
use crate::feed::{self, Deployment, Deployments, Store};
use crate::frames::frame;
use crate::processes::Generator;
use crate::protocol::{Asked, Open};
use crate::world::PodSize;

/// Pods of a Service: one slice.
pub(super) const ENDPOINTS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(20);
/// In which what was told is written to sockets, and read.
const REST: Duration = Duration::from_millis(20);

/// As `ferrule serve` has them (controller/src/grpc.rs).
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// A control plane that watches Deployments of [`ENDPOINTS`] pods.
pub(super) struct Plane {
    deployments: Deployments,
    services: Vec<Deployment>,
    registry: Arc<Registry>,
    stats: Arc<IndexStats>,
    server: DestinationServer,
    address: SocketAddr,
    /// Changes made.
    changes: usize,
    _tasks: JoinSet<()>,
}

impl Plane {
    /// One that has listed `services` Services.
    pub(super) async fn start(services: usize) -> Result<Self> {
        let store = Arc::<Store>::default();
        let mut deployments = Deployments::new(store.clone(), PodSize::Full).await;
        let mut made = Vec::with_capacity(services);
        for number in 0..services {
            made.push(deployments.create(number, ENDPOINTS).await);
        }
        let interner = Interner::new();
        let (mut index, handle) = Index::new(interner.clone());
        let registry = Arc::<Registry>::default();
        let mesh = Arc::new(Mesh::default());
        let questions = index.project(Destinations::new(mesh.clone(), registry.clone()));
        let server = Destination::server(mesh, registry.clone(), questions);
        let api = service_fn(move |request: Request<kube::client::Body>| {
            let answer = feed::answer(&store, &request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let source = Kubernetes {
            client: kube::Client::new(api, "default"),
            interner,
            stats: Arc::new(WatchStats::new()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let http = Server::builder()
            .max_concurrent_streams(u32::MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .add_service(server.clone());

        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(source.run(handle.events, stop.clone()));
        tasks.spawn(index.run(stop));
        tasks.spawn(async move {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let _ = http.serve_with_incoming(incoming).await;
        });
        let plane = Self {
            deployments,
            services: made,
            registry,
            stats: handle.stats,
            server,
            address,
            changes: 0,
            _tasks: tasks,
        };
        plane.until(|plane| plane.registry.is_ready()).await?;
        Ok(plane)
    }

    /// Makes `count` changes of one endpoint of a Service, each when the one before has been told
    /// to the `streams` streams that somebody reads; what that allocated.
    pub(super) async fn change(
        &mut self,
        service: usize,
        count: usize,
        streams: usize,
    ) -> Result<Counted> {
        let prepared: Vec<_> = (0..count)
            .map(|_| {
                // Each goes, and then is back.
                let (at, is_there) = (self.changes / 2 % ENDPOINTS, self.changes % 2 == 1);
                self.changes += 1;
                let deployment = &self.services[service];
                self.deployments.toggle(deployment, at, is_there)
            })
            .collect();
        let (events, messages) = (self.events(), self.messages());
        let counting = Count::begin();
        for (number, change) in (1..).zip(prepared) {
            change.send().await;
            let is_told = |plane: &Self| {
                plane.events() == events + number as u64
                    && plane.messages() == messages + (number * streams) as u64
            };
            self.until(is_told).await?;
        }
        sleep(REST).await;
        Ok(counting.end())
    }

    /// Streams of clients in another process, on a Service; up to date.
    pub(super) async fn clients(
        &self,
        service: usize,
        connections: usize,
        streams: usize,
    ) -> Result<Generator> {
        let mut clients = Generator::start(1)?;
        let load = self.load(service, connections, streams);
        clients.open(load).await?;
        sleep(REST).await;
        Ok(clients)
    }

    /// What `streams` such streams of one connection allocate to be opened and told everything,
    /// with the connection's part.
    pub(super) async fn open(&self, service: usize, streams: usize) -> Result<Counted> {
        let mut clients = Generator::start(1)?;
        // So that the view is there, with its snapshot.
        let _other = self.clients(service, 1, 1).await?;
        let counting = Count::begin();
        clients.open(self.load(service, 1, streams)).await?;
        sleep(REST).await;
        Ok(counting.end())
    }

    fn load(&self, service: usize, connections: usize, streams: usize) -> Open {
        Open {
            server: self.address,
            tls: None,
            connections,
            streams,
            asked: Asked::Endpoints {
                authorities: vec![self.services[service].authority()],
                contexts: vec![context()],
            },
            connect_first: true,
            gives_up: false,
            follow: false,
            timeout_ms: 20_000,
        }
    }

    /// A request for a Service, for [`get`](Self::get).
    pub(super) fn request(&self, service: usize) -> Request<Body> {
        let message = GetDestination {
            scheme: "k8s".to_owned(),
            path: self.services[service].authority(),
            context_token: context(),
        };
        Request::post("/io.linkerd.proxy.destination.Destination/Get")
            .body(Body::new(Full::new(frame(&message))))
            .expect("the parts are valid")
    }

    /// A stream, told everything.
    pub(super) async fn get(&mut self, request: Request<Body>) -> Result<Body> {
        let response = self.server.call(request).await?;
        let mut body = response.into_body();
        ensure!(next(&mut body).is_some(), "a stream was told nothing");
        Ok(body)
    }

    fn events(&self) -> u64 {
        self.stats.events.load(Ordering::Relaxed)
    }

    fn messages(&self) -> u64 {
        self.server.calls().map(|calls| calls.sent()).sum()
    }

    async fn until(&self, is_so: impl Fn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            ensure!(
                Instant::now() < deadline,
                "nothing more happens after {} events and {} messages",
                self.events(),
                self.messages()
            );
            yield_now().await;
        }
        Ok(())
    }
}

/// The context token of a client, in one zone.
fn context() -> String {
    Deployments::contexts().swap_remove(0)
}

/// Reads what there is for each stream; how many messages that were.
pub(super) fn read(bodies: &mut [Body]) -> usize {
    let mut messages = 0;
    for body in bodies {
        while next(body).is_some() {
            messages += 1;
        }
    }
    messages
}

fn next(body: &mut Body) -> Option<Bytes> {
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(body).poll_frame(&mut cx) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}
