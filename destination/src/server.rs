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
    grpc::{self, Call, Method, Methods, Response, Server},
    object::Name,
};
use ferrule_proto::destination::GetDestination;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tonic::{Code, Status};

/// How often a stream may find its view given up between looking it up and
/// joining it. Once would be much.
const ATTEMPTS: usize = 5;

/// `io.linkerd.proxy.destination.Destination`.
pub type DestinationServer = Server<Destination>;

/// The methods of the destination API.
pub struct Destination {
    mesh: Arc<Mesh>,
    registry: Arc<Registry>,
    index: mpsc::Sender<Request>,
}

impl Destination {
    /// Answers from what the index publishes in `registry`; what is not there
    /// yet is asked for through `index`.
    pub fn server(
        mesh: Arc<Mesh>,
        registry: Arc<Registry>,
        index: mpsc::Sender<Request>,
    ) -> DestinationServer {
        Server::new(Self {
            mesh,
            registry,
            index,
        })
    }
}

impl Methods for Destination {
    const NAME: &'static str = "io.linkerd.proxy.destination.Destination";

    const METHODS: &'static [Method] = &[Method::streaming("Get"), Method::streaming("GetProfile")];

    async fn call(&self, method: &str, call: Call) -> Option<Result<Response, Status>> {
        match method {
            "Get" => Some(self.get(call).await),
            "GetProfile" => Some(self.get_profile(call).await),
            _ => None,
        }
    }
}

impl Destination {
    async fn get(&self, mut call: Call) -> Result<Response, Status> {
        let request: GetDestination = call.message().await?;
        let token = &request.context_token;
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
        let context = ProxyContext::parse(token);
        let slot = call.slot(token);
        let request = Arc::new(EndpointsRequest {
            service,
            port: authority.port,
            hostname: hostname.map(Into::into),
            zone: self.registry.zone(&context.node),
            node: context.node.into(),
        });
        let feed = self
            .follow_endpoints(request, &slot)
            .await
            .map_err(|status| {
                // The refusals that speak in the request's words.
                match status.code() {
                    Code::InvalidArgument => invalid(),
                    Code::FailedPrecondition => {
                        Status::failed_precondition(format!("{} {path}", status.message()))
                    }
                    _ => status,
                }
            })?;
        Ok(call.stream(feed, slot))
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

    async fn get_profile(&self, mut call: Call) -> Result<Response, Status> {
        let request: GetDestination = call.message().await?;
        let path = &request.path;
        let authority = Authority::parse(path).map_err(|error| {
            Status::invalid_argument(format!("invalid authority: {path:?}: \"{error}\""))
        })?;
        let port = authority.port;
        let context = ProxyContext::parse(&request.context_token);
        let client = Some(context.namespace).filter(|namespace| !namespace.is_empty());
        let client = client.map(Name::from);
        let key = match authority.ip() {
            Some(ip) => ProfileKey::Address { ip, port, client },
            None => {
                let name = authority
                    .service(&self.mesh.cluster_domain)
                    .map_err(|error| {
                        let host = &authority.host;
                        Status::invalid_argument(format!("invalid service {host:?}: \"{error}\""))
                    })?;
                ProfileKey::of_name(name, port, client)
            }
        };
        self.ready()?;
        let slot = call.slot(&request.context_token);
        let open = |key| self.ask(|reply| Ask::Profile(key, reply));
        let feed = self.registry.profiles.follow(&key, &slot, open).await;
        let feed = feed.map_err(|status| match status.code() {
            Code::InvalidArgument => Status::invalid_argument(format!("Invalid authority: {path}")),
            _ => status,
        })?;
        Ok(call.stream(feed, slot))
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
        grpc::ask(&self.index, |reply| ask(reply).into()).await
    }
}
