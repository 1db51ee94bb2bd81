//! Proxies that hold one stream each.

use ferrule_proto::{destination::DestinationProfile, inbound::Server, outbound::OutboundPolicy};
use ferrule_tests::{EndpointSet, Ferrule, PolicyProxy, Proxy};
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Code, Status, Streaming};

/// Between two attempts to open a stream that is refused.
const BACKOFF: Duration = Duration::from_millis(200);
/// An empty set is told by silence. Hundreds of questions are asked at once.
const SILENCE: Duration = Duration::from_secs(3);

/// Connections to both APIs of a process.
#[derive(Clone)]
pub(crate) struct Process {
    destination: Proxy,
    policy: PolicyProxy,
}

impl Process {
    pub(crate) async fn connect(ferrule: &Ferrule) -> anyhow::Result<Self> {
        Ok(Self {
            destination: Proxy::connect(ferrule.destination()).await?,
            policy: PolicyProxy::connect(ferrule.address_of("policy").await?).await?,
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Question {
    kind: Kind,
    path: String,
    context: String,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Get,
    Profile,
    /// A port of the workload that is the path.
    Port(u32),
    /// The path, by the workload that is the context.
    Target,
}

impl Question {
    pub(crate) fn get(path: &str, context: &str) -> Self {
        Self {
            kind: Kind::Get,
            path: path.to_owned(),
            context: context.to_owned(),
        }
    }

    pub(crate) fn profile(path: &str, context: &str) -> Self {
        Self {
            kind: Kind::Profile,
            ..Self::get(path, context)
        }
    }

    pub(crate) fn port(workload: &str, port: u32) -> Self {
        Self {
            kind: Kind::Port(port),
            ..Self::get(workload, "")
        }
    }

    pub(crate) fn target(path: &str, workload: &str) -> Self {
        Self {
            kind: Kind::Target,
            ..Self::get(path, workload)
        }
    }
}

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    /// At once.
    Fast,
    /// A message now and then.
    Slow,
    /// Nothing until all is quiet.
    Asleep,
}

impl Speed {
    pub(crate) const ALL: [Self; 4] = [Self::Fast, Self::Fast, Self::Slow, Self::Asleep];
}

/// What a stream has come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Told {
    #[default]
    Nothing,
    Endpoints(EndpointSet),
    Profile(Box<DestinationProfile>),
    Port(Box<Server>),
    Target(Box<OutboundPolicy>),
    Refused(Code),
}

impl Told {
    /// Whether a stream that was told this has nothing more to hear, when a fresh
    /// one is told that.
    pub(crate) fn agrees_with(&self, fresh: &Self) -> bool {
        match (self, fresh) {
            // A workload that cannot be reached is told to nobody; who knew it has
            // been told that it is not known.
            (Self::Profile(told), Self::Nothing) => is_bare(told),
            // Several claim the address: one of them is told, or none.
            (Self::Profile(told), Self::Refused(Code::FailedPrecondition)) => {
                told.endpoint.is_some() || !told.fully_qualified_name.is_empty()
            }
            // The Service is gone: the defaults are told.
            (Self::Profile(told), Self::Refused(Code::Unknown)) => {
                told.endpoint.is_none() && !told.fully_qualified_name.is_empty()
            }
            (Self::Endpoints(set), Self::Refused(_) | Self::Nothing) => set.is_empty(),
            (Self::Nothing, Self::Endpoints(set)) => set.is_empty(),
            (told, fresh) => told == fresh,
        }
    }

    /// Whether it is an answer at all.
    pub(crate) fn is_something(&self) -> bool {
        match self {
            Self::Nothing | Self::Refused(_) => false,
            Self::Endpoints(set) => !set.is_empty(),
            Self::Profile(_) | Self::Port(_) | Self::Target(_) => true,
        }
    }
}

/// A proxy that asks one question and opens its stream again when it ends.
pub(crate) struct Client {
    question: Question,
    speed: Speed,
    told: Arc<Mutex<Told>>,
    messages: Arc<AtomicUsize>,
    opening: Arc<Opening>,
    quiet: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// How often a client has asked for its stream.
#[derive(Default)]
struct Opening {
    attempts: AtomicUsize,
    /// It is to ask again.
    again: AtomicBool,
}

impl Client {
    pub(crate) fn start(process: Process, question: Question, speed: Speed) -> Self {
        let (quiet, at_end) = watch::channel(false);
        let reader = Reader {
            question: question.clone(),
            speed,
            told: Arc::default(),
            messages: Arc::default(),
            opening: Arc::default(),
            quiet: at_end,
        };
        Self {
            question,
            speed,
            told: reader.told.clone(),
            messages: reader.messages.clone(),
            opening: reader.opening.clone(),
            quiet,
            task: tokio::spawn(reader.run(process)),
        }
    }

    /// Whether it has asked for its stream and has been answered.
    pub(crate) fn has_asked(&self) -> bool {
        self.opening.attempts.load(Relaxed) > 0
    }

    /// Has it open its stream anew, if that depends on the zone that its node had at
    /// the moment (D25): one that is not from the start, when nodes were as they are now.
    pub(crate) fn look_where_it_is(&self) {
        let Question { kind, context, .. } = &self.question;
        let is_late = self.opening.attempts.load(Relaxed) > 1;
        if is_late && matches!(kind, Kind::Get) && !context.is_empty() {
            self.opening.again.store(true, Relaxed);
        }
    }

    /// From here on it reads whatever comes.
    pub(crate) fn catch_up(&self) {
        self.quiet.send_replace(true);
    }

    pub(crate) fn told(&self) -> Told {
        self.told.lock().unwrap().clone()
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages.load(Relaxed)
    }

    /// What a fresh stream is told, if this one should have been told something
    /// else.
    pub(crate) async fn difference(&self, process: &Process) -> Option<Told> {
        let told = self.told();
        let mut fresh = self.question.ask(process).await;
        // A hostname that is no pod's any more is what its last address has become.
        if matches!(fresh, Told::Refused(Code::NotFound | Code::Unknown))
            && let Told::Profile(profile) = &told
            && let Some(last) = address_of(profile)
        {
            let question = Question::profile(&last.to_string(), &self.question.context);
            fresh = question.ask(process).await;
        }
        (!told.agrees_with(&fresh)).then_some(fresh)
    }
}

fn address_of(profile: &DestinationProfile) -> Option<SocketAddr> {
    profile.endpoint.as_ref()?.addr?.try_into().ok()
}

fn is_bare(profile: &DestinationProfile) -> bool {
    profile.endpoint.as_ref().is_some_and(|endpoint| {
        endpoint.metric_labels.is_empty()
            && endpoint.tls_identity.is_none()
            && endpoint.protocol_hint.is_none()
    })
}

impl Question {
    /// What a fresh stream is told.
    async fn ask(&self, process: &Process) -> Told {
        let Self {
            kind,
            path,
            context,
        } = self;
        let proxy = process.destination.clone().with_context(context);
        match *kind {
            Kind::Get => match proxy.get(path).await {
                Ok(mut endpoints) => {
                    while let Ok(false) = endpoints.is_silent_for(SILENCE).await {}
                    Told::Endpoints(endpoints.told().clone())
                }
                Err(status) => Told::Refused(status.code()),
            },
            Kind::Profile => match timeout(SILENCE, proxy.profile(path)).await {
                Ok(Ok(profile)) => Told::Profile(Box::new(profile)),
                Ok(Err(status)) => Told::Refused(status.code()),
                Err(_) => Told::Nothing,
            },
            Kind::Port(port) => match process.policy.port(path, port).await {
                Ok(server) => Told::Port(Box::new(server)),
                Err(status) => Told::Refused(status.code()),
            },
            Kind::Target => match process.policy.target(context, path).await {
                Ok(policy) => Told::Target(Box::new(policy)),
                Err(status) => Told::Refused(status.code()),
            },
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            question, speed, ..
        } = self;
        write!(
            f,
            "{speed:?} {:?} {} as {:?}",
            question.kind, question.path, question.context
        )
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Reader {
    question: Question,
    speed: Speed,
    told: Arc<Mutex<Told>>,
    messages: Arc<AtomicUsize>,
    opening: Arc<Opening>,
    quiet: watch::Receiver<bool>,
}

impl Reader {
    async fn run(mut self, process: Process) {
        let Question {
            kind,
            path,
            context,
        } = self.question.clone();
        let proxy = process.destination.with_context(&context);
        let policy = process.policy;
        loop {
            let ended = match kind {
                Kind::Get => self.endpoints(&proxy).await,
                Kind::Profile => {
                    let stream = proxy.profiles(&path).await;
                    self.values(stream, Told::Profile).await
                }
                Kind::Port(port) => {
                    let stream = policy.watch_port(&path, port).await;
                    self.values(stream, Told::Port).await
                }
                Kind::Target => {
                    let stream = policy.watch_target(&context, &path).await;
                    self.values(stream, Told::Target).await
                }
            };
            if let Err(status) = ended {
                self.opening.attempts.fetch_add(1, Relaxed);
                *self.told.lock().unwrap() = Told::Refused(status.code());
            }
            sleep(BACKOFF).await;
        }
    }

    async fn endpoints(&mut self, proxy: &Proxy) -> Result<(), Status> {
        let mut endpoints = proxy.get(&self.question.path).await?;
        self.opening.attempts.fetch_add(1, Relaxed);
        *self.told.lock().unwrap() = Told::Endpoints(EndpointSet::default());
        loop {
            self.pause().await;
            match endpoints.is_silent_for(BACKOFF).await {
                Ok(true) if self.opening.again.swap(false, Relaxed) => return Ok(()),
                Ok(true) => {}
                Ok(false) => self.note(Told::Endpoints(endpoints.told().clone())),
                Err(_) => return Ok(()),
            }
        }
    }

    /// A stream whose messages are each the whole truth.
    async fn values<M>(
        &mut self,
        stream: Result<Streaming<M>, Status>,
        told: fn(Box<M>) -> Told,
    ) -> Result<(), Status> {
        let mut stream = stream?;
        self.opening.attempts.fetch_add(1, Relaxed);
        *self.told.lock().unwrap() = Told::Nothing;
        loop {
            self.pause().await;
            match stream.message().await {
                Ok(Some(message)) => self.note(told(Box::new(message))),
                Ok(None) | Err(_) => return Ok(()),
            }
        }
    }

    fn note(&self, told: Told) {
        self.messages.fetch_add(1, Relaxed);
        *self.told.lock().unwrap() = told;
    }

    /// As its speed says, until all is quiet.
    async fn pause(&mut self) {
        if *self.quiet.borrow() {
            return;
        }
        match self.speed {
            Speed::Fast => {}
            Speed::Slow => sleep(Duration::from_millis(700)).await,
            Speed::Asleep => {
                // An error is the end of the run.
                let _ = self.quiet.wait_for(|quiet| *quiet).await;
            }
        }
    }
}
