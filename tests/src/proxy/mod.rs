//! A proxy without traffic: it goes through what a linkerd2-proxy does with its
//! control plane, and tells what it was told.
//!
//! ```text
//!   Builder::start
//!     │   eager ports: WatchPort, no certificate yet
//!     ├──────────────────────────────────────────────▶ policy
//!     │   token, signing request        (each time a new connection)
//!     ├──────────────────────────────────────────────▶ identity
//!     ◀── leaf + intermediates: verified, installed, renewed at 70 %
//!     │   Get, GetProfile               (once there is a certificate)
//!     ├──────────────────────────────────────────────▶ destination
//!     │   Watch
//!     └──────────────────────────────────────────────▶ policy
//! ```
//!
//! It verifies with rustls-webpki and x509-parser and shares no code with the
//! services it talks to: what both had wrong would not be seen. A policy that a
//! proxy cannot use is a failure here ([`StreamFailure::Invalid`]).
//!
//! What a real one does and this does not: SRV records, balancing over several
//! addresses of a service, the queue of calls while there is no connection (a
//! call fails at once and is made again after a pause), SPIRE.

pub mod acceptance;
mod address;
mod anchors;
mod builder;
mod certificate;
mod connection;
mod describe;
mod discovery;
mod endpoints;
mod handshake;
mod identity;
mod policy;
mod refresh;
mod stream;
mod subscriptions;
mod tls;
mod watched;

pub(crate) use self::certificate::certified_key;
pub use self::{
    acceptance::Invalid,
    builder::{Builder, ServiceAddr},
    certificate::{Certificate, Rejection},
    connection::{ClientCertificate, Transport},
    describe::{Describe, discovered_by},
    discovery::{Endpoints, Proxy},
    endpoints::EndpointSet,
    identity::CertifyFailure,
    policy::PolicyProxy,
    stream::{Limits, StreamFailure},
    watched::{Failure, Seen, Watched},
};

use self::{
    anchors::TrustAnchors,
    builder::Client,
    connection::Credentials,
    identity::Identity,
    stream::{Subscription, follow},
    subscriptions::{Get, GetProfile, Watch, WatchPort},
};
use ferrule_proto::{
    destination::{DestinationProfile, GetDestination},
    inbound::{PortSpec, Server},
    outbound::{OutboundPolicy, TrafficSpec, traffic_spec},
};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct TestProxy {
    local_name: String,
    anchors: Option<TrustAnchors>,
    credentials: Credentials,
    destination: Option<Client>,
    policy: Option<Client>,
    context: String,
    workload: String,
    patience: Duration,
    eager: BTreeMap<u16, Watched<Server, StreamFailure>>,
    running: CancellationToken,
    _end: DropGuard,
}

/// What a connection is made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Endpoints and profiles.
    Destination,
    /// Inbound and outbound policy.
    Policy,
}

impl TestProxy {
    /// A proxy that is to be certified as `local_name`.
    pub fn builder(local_name: &str) -> Builder {
        Builder::new(local_name)
    }

    fn new(
        (local_name, anchors): (String, Option<TrustAnchors>),
        credentials: Credentials,
        destination: Option<Client>,
        policy: Option<Client>,
        context: String,
        workload: String,
        patience: Duration,
    ) -> Self {
        let running = CancellationToken::new();
        Self {
            local_name,
            anchors,
            credentials,
            destination,
            policy,
            context,
            workload,
            patience,
            eager: BTreeMap::new(),
            _end: running.clone().drop_guard(),
            running,
        }
    }

    fn started(
        mut self,
        identity: Option<(Identity, watch::Sender<Seen<Certificate, CertifyFailure>>)>,
        inbound_ports: &[u16],
    ) -> Self {
        for port in inbound_ports {
            self.eager.insert(*port, self.watch_port(*port));
        }
        if let Some((identity, certificate)) = identity {
            self.spawn(identity.run(certificate));
        }
        self
    }

    /// The certificate, and every one that replaces it. Each is a message.
    pub fn certificate(&self) -> Watched<Certificate, CertifyFailure> {
        let own = self.credentials.own.clone();
        Watched::new("certificate", self.patience, own)
    }

    /// The policy of a port: that which is followed since the start, or a new
    /// stream.
    ///
    /// # Panics
    /// Without a policy service.
    pub fn inbound(&self, port: u16) -> Watched<Server, StreamFailure> {
        match self.eager.get(&port) {
            Some(eager) => eager.clone(),
            None => self.watch_port(port),
        }
    }

    /// The policy for connections to an address.
    ///
    /// # Panics
    /// Without a policy service.
    pub fn outbound(&self, addr: SocketAddr) -> Watched<OutboundPolicy, StreamFailure> {
        self.watch(&addr.to_string(), traffic_spec::Target::Addr(addr.into()))
    }

    /// The policy for requests to `NAME:PORT`, as an ingress asks.
    ///
    /// # Panics
    /// Without a policy service.
    pub fn outbound_authority(&self, authority: &str) -> Watched<OutboundPolicy, StreamFailure> {
        let target = traffic_spec::Target::Authority(authority.to_owned());
        self.watch(authority, target)
    }

    /// The endpoints of `NAME:PORT`, asked for as soon as there is a certificate.
    ///
    /// # Panics
    /// Without a destination service.
    pub fn endpoints(&self, authority: &str) -> Watched<EndpointSet, StreamFailure> {
        let client = self.destination_client();
        let subject = format!("endpoints of {authority}");
        self.follow(
            client,
            subject,
            true,
            Get {
                channel: client.channel.clone(),
                request: self.get_destination(authority),
            },
        )
    }

    /// The profile of `IP:PORT` or `NAME:PORT`, likewise.
    ///
    /// # Panics
    /// Without a destination service.
    pub fn profile(&self, path: &str) -> Watched<DestinationProfile, StreamFailure> {
        let client = self.destination_client();
        let subject = format!("profile of {path}");
        self.follow(
            client,
            subject,
            true,
            GetProfile {
                channel: client.channel.clone(),
                request: self.get_destination(path),
            },
        )
    }

    /// A new connection, for calls that a proxy does not make; it shows the
    /// certificate that there is now.
    ///
    /// # Errors
    /// If none can be made. That a server refuses the proxy's certificate shows
    /// at the first call only.
    ///
    /// # Panics
    /// Without that service.
    pub async fn connect(&self, api: Api) -> Result<Channel, tonic::transport::Error> {
        let client = match api {
            Api::Destination => self.destination_client(),
            Api::Policy => self.policy_client(),
        };
        client.dialer.connect().await
    }

    fn watch_port(&self, port: u16) -> Watched<Server, StreamFailure> {
        let client = self.policy_client();
        let request = PortSpec {
            workload: self.workload.clone(),
            port: port.into(),
        };
        let subject = format!("policy of port {port}");
        self.follow(
            client,
            subject,
            false,
            WatchPort {
                channel: client.channel.clone(),
                request,
            },
        )
    }

    fn watch(
        &self,
        name: &str,
        target: traffic_spec::Target,
    ) -> Watched<OutboundPolicy, StreamFailure> {
        let client = self.policy_client();
        let request = TrafficSpec {
            source_workload: self.workload.clone(),
            target: Some(target),
        };
        let subject = format!("policy for {name}");
        self.follow(
            client,
            subject,
            true,
            Watch {
                channel: client.channel.clone(),
                request,
            },
        )
    }

    /// Follows a stream for as long as somebody is interested, from when there is
    /// a certificate if it is `certified`: all but the ports are asked for by
    /// traffic, which a proxy takes only then.
    fn follow<S: Subscription>(
        &self,
        client: &Client,
        subject: String,
        certified: bool,
        subscription: S,
    ) -> Watched<S::State, StreamFailure>
    where
        S::State: Describe,
    {
        let (sender, seen) = watch::channel(Seen::default());
        let (backoff, limits) = (client.backoff, client.limits);
        let credentials = self.credentials.clone();
        self.spawn(async move {
            if certified {
                credentials.ready().await;
            }
            follow(subscription, backoff, limits, sender).await;
        });
        Watched::new(subject, self.patience, seen)
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.running.clone().run_until_cancelled_owned(task));
    }

    fn get_destination(&self, path: &str) -> GetDestination {
        GetDestination {
            scheme: String::new(),
            path: path.to_owned(),
            context_token: self.context.clone(),
        }
    }

    fn destination_client(&self) -> &Client {
        self.destination
            .as_ref()
            .expect("a destination service was given")
    }

    fn policy_client(&self) -> &Client {
        self.policy.as_ref().expect("a policy service was given")
    }
}
