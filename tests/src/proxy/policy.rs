//! A connection to the policy APIs, whose streams are read by hand.

use anyhow::Context as _;
use ferrule_proto::{
    inbound::{PortSpec, Server, inbound_server_policies_client::InboundServerPoliciesClient},
    outbound::{
        OutboundPolicy, TrafficSpec, outbound_policies_client::OutboundPoliciesClient,
        traffic_spec::Target,
    },
};
use std::net::SocketAddr;
use tonic::{Status, Streaming, transport::Channel};

/// A proxy as the policy APIs see one, without an identity: it asks once. For all
/// else there is [`TestProxy`](super::TestProxy).
#[derive(Clone, Debug)]
pub struct PolicyProxy {
    inbound: InboundServerPoliciesClient<Channel>,
    outbound: OutboundPoliciesClient<Channel>,
}

impl PolicyProxy {
    /// Connects to a policy listener that speaks plaintext.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn connect(addr: SocketAddr) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{addr}"))?
            .connect()
            .await
            .with_context(|| format!("connecting to {addr}"))?;
        Ok(Self {
            inbound: InboundServerPoliciesClient::new(channel.clone()),
            outbound: OutboundPoliciesClient::new(channel),
        })
    }

    /// The policy of a workload's port now.
    ///
    /// # Errors
    /// The refusal.
    pub async fn port(&self, workload: &str, port: u32) -> Result<Server, Status> {
        let request = port_spec(workload, port);
        Ok(self.inbound.clone().get_port(request).await?.into_inner())
    }

    /// Opens a `WatchPort` stream.
    ///
    /// # Errors
    /// The refusal.
    pub async fn watch_port(&self, workload: &str, port: u32) -> Result<Streaming<Server>, Status> {
        let request = port_spec(workload, port);
        Ok(self.inbound.clone().watch_port(request).await?.into_inner())
    }

    /// The policy of a target, an address or a name, now.
    ///
    /// # Errors
    /// The refusal.
    pub async fn target(&self, workload: &str, target: &str) -> Result<OutboundPolicy, Status> {
        let request = traffic_spec(workload, target);
        Ok(self.outbound.clone().get(request).await?.into_inner())
    }

    /// Opens a `Watch` stream.
    ///
    /// # Errors
    /// The refusal.
    pub async fn watch_target(
        &self,
        workload: &str,
        target: &str,
    ) -> Result<Streaming<OutboundPolicy>, Status> {
        let request = traffic_spec(workload, target);
        Ok(self.outbound.clone().watch(request).await?.into_inner())
    }
}

fn port_spec(workload: &str, port: u32) -> PortSpec {
    PortSpec {
        workload: workload.into(),
        port,
    }
}

/// Nothing is asked for where the target is empty.
fn traffic_spec(workload: &str, target: &str) -> TrafficSpec {
    let target = match target.parse::<SocketAddr>() {
        Ok(addr) => Some(Target::Addr(addr.into())),
        Err(_) if target.is_empty() => None,
        Err(_) => Some(Target::Authority(target.into())),
    };
    TrafficSpec {
        source_workload: workload.into(),
        target,
    }
}
