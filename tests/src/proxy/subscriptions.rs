//! The four streams of a proxy.

use super::{
    acceptance::{self, Invalid},
    endpoints::EndpointSet,
    stream::Subscription,
};
use ferrule_proto::{
    destination::{
        DestinationProfile, GetDestination, Update, destination_client::DestinationClient,
    },
    inbound::{PortSpec, Server, inbound_server_policies_client::InboundServerPoliciesClient},
    outbound::{OutboundPolicy, TrafficSpec, outbound_policies_client::OutboundPoliciesClient},
};
use tonic::{Code, Status, Streaming, transport::Channel};

/// `Destination/Get`.
pub(super) struct Get {
    pub(super) channel: Channel,
    pub(super) request: GetDestination,
}

/// `Destination/GetProfile`.
pub(super) struct GetProfile {
    pub(super) channel: Channel,
    pub(super) request: GetDestination,
}

/// `InboundServerPolicies/WatchPort`.
pub(super) struct WatchPort {
    pub(super) channel: Channel,
    pub(super) request: PortSpec,
}

/// `OutboundPolicies/Watch`.
pub(super) struct Watch {
    pub(super) channel: Channel,
    pub(super) request: TrafficSpec,
}

impl Subscription for Get {
    type Message = Update;
    type State = EndpointSet;

    const FINAL: &'static [Code] = &[Code::InvalidArgument, Code::FailedPrecondition];
    const REOPENED_AT_ONCE: bool = false;

    async fn open(&self) -> Result<Streaming<Update>, Status> {
        let mut client = DestinationClient::new(self.channel.clone());
        Ok(client.get(self.request.clone()).await?.into_inner())
    }

    fn fold(
        state: Option<&EndpointSet>,
        update: Update,
        fresh: bool,
    ) -> Result<Option<EndpointSet>, Invalid> {
        let mut set = state.cloned().unwrap_or_default();
        Ok(set.fold(update, fresh).then_some(set))
    }
}

impl Subscription for GetProfile {
    type Message = DestinationProfile;
    type State = DestinationProfile;

    const FINAL: &'static [Code] = &[Code::InvalidArgument, Code::FailedPrecondition];
    const REOPENED_AT_ONCE: bool = true;

    async fn open(&self) -> Result<Streaming<DestinationProfile>, Status> {
        let mut client = DestinationClient::new(self.channel.clone());
        Ok(client.get_profile(self.request.clone()).await?.into_inner())
    }

    fn fold(
        _: Option<&DestinationProfile>,
        profile: DestinationProfile,
        _: bool,
    ) -> Result<Option<DestinationProfile>, Invalid> {
        acceptance::profile(&profile)?;
        Ok(Some(profile))
    }
}

impl Subscription for WatchPort {
    type Message = Server;
    type State = Server;

    const FINAL: &'static [Code] = &[Code::InvalidArgument, Code::FailedPrecondition];
    const REOPENED_AT_ONCE: bool = true;

    async fn open(&self) -> Result<Streaming<Server>, Status> {
        let mut client = InboundServerPoliciesClient::new(self.channel.clone());
        Ok(client.watch_port(self.request.clone()).await?.into_inner())
    }

    fn fold(_: Option<&Server>, server: Server, _: bool) -> Result<Option<Server>, Invalid> {
        acceptance::server(&server)?;
        Ok(Some(server))
    }
}

impl Subscription for Watch {
    type Message = OutboundPolicy;
    type State = OutboundPolicy;

    /// Not found means that there is no policy, and the proxy does without.
    const FINAL: &'static [Code] = &[
        Code::InvalidArgument,
        Code::FailedPrecondition,
        Code::NotFound,
        Code::Unimplemented,
    ];
    const REOPENED_AT_ONCE: bool = true;

    async fn open(&self) -> Result<Streaming<OutboundPolicy>, Status> {
        let mut client = OutboundPoliciesClient::new(self.channel.clone());
        Ok(client.watch(self.request.clone()).await?.into_inner())
    }

    fn fold(
        _: Option<&OutboundPolicy>,
        policy: OutboundPolicy,
        _: bool,
    ) -> Result<Option<OutboundPolicy>, Invalid> {
        acceptance::policy(&policy)?;
        Ok(Some(policy))
    }
}
