//! Connections, and the streams on them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::addresses::Follower;
use super::call::{call, status};
use super::dialer::{Connection, Dialer};
use super::messages::MessageCounter;
use super::requests::{Request, requests};
use super::tally::Tally;
use crate::protocol::{Open, now};

/// Times are taken where messages arrive; this is only how late a report may be.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Open connections; dropping it drops them, as a proxy that is killed does.
#[derive(Debug)]
pub(super) struct Connections {
    pub(super) tally: Arc<Tally>,
    _tasks: JoinSet<()>,
}

impl Connections {
    /// Opens all, and returns when every stream has its first message or has ended, or the time
    /// is over.
    ///
    /// # Errors
    ///
    /// When the files of its TLS cannot be used.
    pub(super) async fn open(open: Open) -> Result<Self> {
        let dialer = Dialer::new(open.server, open.tls.as_ref())?;
        let deadline = Instant::now() + Duration::from_millis(open.timeout_ms);
        let connections = open.connections;
        let plan = Arc::new(Plan {
            dialer,
            tally: Arc::new(Tally::begin()),
            open,
        });
        let tally = plan.tally.clone();
        let (gate, behind) = watch::channel(false);
        if !plan.open.connect_first {
            tally.start_clock();
            gate.send_replace(true);
        }
        let mut tasks = JoinSet::new();
        for number in 0..connections {
            tasks.spawn(run_connection(plan.clone(), number, behind.clone()));
        }
        if plan.open.connect_first {
            while tally.connections() + tally.decided() < connections && Instant::now() < deadline {
                sleep(POLL_INTERVAL).await;
            }
            tally.start_clock();
            gate.send_replace(true);
        }
        while tally.decided() < plan.open.streams && Instant::now() < deadline {
            sleep(POLL_INTERVAL).await;
        }
        Ok(Self {
            tally,
            _tasks: tasks,
        })
    }
}

struct Plan {
    open: Open,
    dialer: Dialer,
    tally: Arc<Tally>,
}

impl Plan {
    /// The requests of connection `number`.
    fn requests(&self, number: usize) -> impl Iterator<Item = Request> {
        let Open {
            connections,
            streams,
            asked,
            ..
        } = &self.open;
        let count = (number..*streams).step_by(*connections).count();
        requests(asked, number).take(count)
    }
}

async fn run_connection(plan: Arc<Plan>, number: usize, mut gate: watch::Receiver<bool>) {
    let connection = match connect(&plan, number).await {
        Ok(connection) => connection,
        Err(reason) => {
            // None of its streams will be answered.
            for _ in plan.requests(number) {
                plan.tally.ended(reason.clone());
            }
            return;
        }
    };
    plan.tally.connected();
    // An error is the end of the whole set.
    let _ = gate.wait_for(|open| *open).await;
    let mut streams = JoinSet::new();
    for request in plan.requests(number) {
        let (send, tally) = (connection.send.clone(), plan.tally.clone());
        let counter = Counter::new(plan.open.follow);
        streams.spawn(async move {
            let Err(reason) = follow(send, request, counter, &tally).await;
            tally.ended(reason);
        });
    }
    while streams.join_next().await.is_some() {}
}

async fn connect(plan: &Plan, number: usize) -> Result<Connection, String> {
    let mut connection = if plan.open.gives_up {
        let given_up = || plan.tally.gave_up();
        plan.dialer.connect_at_last(number, given_up).await
    } else {
        plan.dialer.connect().await?
    };
    if plan.open.connect_first {
        connection.seen().await?;
    }
    Ok(connection)
}

/// One stream, until it ends; which it should not.
async fn follow(
    send: SendRequest<Bytes>,
    Request { path, frame }: Request,
    mut counter: Counter,
    tally: &Tally,
) -> Result<std::convert::Infallible, String> {
    let failed = |error: h2::Error| error.to_string();
    let mut body = call(send, path, frame).await?;
    let (mut bytes, mut messages) = (0_u64, 0_usize);
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(failed)?;
        let whole = counter.push(&chunk);
        bytes += chunk.len() as u64;
        tally.data(chunk.len());
        if whole > 0 {
            let is_first = messages == 0;
            messages += whole;
            if is_first {
                tally.first(bytes);
            }
            counter.report(whole - usize::from(is_first), tally);
        }
        body.flow_control()
            .release_capacity(chunk.len())
            .map_err(failed)?;
    }
    let trailers = body.trailers().await.map_err(failed)?;
    Err(format!(
        "the server ended the stream: {:?}",
        trailers.as_ref().and_then(status)
    ))
}

/// What is looked for in a stream.
enum Counter {
    /// When messages are whole.
    Messages(MessageCounter),
    /// What they add; with what is not reported yet.
    Endpoints(Follower, Vec<Ipv4Addr>),
}

impl Counter {
    fn new(follow: bool) -> Self {
        if follow {
            Self::Endpoints(Follower::default(), Vec::new())
        } else {
            Self::Messages(MessageCounter::default())
        }
    }

    /// How many messages `data` makes whole.
    fn push(&mut self, data: &[u8]) -> usize {
        match self {
            Self::Messages(counter) => counter.push(data),
            Self::Endpoints(follower, told) => follower.push(data, |endpoint| told.push(endpoint)),
        }
    }

    /// So many messages after the first have become whole.
    fn report(&mut self, messages: usize, tally: &Tally) {
        match self {
            Self::Messages(_) => tally.later(messages, now()),
            Self::Endpoints(_, told) => {
                tally.told(messages, told, now());
                told.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::server::{self, Stream};
    use crate::protocol::Asked;

    /// Answers with a message of 100 KiB, larger than a stream's window, then a small one.
    fn answer(stream: &mut Stream) {
        let large = [&[0, 0, 1, 0x90, 0][..], &[7; 100 << 10]].concat();
        stream.send_data(large.into(), false).unwrap();
        let small = Bytes::from_static(&[0, 0, 0, 0, 1, 7]);
        stream.send_data(small, false).unwrap();
    }

    #[tokio::test]
    async fn streams_are_answered_when_their_first_message_is_whole() {
        let open = Open {
            server: server::start(None, answer).await,
            tls: None,
            connections: 2,
            streams: 5,
            asked: Asked::Endpoints {
                authorities: vec!["a:80".into(), "b:80".into()],
                contexts: vec![String::new()],
            },
            connect_first: true,
            gives_up: false,
            follow: false,
            timeout_ms: 10_000,
        };
        let connections = Connections::open(open).await.unwrap();
        let opened = connections.tally.opened();
        assert_eq!((opened.answered, opened.ended.count), (5, 0), "{opened:?}");
        assert!(opened.first_bytes.min >= 5.0 + f64::from(100 << 10));
        assert!(opened.connect_ms.min > 0.0);
        while connections.tally.unreported() < 5 {
            sleep(POLL_INTERVAL).await;
        }
        assert_eq!(connections.tally.take_later().times.len(), 5);
    }
}
