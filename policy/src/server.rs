//! The gRPC services, on streams of our own (see `ferrule_cluster::grpc`).

use crate::{
    inbound::{InboundKey, WorkloadKey},
    outbound::{OutboundKey, TargetError, target},
    projection::{Ask, Registry, Request},
};
use bytes::Bytes;
use ferrule_cluster::{
    ValueView,
    grpc::{self, Call, Method, Methods, Response, Server},
};
use ferrule_proto::{inbound::PortSpec, outbound::TrafficSpec};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::Status;

/// `io.linkerd.proxy.inbound.InboundServerPolicies`.
pub type InboundServer = Server<Inbound>;

/// `io.linkerd.proxy.outbound.OutboundPolicies`.
pub type OutboundServer = Server<Outbound>;

/// The methods of the inbound API.
pub struct Inbound {
    registry: Arc<Registry>,
    index: mpsc::Sender<Request>,
}

/// The methods of the outbound API.
pub struct Outbound {
    registry: Arc<Registry>,
    index: mpsc::Sender<Request>,
}

impl Inbound {
    /// Answers from what the index publishes in `registry`; what is not there
    /// yet is asked for through `index`.
    pub fn server(registry: Arc<Registry>, index: mpsc::Sender<Request>) -> InboundServer {
        Server::new(Self { registry, index })
    }

    async fn watch_port(&self, mut call: Call) -> Result<Response, Status> {
        let (key, token) = self.key(&mut call).await?;
        let slot = call.slot(&token);
        let open = async |key| -> Result<Arc<ValueView>, Status> {
            grpc::ask(&self.index, |reply| Ask::Inbound(key, reply).into()).await
        };
        let feed = self.registry.inbound.follow(&key, &slot, open).await?;
        Ok(call.stream(feed, slot))
    }

    async fn get_port(&self, mut call: Call) -> Result<Response, Status> {
        let (key, _) = self.key(&mut call).await?;
        let frame: Result<Bytes, Status> =
            grpc::ask(&self.index, |reply| Ask::InboundNow(key, reply).into()).await?;
        frame.map(|frame| call.unary(frame))
    }

    /// What is asked for, and what the client says of itself.
    async fn key(&self, call: &mut Call) -> Result<(InboundKey, String), Status> {
        let request: PortSpec = call.message().await?;
        let workload = workload(&request.workload)?;
        let port = u16::try_from(request.port).ok().filter(|port| *port != 0);
        let Some(port) = port else {
            let port = request.port;
            return Err(Status::invalid_argument(format!(
                "port {port} is not in 1-65535"
            )));
        };
        self.registry.ready()?;
        Ok((InboundKey { workload, port }, request.workload))
    }
}

impl Methods for Inbound {
    const NAME: &'static str = "io.linkerd.proxy.inbound.InboundServerPolicies";

    const METHODS: &'static [Method] = &[Method::streaming("WatchPort"), Method::unary("GetPort")];

    async fn call(&self, method: &str, call: Call) -> Option<Result<Response, Status>> {
        match method {
            "WatchPort" => Some(self.watch_port(call).await),
            "GetPort" => Some(self.get_port(call).await),
            _ => None,
        }
    }
}

impl Outbound {
    /// Answers from what the index publishes in `registry`; what is not there
    /// yet is asked for through `index`.
    pub fn server(registry: Arc<Registry>, index: mpsc::Sender<Request>) -> OutboundServer {
        Server::new(Self { registry, index })
    }

    async fn watch(&self, mut call: Call) -> Result<Response, Status> {
        let (key, token) = self.key(&mut call).await?;
        let slot = call.slot(&token);
        let open = async |key| -> Result<Arc<ValueView>, Status> {
            grpc::ask(&self.index, |reply| Ask::Outbound(key, reply).into()).await
        };
        let feed = self.registry.outbound.follow(&key, &slot, open).await?;
        Ok(call.stream(feed, slot))
    }

    async fn get(&self, mut call: Call) -> Result<Response, Status> {
        let (key, _) = self.key(&mut call).await?;
        let frame: Result<Bytes, Status> =
            grpc::ask(&self.index, |reply| Ask::OutboundNow(key, reply).into()).await?;
        frame.map(|frame| call.unary(frame))
    }

    /// What is asked for, and what the client says of itself.
    async fn key(&self, call: &mut Call) -> Result<(OutboundKey, String), Status> {
        let request: TrafficSpec = call.message().await?;
        if request.target.is_none() {
            return Err(TargetError::Missing.into());
        }
        let client = workload(&request.source_workload)?.namespace().clone();
        let target = target(request.target)?;
        self.registry.ready()?;
        Ok((OutboundKey { client, target }, request.source_workload))
    }
}

impl Methods for Outbound {
    const NAME: &'static str = "io.linkerd.proxy.outbound.OutboundPolicies";

    const METHODS: &'static [Method] = &[Method::streaming("Watch"), Method::unary("Get")];

    async fn call(&self, method: &str, call: Call) -> Option<Result<Response, Status>> {
        match method {
            "Watch" => Some(self.watch(call).await),
            "Get" => Some(self.get(call).await),
            _ => None,
        }
    }
}

fn workload(text: &str) -> Result<WorkloadKey, Status> {
    WorkloadKey::parse(text).map_err(|error| Status::invalid_argument(error.to_string()))
}

impl From<TargetError> for Status {
    fn from(error: TargetError) -> Self {
        let message = error.to_string();
        match error {
            // "No policy": the proxy goes by the profile. The others end its lookup.
            TargetError::NoService(_) => Status::not_found(message),
            TargetError::Missing | TargetError::Address(_) | TargetError::Authority(_) => {
                Status::invalid_argument(message)
            }
        }
    }
}
