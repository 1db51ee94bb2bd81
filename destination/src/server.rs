//! The gRPC service, on streams of our own (see `ferrule_cluster::stream`).

use crate::{
    authority::{Authority, ServiceName},
    context::ProxyContext,
    endpoints::{EndpointsFeed, EndpointsRequest},
    mesh::Mesh,
    profile::ProfileKey,
    projection::{Ask, Registry, Request},
};
use ferrule_cluster::{
    Slot,
    stream::{Feed, StreamBody, Streams},
};
use ferrule_proto::destination::{GetDestination, Update};
use futures::future::BoxFuture;
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Status, body::Body, codec::Codec, server::NamedService};

/// The largest request: a path, a token, and some room.
const MAX_REQUEST: usize = 64 << 10;
/// How often a stream may find its view given up between looking it up and
/// joining it. Once would be much.
const ATTEMPTS: usize = 5;

const GET: &str = "/io.linkerd.proxy.destination.Destination/Get";
const GET_PROFILE: &str = "/io.linkerd.proxy.destination.Destination/GetProfile";

/// `io.linkerd.proxy.destination.Destination`.
#[derive(Clone)]
pub struct DestinationServer(Arc<Inner>);

struct Inner {
    mesh: Arc<Mesh>,
    registry: Arc<Registry>,
    index: mpsc::Sender<Request>,
    refused: Refusals,
}

/// How many calls were refused, by code.
#[derive(Debug, Default)]
pub struct Refusals([AtomicU64; 17]);

impl Refusals {
    /// Every code that was answered at least once, with how often.
    pub fn counts(&self) -> impl Iterator<Item = (Code, u64)> {
        self.0
            .iter()
            .enumerate()
            .map(|(code, count)| (Code::from(code as i32), count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
    }

    fn count(&self, code: Code) {
        self.0[code as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl DestinationServer {
    /// A server over what the index publishes in `registry`; what is not there
    /// yet is asked for through `index`.
    pub fn new(mesh: Arc<Mesh>, registry: Arc<Registry>, index: mpsc::Sender<Request>) -> Self {
        Self(Arc::new(Inner {
            mesh,
            registry,
            index,
            refused: Refusals::default(),
        }))
    }

    /// The calls that were refused.
    pub fn refused(&self) -> &Refusals {
        &self.0.refused
    }
}

impl NamedService for DestinationServer {
    const NAME: &'static str = "io.linkerd.proxy.destination.Destination";
}

impl tower::Service<http::Request<Body>> for DestinationServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move {
            let response = match request.uri().path() {
                GET => inner.get(request.into_body()).await,
                GET_PROFILE => inner.get_profile(request.into_body()).await,
                path => Err(Status::unimplemented(format!("no such method: {path}"))),
            };
            Ok(response.unwrap_or_else(|status| {
                inner.refused.count(status.code());
                status.into_http()
            }))
        })
    }
}

impl Inner {
    async fn get(&self, body: Body) -> Result<http::Response<Body>, Status> {
        let request = read(body).await?;
        let path = &request.path;
        let invalid = || Status::invalid_argument(format!("Invalid authority: {path}"));
        let authority = Authority::parse(path).map_err(|_| invalid())?;
        if authority.ip().is_some() {
            return Err(Status::invalid_argument(format!(
                "IP queries not supported by Get API: host={}",
                authority.host
            )));
        }
        let ServiceName { service, hostname } = authority
            .service(&self.mesh.cluster_domain)
            .map_err(|_| invalid())?;
        self.ready()?;
        let context = ProxyContext::parse(&request.context_token);
        let request = Arc::new(EndpointsRequest {
            service,
            port: authority.port,
            hostname: hostname.map(Into::into),
            zone: self.registry.zone(&context.node),
            node: context.node.into(),
        });
        let slot = Slot::new();
        let feed = self
            .follow_endpoints(request, &slot)
            .await
            .map_err(|status| {
                // The one refusal that speaks in the request's words.
                match status.code() {
                    Code::InvalidArgument => invalid(),
                    _ => status,
                }
            })?;
        Ok(answer(feed, slot, &self.registry.gets))
    }

    async fn follow_endpoints(
        &self,
        request: Arc<EndpointsRequest>,
        slot: &Arc<Slot>,
    ) -> Result<EndpointsFeed, Status> {
        for attempt in 0..ATTEMPTS {
            // One that was just given up may still be listed; the index knows.
            let known = (attempt == 0).then(|| {
                let cluster_wide = self.registry.endpoints(&request.key(false));
                cluster_wide.or_else(|| self.registry.endpoints(&request.key(true)))
            });
            let view = match known.flatten() {
                Some(view) => view,
                None => {
                    let request = (*request).clone();
                    self.ask(|reply| Ask::Endpoints(request, reply)).await??
                }
            };
            if let Some(membership) = view.join(slot)? {
                let index = self.index.clone();
                return Ok(EndpointsFeed::new(request, view, membership, index));
            }
        }
        Err(Status::unavailable(
            "the Service changes faster than it can be looked up",
        ))
    }

    async fn get_profile(&self, body: Body) -> Result<http::Response<Body>, Status> {
        let request = read(body).await?;
        let path = &request.path;
        let authority = Authority::parse(path).map_err(|error| {
            Status::invalid_argument(format!("invalid authority: {path:?}: \"{error}\""))
        })?;
        let port = authority.port;
        let key = match authority.ip() {
            Some(ip) => ProfileKey::Address { ip, port },
            None => {
                let name = authority
                    .service(&self.mesh.cluster_domain)
                    .map_err(|error| {
                        let host = &authority.host;
                        Status::invalid_argument(format!("invalid service {host:?}: \"{error}\""))
                    })?;
                ProfileKey::of_name(name, port)
            }
        };
        self.ready()?;
        let slot = Slot::new();
        for attempt in 0..ATTEMPTS {
            let known = (attempt == 0).then(|| self.registry.profile(&key));
            let view = match known.flatten() {
                Some(view) => view,
                None => self.ask(|reply| Ask::Profile(key.clone(), reply)).await?,
            };
            let followed = view.follow(&slot).map_err(|status| match status.code() {
                Code::InvalidArgument => {
                    Status::invalid_argument(format!("Invalid authority: {path}"))
                }
                _ => status,
            })?;
            if let Some(feed) = followed {
                return Ok(answer(feed, slot, &self.registry.get_profiles));
            }
        }
        Err(Status::unavailable(
            "the profile changes faster than it can be looked up",
        ))
    }

    /// Nothing is answered from half a world (ruling 5).
    fn ready(&self) -> Result<(), Status> {
        if self.registry.is_ready() {
            Ok(())
        } else {
            Err(Status::unavailable("the cluster has not been listed yet"))
        }
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Status> {
        let stopped = || Status::unavailable("the index has stopped");
        let (reply, answer) = oneshot::channel();
        let ask = ask(reply);
        self.index.send(ask.into()).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }
}

fn answer<F: Feed>(feed: F, slot: Arc<Slot>, streams: &Arc<Streams>) -> http::Response<Body> {
    StreamBody::new(feed, slot, streams.clone()).into_response()
}

/// The one message of a call.
async fn read(body: Body) -> Result<GetDestination, Status> {
    let decoder = tonic_prost::ProstCodec::<Update, GetDestination>::default().decoder();
    let mut messages = tonic::Streaming::new_request(decoder, body, None, Some(MAX_REQUEST));
    messages
        .message()
        .await?
        .ok_or_else(|| Status::invalid_argument("the request has no message"))
}
