//! Connections with the proxy's windows, and the `Get` streams on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use ferrule_proto::destination::GetDestination;
use h2::client::{Builder, SendRequest};
use http::Request;
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::messages::MessageCounter;
use super::tally::Tally;
use crate::protocol::{Open, now};

/// linkerd2-proxy's windows.
const STREAM_WINDOW: u32 = 65_535;
const CONNECTION_WINDOW: u32 = 1 << 20;

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
    pub(super) async fn open(open: Open) -> Self {
        let deadline = Instant::now() + Duration::from_millis(open.timeout_ms);
        let connections = open.connections;
        let plan = Arc::new(Plan {
            connected: AtomicUsize::new(0),
            tally: Arc::default(),
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
            while plan.connected.load(Ordering::Relaxed) + tally.decided() < connections
                && Instant::now() < deadline
            {
                sleep(POLL_INTERVAL).await;
            }
            // The server's settings arrive after the connection does.
            sleep(10 * POLL_INTERVAL).await;
            tally.start_clock();
            gate.send_replace(true);
        }
        while tally.decided() < plan.open.streams && Instant::now() < deadline {
            sleep(POLL_INTERVAL).await;
        }
        Self {
            tally,
            _tasks: tasks,
        }
    }
}

#[derive(Debug)]
struct Plan {
    open: Open,
    connected: AtomicUsize,
    tally: Arc<Tally>,
}

impl Plan {
    /// The requests of connection `number`, as gRPC frames.
    ///
    /// Services and contexts are dealt so that each service is asked for by clients of many
    /// nodes, and thus zones, also where a connection has one stream.
    fn requests(&self, number: usize) -> impl Iterator<Item = Bytes> {
        let Open {
            connections,
            streams,
            authorities,
            contexts,
            ..
        } = &self.open;
        let context = &contexts[(number + number / authorities.len()) % contexts.len()];
        (number..*streams).step_by(*connections).map(move |stream| {
            let service = (number + stream / connections) % authorities.len();
            frame(&GetDestination {
                scheme: "k8s".to_owned(),
                path: authorities[service].clone(),
                context_token: context.clone(),
            })
        })
    }
}

fn frame(request: &GetDestination) -> Bytes {
    let length = u32::try_from(request.encoded_len()).expect("a request is a few hundred bytes");
    let mut frame = BytesMut::with_capacity(5 + length as usize);
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(&request.encode_to_vec());
    frame.freeze()
}

async fn run_connection(plan: Arc<Plan>, number: usize, mut gate: watch::Receiver<bool>) {
    let (send, mut tasks) = match connect(&plan).await {
        Ok(connected) => connected,
        Err(reason) => {
            // None of its streams will be answered.
            for _ in plan.requests(number) {
                plan.tally.ended(reason.clone());
            }
            return;
        }
    };
    plan.connected.fetch_add(1, Ordering::Relaxed);
    // An error is the end of the whole set.
    let _ = gate.wait_for(|open| *open).await;
    for request in plan.requests(number) {
        let (send, tally) = (send.clone(), plan.tally.clone());
        tasks.spawn(async move {
            let Err(reason) = get(send, request, &tally).await;
            tally.ended(reason);
        });
    }
    drop(send);
    while tasks.join_next().await.is_some() {}
}

async fn connect(plan: &Plan) -> Result<(SendRequest<Bytes>, JoinSet<()>), String> {
    let failed = |error: &dyn std::fmt::Display| format!("connecting: {error}");
    let socket = TcpStream::connect(plan.open.server)
        .await
        .map_err(|error| failed(&error))?;
    socket.set_nodelay(true).map_err(|error| failed(&error))?;
    let (send, connection) = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(socket)
        .await
        .map_err(|error| failed(&error))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // Its streams say why it ended.
        let _ = connection.await;
    });
    Ok((send, tasks))
}

/// One `Get`, until it ends; which it should not.
async fn get(
    send: SendRequest<Bytes>,
    message: Bytes,
    tally: &Tally,
) -> Result<std::convert::Infallible, String> {
    let failed = |error: h2::Error| error.to_string();
    let request = Request::post("http://localhost/io.linkerd.proxy.destination.Destination/Get")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| error.to_string())?;
    let mut send = send.ready().await.map_err(failed)?;
    let (response, mut body) = send.send_request(request, false).map_err(failed)?;
    body.send_data(message, true).map_err(failed)?;
    let response = response.await.map_err(failed)?;
    let status = status(response.headers());
    if !response.status().is_success() || status.is_some() {
        return Err(format!("HTTP {}, {status:?}", response.status()));
    }
    let mut data = response.into_body();
    let mut counter = MessageCounter::default();
    let (mut bytes, mut messages) = (0_u64, 0_usize);
    while let Some(chunk) = data.data().await {
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
            tally.later(whole - usize::from(is_first), now());
        }
        data.flow_control()
            .release_capacity(chunk.len())
            .map_err(failed)?;
    }
    let trailers = data.trailers().await.map_err(failed)?;
    Err(format!(
        "the server ended the stream: {:?}",
        trailers.as_ref().and_then(self::status)
    ))
}

/// `grpc-status` and `grpc-message`.
fn status(headers: &http::HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?;
    Some(format!("{code} {}", text("grpc-message").unwrap_or("")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use h2::server;
    use http::Response;
    use tokio::net::TcpListener;

    /// Answers every stream with a message of 100 KiB, larger than its window, then a small one.
    async fn serve(listener: TcpListener) {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = server::handshake(socket).await.unwrap();
                let mut open = Vec::new();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let mut body = respond.send_response(Response::new(()), false).unwrap();
                    let large = [&[0, 0, 1, 0x90, 0][..], &[7; 100 << 10]].concat();
                    body.send_data(large.into(), false).unwrap();
                    body.send_data(Bytes::from_static(&[0, 0, 0, 0, 1, 7]), false)
                        .unwrap();
                    // It stays open.
                    open.push(body);
                }
            });
        }
    }

    #[tokio::test]
    async fn streams_are_answered_when_their_first_message_is_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = listener.local_addr().unwrap();
        tokio::spawn(serve(listener));
        let open = Open {
            server,
            connections: 2,
            streams: 5,
            authorities: vec!["a:80".into(), "b:80".into()],
            contexts: vec![String::new()],
            connect_first: true,
            timeout_ms: 10_000,
        };
        let connections = Connections::open(open).await;
        let opened = connections.tally.opened();
        assert_eq!((opened.answered, opened.ended), (5, 0), "{opened:?}");
        assert!(opened.first_bytes.min >= 5.0 + f64::from(100 << 10));
        while connections.tally.unreported() < 5 {
            sleep(POLL_INTERVAL).await;
        }
        assert_eq!(connections.tally.take_later().times.len(), 5);
    }

    #[test]
    fn connections_of_one_stream_ask_for_every_service_from_every_zone() {
        let plan = Plan {
            open: Open {
                server: ([127, 0, 0, 1], 1).into(),
                connections: 90,
                streams: 90,
                authorities: (0..9).map(|service| format!("service-{service}")).collect(),
                contexts: (0..3).map(|node| format!("node-{node}")).collect(),
                connect_first: false,
                timeout_ms: 0,
            },
            connected: AtomicUsize::new(0),
            tally: Arc::default(),
        };
        let asked: std::collections::BTreeSet<Bytes> =
            (0..90).flat_map(|number| plan.requests(number)).collect();
        assert_eq!(asked.len(), 9 * 3);
    }
}
