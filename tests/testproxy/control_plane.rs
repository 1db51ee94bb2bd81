//! A control plane that does what a test says: real servers, scripted answers.

use crate::listener::{Listener, Peer, Security};
use ferrule_proto::{
    destination::{
        DestinationProfile, GetDestination, Update,
        destination_server::{Destination, DestinationServer},
    },
    identity::{
        CertifyRequest, CertifyResponse,
        identity_server::{Identity, IdentityServer},
    },
    inbound::{
        PortSpec, Server,
        inbound_server_policies_server::{InboundServerPolicies, InboundServerPoliciesServer},
    },
    outbound::{
        OutboundPolicy, TrafficSpec,
        outbound_policies_server::{OutboundPolicies, OutboundPoliciesServer},
        traffic_spec::Target,
    },
};
use ferrule_test_cluster::PATIENCE;
use ferrule_tests::{Builder, TestAuthority, TestProxy, Transport, Validity};
use std::{
    collections::VecDeque,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Code, Request, Response, Status, service::Routes};

pub(crate) const IDENTITY: &str = "linkerd-identity.linkerd.serviceaccount.identity.linkerd.test";
pub(crate) const DESTINATION: &str =
    "linkerd-destination.linkerd.serviceaccount.identity.linkerd.test";
pub(crate) const WEB: &str = "web.shop.serviceaccount.identity.linkerd.test";
pub(crate) const WORKLOAD: &str = r#"{"ns":"shop","pod":"web-0"}"#;
pub(crate) const CONTEXT: &str = "{\"ns\":\"shop\"}\n";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Identity at one address, destination and policy at another.
pub(crate) struct ControlPlane {
    pub(crate) authority: Arc<TestAuthority>,
    pub(crate) identity: Listener,
    pub(crate) control: Listener,
    pub(crate) script: Script,
    folder: tempfile::TempDir,
}

impl ControlPlane {
    /// All with the names and certificates that a proxy expects.
    pub(crate) async fn start() -> Self {
        let authority = TestAuthority::new().unwrap();
        let identity = Security::optional(&authority, IDENTITY);
        let control = Security::optional(&authority, DESTINATION);
        Self::with(authority, identity, control).await
    }

    pub(crate) async fn with(
        authority: TestAuthority,
        identity: Security,
        control: Security,
    ) -> Self {
        let script = Script::default();
        let certify = Routes::new(IdentityServer::new(script.clone()));
        let streams = Routes::new(DestinationServer::new(script.clone()))
            .add_service(InboundServerPoliciesServer::new(script.clone()))
            .add_service(OutboundPoliciesServer::new(script.clone()));
        let this = Self {
            authority: Arc::new(authority),
            identity: Listener::start(identity, certify).await,
            control: Listener::start(control, streams).await,
            script,
            folder: tempfile::tempdir().unwrap(),
        };
        this.write_token("first");
        this
    }

    /// A proxy that is to be `WEB`, with mesh TLS on loopback and short pauses.
    pub(crate) fn proxy(&self) -> Builder {
        let pause = Duration::from_millis(50);
        TestProxy::builder(WEB)
            .identity(self.identity.addr, IDENTITY)
            .destination(self.control.addr, DESTINATION)
            .policy(self.control.addr, DESTINATION)
            .token_file(self.token_file())
            .trust_anchors(self.authority.anchors_pem())
            .workload(WORKLOAD)
            .context(CONTEXT)
            .transport(Transport::MeshTls)
            .refresh(pause, HOUR)
            .backoff(pause, 4 * pause)
            .connect_timeout(Duration::from_secs(10))
            .patience(PATIENCE)
    }

    /// Lets identity issue for so long.
    pub(crate) fn issues(&self, time: Duration) {
        self.script.certifies([self.issuing(time)]);
    }

    pub(crate) fn issuing(&self, time: Duration) -> Answer<Certify> {
        let authority = self.authority.clone();
        Answer::certify(move |request| issue(&authority, request, time))
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.token_file(), token).unwrap();
    }
}

/// An answer with which nothing is wrong.
pub(crate) fn issue(authority: &TestAuthority, request: &[u8], time: Duration) -> CertifyResponse {
    let leaf = authority.sign(request, Validity::For(time)).unwrap();
    CertifyResponse {
        leaf_certificate: leaf.to_vec(),
        intermediate_certificates: vec![authority.issuer_der().to_vec()],
        valid_until: Some((SystemTime::now() + time).into()),
    }
}

/// How a call is answered.
#[derive(Clone)]
pub(crate) enum Answer<T> {
    Refuse(Code),
    /// And then silence.
    Tell(T),
    /// And then the end.
    TellAndClose(T),
}

/// An answer to a signing request.
pub(crate) type Certify = Arc<dyn Fn(&[u8]) -> CertifyResponse + Send + Sync>;

impl Answer<Certify> {
    pub(crate) fn certify(
        answer: impl Fn(&[u8]) -> CertifyResponse + Send + Sync + 'static,
    ) -> Self {
        Self::Tell(Arc::new(answer))
    }
}

/// A call that was made.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Such as `Get web:80`.
    pub(crate) what: String,
    /// The workload, context or token that came with it.
    pub(crate) who: String,
    /// The name in the client's certificate.
    pub(crate) peer: Option<String>,
    pub(crate) at: Instant,
    /// Of `Certify`.
    pub(crate) signing_request: Vec<u8>,
}

/// What is answered, and what was asked.
#[derive(Clone, Default)]
pub(crate) struct Script(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    certify: Answers<Certify>,
    endpoints: Answers<Vec<Update>>,
    profiles: Answers<Vec<DestinationProfile>>,
    ports: Answers<Vec<Server>>,
    targets: Answers<Vec<OutboundPolicy>>,
    calls: Vec<Call>,
}

/// In the order in which they are given; the last is given for ever.
struct Answers<T>(VecDeque<Answer<T>>);

impl<T> Default for Answers<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T: Clone> Answers<T> {
    fn next(&mut self) -> Answer<T> {
        match self.0.len() {
            0 => Answer::Refuse(Code::Unavailable),
            1 => self.0[0].clone(),
            _ => self.0.pop_front().unwrap(),
        }
    }
}

type Told<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl<T: Send + 'static> Answer<Vec<T>> {
    fn stream(self) -> Result<Response<Told<T>>, Status> {
        let (messages, end) = match self {
            Self::Refuse(code) => return Err(Status::new(code, "as scripted")),
            Self::Tell(messages) => (messages, false),
            Self::TellAndClose(messages) => (messages, true),
        };
        let messages = tokio_stream::iter(messages).map(Ok);
        Ok(Response::new(if end {
            Box::pin(messages)
        } else {
            Box::pin(messages.chain(tokio_stream::pending()))
        }))
    }
}

impl Script {
    pub(crate) fn certifies(&self, answers: impl IntoIterator<Item = Answer<Certify>>) {
        self.state().certify = Answers(answers.into_iter().collect());
    }

    pub(crate) fn endpoints(&self, answers: impl IntoIterator<Item = Answer<Vec<Update>>>) {
        self.state().endpoints = Answers(answers.into_iter().collect());
    }

    pub(crate) fn profiles(
        &self,
        answers: impl IntoIterator<Item = Answer<Vec<DestinationProfile>>>,
    ) {
        self.state().profiles = Answers(answers.into_iter().collect());
    }

    pub(crate) fn ports(&self, answers: impl IntoIterator<Item = Answer<Vec<Server>>>) {
        self.state().ports = Answers(answers.into_iter().collect());
    }

    pub(crate) fn targets(&self, answers: impl IntoIterator<Item = Answer<Vec<OutboundPolicy>>>) {
        self.state().targets = Answers(answers.into_iter().collect());
    }

    /// The calls up to now whose text begins so.
    pub(crate) fn calls(&self, what: &str) -> Vec<Call> {
        let calls = self.state().calls.clone();
        calls
            .into_iter()
            .filter(|call| call.what.starts_with(what))
            .collect()
    }

    /// Waits for so many calls whose text begins so.
    pub(crate) async fn until_calls(&self, what: &str, count: usize) -> Vec<Call> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let calls = self.calls(what);
            if calls.len() >= count {
                return calls;
            }
            assert!(Instant::now() < deadline, "{count} of {what:?}: {calls:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn note<T>(&self, request: &Request<T>, what: String, who: &str) -> MutexGuard<'_, State> {
        let peer = request.extensions().get::<Peer>();
        let mut state = self.state();
        state.calls.push(Call {
            what,
            who: who.to_owned(),
            peer: peer.and_then(|peer| peer.0.clone()),
            at: Instant::now(),
            signing_request: Vec::new(),
        });
        state
    }
}

#[tonic::async_trait]
impl Identity for Script {
    async fn certify(
        &self,
        request: Request<CertifyRequest>,
    ) -> Result<Response<CertifyResponse>, Status> {
        let asked = request.get_ref();
        let signing_request = asked.certificate_signing_request.clone();
        let what = format!("Certify {}", asked.identity);
        let token = String::from_utf8_lossy(&asked.token).into_owned();
        let answer = {
            let mut state = self.note(&request, what, &token);
            state
                .calls
                .last_mut()
                .unwrap()
                .signing_request
                .clone_from(&signing_request);
            state.certify.next()
        };
        match answer {
            Answer::Refuse(code) => Err(Status::new(code, "as scripted")),
            Answer::Tell(certify) | Answer::TellAndClose(certify) => {
                Ok(Response::new(certify(&signing_request)))
            }
        }
    }
}

#[tonic::async_trait]
impl Destination for Script {
    type GetStream = Told<Update>;
    type GetProfileStream = Told<DestinationProfile>;

    async fn get(
        &self,
        request: Request<GetDestination>,
    ) -> Result<Response<Told<Update>>, Status> {
        let GetDestination {
            path,
            context_token,
            ..
        } = request.get_ref();
        let mut state = self.note(&request, format!("Get {path}"), context_token);
        state.endpoints.next().stream()
    }

    async fn get_profile(
        &self,
        request: Request<GetDestination>,
    ) -> Result<Response<Told<DestinationProfile>>, Status> {
        let GetDestination {
            path,
            context_token,
            ..
        } = request.get_ref();
        let mut state = self.note(&request, format!("GetProfile {path}"), context_token);
        state.profiles.next().stream()
    }
}

#[tonic::async_trait]
impl InboundServerPolicies for Script {
    type WatchPortStream = Told<Server>;

    async fn get_port(&self, _: Request<PortSpec>) -> Result<Response<Server>, Status> {
        Err(Status::unimplemented("a proxy never asks"))
    }

    async fn watch_port(
        &self,
        request: Request<PortSpec>,
    ) -> Result<Response<Told<Server>>, Status> {
        let PortSpec { workload, port } = request.get_ref();
        let mut state = self.note(&request, format!("WatchPort {port}"), workload);
        state.ports.next().stream()
    }
}

#[tonic::async_trait]
impl OutboundPolicies for Script {
    type WatchStream = Told<OutboundPolicy>;

    async fn get(&self, _: Request<TrafficSpec>) -> Result<Response<OutboundPolicy>, Status> {
        Err(Status::unimplemented("a proxy never asks"))
    }

    async fn watch(
        &self,
        request: Request<TrafficSpec>,
    ) -> Result<Response<Told<OutboundPolicy>>, Status> {
        let TrafficSpec {
            source_workload,
            target,
        } = request.get_ref();
        let target = match target.as_ref().unwrap() {
            Target::Addr(addr) => SocketAddr::try_from(*addr).unwrap().to_string(),
            Target::Authority(authority) => authority.clone(),
        };
        let mut state = self.note(&request, format!("Watch {target}"), source_workload);
        state.targets.next().stream()
    }
}
