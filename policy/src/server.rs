//! The gRPC services, on streams of our own (see `ferrule_cluster::grpc`).

use crate::{
    inbound::InboundKey,
    outbound::{TargetError, target},
    projection::{Ask, Registry, Request},
    workload::{Workload, WorkloadName},
};
use bytes::Bytes;
use ferrule_cluster::{
    Slot, ValueView,
    grpc::{self, Methods, Response, Server, read_message},
    object::ObjectKey,
};
use ferrule_proto::{inbound::PortSpec, outbound::TrafficSpec};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::{Status, body::Body};

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

    async fn watch_port(&self, body: Body) -> Result<Response, Status> {
        let key = self.key(body).await?;
        let slot = Slot::new();
        let open = async |key| -> Result<Arc<ValueView>, Status> {
            grpc::ask(&self.index, |reply| Ask::Inbound(key, reply).into()).await
        };
        let feed = self.registry.inbound.follow(&key, &slot, open).await?;
        let streams = &self.registry.inbound_watches;
        Ok(grpc::stream(feed, slot, streams))
    }

    async fn get_port(&self, body: Body) -> Result<Response, Status> {
        let key = self.key(body).await?;
        let frame: Result<Bytes, Status> =
            grpc::ask(&self.index, |reply| Ask::InboundNow(key, reply).into()).await?;
        frame.map(grpc::unary)
    }

    async fn key(&self, body: Body) -> Result<InboundKey, Status> {
        let request: PortSpec = read_message(body).await?;
        let workload = workload(&request.workload)?;
        let port = u16::try_from(request.port).ok().filter(|port| *port != 0);
        let Some(port) = port else {
            let port = request.port;
            return Err(Status::invalid_argument(format!(
                "port {port} is not in 1-65535"
            )));
        };
        self.registry.ready()?;
        match workload.name {
            WorkloadName::Pod(pod) => Ok(InboundKey {
                pod: ObjectKey::new(workload.namespace, pod),
                port,
            }),
            WorkloadName::ExternalWorkload(name) => Err(Status::not_found(format!(
                "unknown server: the mesh has no ExternalWorkload {}/{name}",
                workload.namespace
            ))),
        }
    }
}

impl Methods for Inbound {
    const NAME: &'static str = "io.linkerd.proxy.inbound.InboundServerPolicies";

    async fn call(&self, method: &str, body: Body) -> Option<Result<Response, Status>> {
        match method {
            "WatchPort" => Some(self.watch_port(body).await),
            "GetPort" => Some(self.get_port(body).await),
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

    async fn watch(&self, body: Body) -> Result<Response, Status> {
        let key = self.key(body).await?;
        let slot = Slot::new();
        let open = async |key| -> Result<Arc<ValueView>, Status> {
            grpc::ask(&self.index, |reply| Ask::Outbound(key, reply).into()).await
        };
        let feed = self.registry.outbound.follow(&key, &slot, open).await?;
        let streams = &self.registry.outbound_watches;
        Ok(grpc::stream(feed, slot, streams))
    }

    async fn get(&self, body: Body) -> Result<Response, Status> {
        let key = self.key(body).await?;
        let frame: Result<Bytes, Status> =
            grpc::ask(&self.index, |reply| Ask::OutboundNow(key, reply).into()).await?;
        frame.map(grpc::unary)
    }

    async fn key(&self, body: Body) -> Result<crate::OutboundKey, Status> {
        let request: TrafficSpec = read_message(body).await?;
        if request.target.is_none() {
            return Err(TargetError::Missing.into());
        }
        // No policy depends on who asks yet; a proxy that does not know who it is
        // learns it now.
        workload(&request.source_workload)?;
        let key = target(request.target)?;
        self.registry.ready()?;
        Ok(key)
    }
}

impl Methods for Outbound {
    const NAME: &'static str = "io.linkerd.proxy.outbound.OutboundPolicies";

    async fn call(&self, method: &str, body: Body) -> Option<Result<Response, Status>> {
        match method {
            "Watch" => Some(self.watch(body).await),
            "Get" => Some(self.get(body).await),
            _ => None,
        }
    }
}

fn workload(text: &str) -> Result<Workload, Status> {
    Workload::parse(text).map_err(|error| Status::invalid_argument(error.to_string()))
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
