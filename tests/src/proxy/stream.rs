//! Following one stream as a proxy does: which failures it takes as the last
//! word, and how soon it asks again after the others (api.md sections 2.3, 2.4).

use super::{
    acceptance::Invalid,
    watched::{Failure, Seen},
};
use std::{error::Error, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tonic::{Code, Status, Streaming};

/// Why a call ended, or what is wrong with its last message.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamFailure {
    /// The server said no, or cannot be reached.
    #[error("{}", explain(.0))]
    Refused(Status),

    /// The server ended the stream with OK.
    #[error("the server ended the stream")]
    Closed,

    /// The proxy ended the call: one of its [`Limits`] was reached.
    #[error("the proxy's limit for streams was reached")]
    Limit,

    /// A proxy cannot use the message, or breaks on it.
    #[error("a proxy cannot use what it is told: {0}")]
    Invalid(#[from] Invalid),
}

/// Limits of a stream's life (`LINKERD2_PROXY_CONTROL_STREAM_*`), unset as
/// without the variables. They do not hold for loopback addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// From the request to the first message.
    pub initial: Option<Duration>,
    /// Between two messages. Without it the first limit stays in force for the
    /// stream's whole life, as it does in a proxy.
    pub idle: Option<Duration>,
    /// From the request to the end.
    pub lifetime: Option<Duration>,
}

/// Pauses between calls that fail: doubling from `min` to `max`. (A proxy adds
/// up to 10 %, for there are many of them.)
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

/// A call that can be made again and again, and what its messages come to.
pub(crate) trait Subscription: Send + Sync + 'static {
    type Message: Send + 'static;
    type State: PartialEq + Send + Sync + 'static;

    /// The codes after which a proxy does not ask again.
    const FINAL: &'static [Code];
    /// Whether a proxy asks again without a pause when a stream that told
    /// something ends.
    const REOPENED_AT_ONCE: bool;

    fn open(&self) -> impl Future<Output = Result<Streaming<Self::Message>, Status>> + Send;

    /// The state with a message taken in; `fresh` until the stream has told
    /// anything. `None` for a message that a proxy passes over.
    fn fold(
        state: Option<&Self::State>,
        message: Self::Message,
        fresh: bool,
    ) -> Result<Option<Self::State>, Invalid>;
}

type Sender<S> = watch::Sender<Seen<<S as Subscription>::State, StreamFailure>>;

/// Follows until nobody is interested any more or a proxy would give up.
pub(crate) async fn follow<S: Subscription>(
    subscription: S,
    backoff: Backoff,
    limits: Limits,
    seen: Sender<S>,
) {
    tokio::select! {
        () = seen.closed() => {}
        () = ask_again_and_again(&subscription, backoff, limits, &seen) => {}
    }
    // What was seen stays; `ended` says that there is no more.
}

async fn ask_again_and_again<S: Subscription>(
    subscription: &S,
    backoff: Backoff,
    limits: Limits,
    seen: &Sender<S>,
) {
    let mut pause = backoff.min;
    loop {
        let (failure, told) = call(subscription, limits, seen).await;
        let ended = failure.code().is_some_and(|code| S::FINAL.contains(&code));
        seen.send_modify(|seen| {
            seen.failures += 1;
            seen.failure = Some(failure);
            seen.ended = ended;
        });
        if ended {
            return seen.closed().await;
        }
        if told {
            pause = backoff.min;
        }
        if !(told && S::REOPENED_AT_ONCE) {
            sleep(pause).await;
            pause = backoff.max.min(2 * pause);
        }
    }
}

/// One call to its end: how it ended, and whether it told anything.
async fn call<S: Subscription>(
    subscription: &S,
    limits: Limits,
    seen: &Sender<S>,
) -> (StreamFailure, bool) {
    let begin = Instant::now();
    let end_of_life = limits.lifetime.map(|lifetime| begin + lifetime);
    let mut deadline = limits.initial.map(|initial| begin + initial);
    let mut fresh = true;
    let reading = async {
        let mut stream = match by(deadline, subscription.open()).await {
            Some(Ok(stream)) => stream,
            Some(Err(status)) => return StreamFailure::Refused(status),
            None => return StreamFailure::Limit,
        };
        seen.send_modify(|seen| seen.calls += 1);
        loop {
            match by(deadline, stream.message()).await {
                Some(Ok(Some(message))) => fresh &= !take_in::<S>(seen, message, fresh),
                Some(Ok(None)) => return StreamFailure::Closed,
                Some(Err(status)) => return StreamFailure::Refused(status),
                None => return StreamFailure::Limit,
            }
            deadline = limits.idle.map(|idle| Instant::now() + idle).or(deadline);
        }
    };
    let failure = tokio::select! {
        failure = reading => failure,
        () = at(end_of_life) => StreamFailure::Limit,
    };
    (failure, !fresh)
}

/// Whether the message told anything.
fn take_in<S: Subscription>(seen: &Sender<S>, message: S::Message, fresh: bool) -> bool {
    let mut told = true;
    seen.send_modify(|seen| {
        seen.messages += 1;
        seen.failure = None;
        match S::fold(seen.value.as_deref(), message, fresh) {
            Ok(Some(state)) => {
                let redundant = !fresh && seen.value.as_deref() == Some(&state);
                seen.redundant += usize::from(redundant);
                seen.value = Some(Arc::new(state));
            }
            Ok(None) => told = false,
            Err(invalid) => {
                seen.value = None;
                seen.failure = Some(invalid.into());
            }
        }
    });
    told
}

/// `None` if it is not done by the deadline.
async fn by<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, future).await.ok(),
        None => Some(future.await),
    }
}

/// Never, if there is no deadline.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl StreamFailure {
    /// The code of a refusal.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(status) => Some(status.code()),
            _ => None,
        }
    }
}

impl Failure for StreamFailure {
    fn is_invalid(&self) -> bool {
        matches!(self, Self::Invalid(_))
    }
}

/// A status with what led to it.
pub(crate) fn explain(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    add_causes(&mut text, status.source());
    text
}

/// An error with what led to it.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    add_causes(&mut text, Some(error));
    text
}

/// Each is said once, and tonic's own word for whatever went wrong is not.
fn add_causes(text: &mut String, mut next: Option<&dyn Error>) {
    while let Some(error) = next {
        let cause = error.to_string();
        if cause != "transport error" && !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
        next = error.source();
    }
}
