//! The connection to a running Ferrule, and the calls that proxies make.

use crate::{Error, api_addr::ApiAddr};
use ferrule_proto::{
    destination::{
        DestinationProfile, GetDestination, Update, destination_client::DestinationClient,
    },
    inbound::{
        PortSpec, Server, inbound_server_policies_client::InboundServerPoliciesClient as Inbound,
    },
    outbound::{
        OutboundPolicy, TrafficSpec, outbound_policies_client::OutboundPoliciesClient as Outbound,
    },
};
use std::{error, time::Duration};
use tonic::{
    Response, Status, Streaming,
    transport::{Channel, Endpoint},
};

/// How long a connection may take to come about.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a call may go unanswered.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a watch makes sure that the server is still there, and how long it
/// waits for the sign.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// An API that answered at least once. Lost connections are made again by the
/// next call.
#[derive(Clone, Debug)]
pub(crate) struct Api(Channel);

impl Api {
    pub(crate) async fn connect(addr: &ApiAddr) -> Result<Self, Error> {
        let cannot = |error: tonic::transport::Error| Error::connect(addr, root_cause(&error));
        let channel = Endpoint::from_shared(format!("http://{addr}"))
            .map_err(cannot)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .connect()
            .await
            .map_err(cannot)?;
        Ok(Self(channel))
    }

    pub(crate) async fn get(self, question: GetDestination) -> Result<Streaming<Update>, Status> {
        answered(DestinationClient::new(self.0).get(question)).await
    }

    pub(crate) async fn get_profile(
        self,
        question: GetDestination,
    ) -> Result<Streaming<DestinationProfile>, Status> {
        answered(DestinationClient::new(self.0).get_profile(question)).await
    }

    pub(crate) async fn get_port(self, question: PortSpec) -> Result<Server, Status> {
        answered(Inbound::new(self.0).get_port(question)).await
    }

    pub(crate) async fn watch_port(self, question: PortSpec) -> Result<Streaming<Server>, Status> {
        answered(Inbound::new(self.0).watch_port(question)).await
    }

    pub(crate) async fn get_outbound(
        self,
        question: TrafficSpec,
    ) -> Result<OutboundPolicy, Status> {
        answered(Outbound::new(self.0).get(question)).await
    }

    pub(crate) async fn watch_outbound(
        self,
        question: TrafficSpec,
    ) -> Result<Streaming<OutboundPolicy>, Status> {
        answered(Outbound::new(self.0).watch(question)).await
    }
}

async fn answered<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

/// The innermost error: what the system says, without the layers around it.
pub(crate) fn root_cause(error: &dyn error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
