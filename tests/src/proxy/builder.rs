//! What a proxy is given at its start.

use super::{
    TestProxy,
    address::{ControlAddr, is_name},
    anchors::TrustAnchors,
    connection::{ClientCertificate, Credentials, Dialer, Transport},
    identity::Identity,
    refresh::Refresh,
    stream::{Backoff, Limits},
};
use anyhow::{Context as _, bail, ensure};
use ferrule_test_cluster::PATIENCE;
use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// The longest pauses between calls that fail, on loopback and elsewhere.
const LOOPBACK_BACKOFF: Duration = Duration::from_secs(10);
const BACKOFF: Duration = Duration::from_secs(60);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// A proxy gives loopback addresses 300 ms; here both sides may share two cores
/// with a compiler.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes a [`TestProxy`]. What a real one reads from its environment is given
/// here, under the same names; what is not given is not used.
#[derive(Clone, Debug)]
pub struct Builder {
    local_name: String,
    identity: Option<Service>,
    destination: Option<Service>,
    policy: Option<Service>,
    token_file: PathBuf,
    trust_anchors: String,
    workload: String,
    context: String,
    inbound_ports: Vec<u16>,
    refresh: Refresh,
    backoff: Option<Backoff>,
    limits: Limits,
    transport: Transport,
    client_certificate: ClientCertificate,
    signing_request: Option<Vec<u8>>,
    connect_timeout: Duration,
    patience: Duration,
}

/// A service of the control plane, as text.
#[derive(Clone, Debug)]
struct Service {
    addr: String,
    name: String,
}

/// Where a service is: `IP:PORT`, `[IPv6]:PORT` or `NAME:PORT`.
#[derive(Clone, Debug)]
pub struct ServiceAddr(String);

impl From<&str> for ServiceAddr {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&String> for ServiceAddr {
    fn from(text: &String) -> Self {
        Self(text.clone())
    }
}

impl From<SocketAddr> for ServiceAddr {
    fn from(addr: SocketAddr) -> Self {
        Self(addr.to_string())
    }
}

/// A way to call a service, and how often.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) dialer: Dialer,
    pub(super) channel: tonic::transport::Channel,
    pub(super) backoff: Backoff,
    pub(super) limits: Limits,
}

impl Builder {
    pub(super) fn new(local_name: &str) -> Self {
        Self {
            local_name: local_name.to_owned(),
            identity: None,
            destination: None,
            policy: None,
            token_file: PathBuf::new(),
            trust_anchors: String::new(),
            workload: String::new(),
            context: String::new(),
            inbound_ports: Vec::new(),
            refresh: Refresh::default(),
            backoff: None,
            limits: Limits::default(),
            transport: Transport::default(),
            client_certificate: ClientCertificate::default(),
            signing_request: None,
            connect_timeout: CONNECT_TIMEOUT,
            patience: PATIENCE,
        }
    }

    /// The identity service, and the identity it must prove. Without one the proxy has no certificate.
    #[must_use]
    pub fn identity(mut self, addr: impl Into<ServiceAddr>, name: &str) -> Self {
        self.identity = Some(Service::new(addr, name));
        self
    }

    /// The destination service, likewise.
    #[must_use]
    pub fn destination(mut self, addr: impl Into<ServiceAddr>, name: &str) -> Self {
        self.destination = Some(Service::new(addr, name));
        self
    }

    /// The policy service, likewise.
    #[must_use]
    pub fn policy(mut self, addr: impl Into<ServiceAddr>, name: &str) -> Self {
        self.policy = Some(Service::new(addr, name));
        self
    }

    /// The file with the token for the identity service, read for each request.
    #[must_use]
    pub fn token_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.token_file = path.into();
        self
    }

    /// One or more certificates in PEM, read now.
    #[must_use]
    pub fn trust_anchors(mut self, pem: impl Into<String>) -> Self {
        self.trust_anchors = pem.into();
        self
    }

    /// What the policy service is told about who asks, to the letter.
    #[must_use]
    pub fn workload(mut self, workload: impl Into<String>) -> Self {
        self.workload = workload.into();
        self
    }

    /// What the destination service is told about who asks, to the letter.
    #[must_use]
    pub fn context(mut self, token: impl Into<String>) -> Self {
        self.context = token.into();
        self
    }

    /// The ports whose policies are asked for at once, before there is a
    /// certificate.
    #[must_use]
    pub fn inbound_ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.inbound_ports = ports.into_iter().collect();
        self
    }

    /// Bounds of the pause between two requests for a certificate; 10 s and 24 h
    /// unless they are given.
    #[must_use]
    pub fn refresh(mut self, min: Duration, max: Duration) -> Self {
        self.refresh = Refresh { min, max };
        self
    }

    /// Bounds of the pause between calls that fail; 100 ms, and 60 s or on
    /// loopback 10 s, unless they are given.
    #[must_use]
    pub fn backoff(mut self, min: Duration, max: Duration) -> Self {
        self.backoff = Some(Backoff { min, max });
        self
    }

    /// Limits of the life of streams; none unless they are given.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Which connections are encrypted.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// What servers are shown when they ask for a certificate.
    #[must_use]
    pub fn client_certificate(mut self, shown: ClientCertificate) -> Self {
        self.client_certificate = shown;
        self
    }

    /// A request (PKCS#10, DER) in place of the proxy's own. Its certificate is
    /// for a key that this proxy does not have, so it is refused.
    #[must_use]
    pub fn signing_request(mut self, der: impl Into<Vec<u8>>) -> Self {
        self.signing_request = Some(der.into());
        self
    }

    /// How long TCP and TLS of a connection may take together; 1 s unless it is
    /// given.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long all waits may last; a minute unless it is given.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts the proxy. It need not reach anybody yet.
    ///
    /// # Errors
    /// What would keep a real proxy from starting: an address or a name that is
    /// none, unusable trust anchors, no token.
    pub async fn start(self) -> anyhow::Result<TestProxy> {
        let needs_anchors = self.services().any(|service| self.is_encrypted(service));
        let anchors = match &*self.trust_anchors {
            "" if self.identity.is_none() && !needs_anchors => None,
            pem => Some(TrustAnchors::from_pem(pem)?),
        };
        let (certificate, own) = tokio::sync::watch::channel(Default::default());
        let credentials = Credentials {
            shown: self.client_certificate.clone(),
            own,
        };
        let client = |service: &Option<Service>, what: &str| {
            let service = service.as_ref();
            service
                .map(|service| self.client(service, anchors.as_ref(), &credentials))
                .transpose()
                .with_context(|| format!("the {what} service"))
        };
        let identity = match (client(&self.identity, "identity")?, &anchors) {
            (Some(client), Some(anchors)) => {
                ensure!(
                    is_name(&self.local_name) && !self.local_name.ends_with('.'),
                    "{:?} is no identity: expected a DNS name without a dot at its end",
                    self.local_name
                );
                self.check_token()?;
                let identity = Identity::new(
                    &self.local_name,
                    client.dialer,
                    self.token_file.clone(),
                    anchors.clone(),
                    self.refresh,
                    self.signing_request.clone(),
                )?;
                Some((identity, certificate))
            }
            _ => None,
        };
        let destination = client(&self.destination, "destination")?;
        let policy = client(&self.policy, "policy")?;
        let proxy = TestProxy::new(
            (self.local_name, anchors),
            credentials,
            destination,
            policy,
            self.context,
            self.workload,
            self.patience,
        );
        Ok(proxy.started(identity, &self.inbound_ports))
    }

    fn services(&self) -> impl Iterator<Item = &Service> {
        let services = [&self.identity, &self.destination, &self.policy];
        services.into_iter().flatten()
    }

    /// Whether mesh TLS is spoken; not if the address is none, which is said
    /// later.
    fn is_encrypted(&self, service: &Service) -> bool {
        match self.transport {
            Transport::MeshTls => true,
            Transport::Plaintext => false,
            Transport::AsProxy => {
                let addr = service.addr.parse::<ControlAddr>();
                addr.is_ok_and(|addr| !addr.is_loopback())
            }
        }
    }

    fn client(
        &self,
        service: &Service,
        anchors: Option<&TrustAnchors>,
        credentials: &Credentials,
    ) -> anyhow::Result<Client> {
        let addr: ControlAddr = service.addr.parse()?;
        let tls = if self.is_encrypted(service) {
            ensure!(
                is_name(&service.name),
                "{:?} is no identity, and {addr} is to prove one",
                service.name
            );
            let anchors = anchors.context("no trust anchors")?;
            Some((anchors.clone(), service.name.clone()))
        } else {
            None
        };
        let (max, limits) = if addr.is_loopback() {
            (LOOPBACK_BACKOFF, Limits::default())
        } else {
            (BACKOFF, self.limits)
        };
        let min = FIRST_BACKOFF;
        let dialer = Dialer {
            addr,
            tls,
            credentials: credentials.clone(),
            timeout: self.connect_timeout,
        };
        Ok(Client {
            channel: dialer.channel(),
            dialer,
            backoff: self.backoff.unwrap_or(Backoff { min, max }),
            limits,
        })
    }

    fn check_token(&self) -> anyhow::Result<()> {
        let path = self.token_file.display();
        let token = std::fs::read(&self.token_file).with_context(|| format!("token {path}"))?;
        if token.is_empty() {
            bail!("token {path}: it is empty");
        }
        Ok(())
    }
}

impl Service {
    fn new(addr: impl Into<ServiceAddr>, name: &str) -> Self {
        Self {
            addr: addr.into().0,
            name: name.to_owned(),
        }
    }
}
