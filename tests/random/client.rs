//! Proxies that hold one stream each.

use ferrule_proto::destination::DestinationProfile;
use ferrule_tests::{EndpointSet, Proxy};
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::{Code, Status};

/// Between two attempts to open a stream that is refused.
const BACKOFF: Duration = Duration::from_millis(200);
/// An empty set is told by silence.
const SILENCE: Duration = Duration::from_millis(500);

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
    Refused(Code),
}

impl Told {
    /// Whether a stream that was told this has nothing more to hear, when a fresh
    /// one is told that.
    pub(crate) fn agrees_with(&self, fresh: &Self) -> bool {
        match (self, fresh) {
            // Whoever asks now is refused; an open stream has no endpoints, or
            // keeps a profile of which nothing better is known.
            (Self::Nothing | Self::Profile(_), Self::Refused(_)) => true,
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
            Self::Profile(_) => true,
        }
    }
}

/// A proxy that asks one question and opens its stream again when it ends.
pub(crate) struct Client {
    question: Question,
    speed: Speed,
    told: Arc<Mutex<Told>>,
    messages: Arc<AtomicUsize>,
    quiet: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Client {
    pub(crate) fn start(addr: SocketAddr, question: Question, speed: Speed) -> Self {
        let (quiet, at_end) = watch::channel(false);
        let reader = Reader {
            question: question.clone(),
            speed,
            told: Arc::default(),
            messages: Arc::default(),
            quiet: at_end,
        };
        Self {
            question,
            speed,
            told: reader.told.clone(),
            messages: reader.messages.clone(),
            quiet,
            task: tokio::spawn(reader.run(addr)),
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

    /// What a fresh stream is told.
    pub(crate) async fn ask(&self, proxy: &Proxy) -> Told {
        let proxy = proxy.clone().with_context(&self.question.context);
        match self.question.kind {
            Kind::Get => match proxy.get(&self.question.path).await {
                Ok(mut endpoints) => {
                    while let Ok(false) = endpoints.is_silent_for(SILENCE).await {}
                    Told::Endpoints(endpoints.told().clone())
                }
                Err(status) => Told::Refused(status.code()),
            },
            Kind::Profile => match timeout(SILENCE, proxy.profile(&self.question.path)).await {
                Ok(Ok(profile)) => Told::Profile(Box::new(profile)),
                Ok(Err(status)) => Told::Refused(status.code()),
                Err(_) => Told::Nothing,
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
    quiet: watch::Receiver<bool>,
}

impl Reader {
    async fn run(mut self, addr: SocketAddr) {
        let proxy = Proxy::connect(addr).await.unwrap();
        let proxy = proxy.with_context(&self.question.context);
        loop {
            let ended = match self.question.kind {
                Kind::Get => self.endpoints(&proxy).await,
                Kind::Profile => self.profiles(&proxy).await,
            };
            if let Err(status) = ended {
                *self.told.lock().unwrap() = Told::Refused(status.code());
            }
            sleep(BACKOFF).await;
        }
    }

    async fn endpoints(&mut self, proxy: &Proxy) -> Result<(), Status> {
        let mut endpoints = proxy.get(&self.question.path).await?;
        *self.told.lock().unwrap() = Told::Endpoints(EndpointSet::default());
        loop {
            self.pause().await;
            match endpoints.is_silent_for(BACKOFF).await {
                Ok(true) => continue,
                Ok(false) => self.note(Told::Endpoints(endpoints.told().clone())),
                Err(_) => return Ok(()),
            }
        }
    }

    async fn profiles(&mut self, proxy: &Proxy) -> Result<(), Status> {
        let mut profiles = proxy.profiles(&self.question.path).await?;
        *self.told.lock().unwrap() = Told::Nothing;
        loop {
            self.pause().await;
            match profiles.message().await {
                Ok(Some(profile)) => self.note(Told::Profile(Box::new(profile))),
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
