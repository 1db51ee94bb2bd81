//! An API server that says what a script tells it to.

use super::super::{served::Served, watch::Watch};
use crate::{
    Interner,
    object::Kind,
    source::{CHANNEL_CAPACITY, ErrorReason, Event, WatchStats},
};
use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};
use http_body::Frame;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

pub(super) const PATIENCE: Duration = Duration::from_secs(1000);

/// The script's side of an API server, and the events that come of it.
pub(super) struct Server {
    requests: mpsc::UnboundedReceiver<Asked>,
    pub(super) events: mpsc::Receiver<Event>,
    pub(super) stats: Arc<WatchStats>,
    /// What the server says that it serves; counts who has asked.
    catalogue: Arc<Mutex<Catalogue>>,
    pub(super) watch: JoinHandle<()>,
    _served: AbortOnDropHandle<()>,
}

/// A request, and where its answer goes.
struct Asked {
    uri: String,
    accept: Option<HeaderValue>,
    respond: oneshot::Sender<Response<Stream>>,
}

impl Asked {
    fn accepts_protobuf(&self) -> bool {
        let accept = self.accept.as_ref().and_then(|accept| accept.to_str().ok());
        accept.is_some_and(|accept| accept.starts_with("application/vnd.kubernetes.protobuf"))
    }
}

/// What it says that it serves; by default it does not tell.
#[derive(Default)]
struct Catalogue {
    tag: Option<&'static str>,
    asked: u32,
}

impl Catalogue {
    fn answer(&mut self, request: &Request<Body>) -> Response<Stream> {
        self.asked += 1;
        let mut response = Response::new(Stream(mpsc::unbounded_channel().1));
        match self.tag {
            None => *response.status_mut() = StatusCode::NOT_FOUND,
            Some(tag) => {
                let known = request.headers().get(IF_NONE_MATCH);
                if known.is_some_and(|known| known == tag) {
                    *response.status_mut() = StatusCode::NOT_MODIFIED;
                }
                let tag = HeaderValue::from_static(tag);
                response.headers_mut().insert(ETAG, tag);
            }
        }
        response
    }
}

/// A body that goes on until the script drops its other end.
pub(super) struct Stream(mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|data| data.map(|data| Ok(Frame::data(data))))
    }
}

/// A watch as the server sees it.
pub(super) struct Sending(mpsc::UnboundedSender<Bytes>);

impl Sending {
    pub(super) fn send(&self, kind: &str, object: &Value) {
        let line = format!("{}\n", json!({"type": kind, "object": object}));
        self.0.send(line.into()).unwrap();
    }

    /// Whatever is sent.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        self.0.send(Bytes::copy_from_slice(bytes)).unwrap();
    }

    pub(super) fn bookmark(&self, version: u64, ends_list: bool) {
        let mut bookmark = node("", version);
        if ends_list {
            bookmark["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        self.send("BOOKMARK", &bookmark);
    }
}

impl Server {
    pub(super) fn start() -> Self {
        Self::of_kind(Kind::Node)
    }

    pub(super) fn of_kind(kind: Kind) -> Self {
        let (asked, requests) = mpsc::unbounded_channel();
        let catalogue = Arc::<Mutex<Catalogue>>::default();
        let telling = catalogue.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let (respond, response) = oneshot::channel();
            if request.uri() == "/apis" {
                let mut catalogue = telling.lock().unwrap();
                respond.send(catalogue.answer(&request)).ok();
            } else {
                let uri = request.uri().to_string();
                let accept = request.headers().get(ACCEPT).cloned();
                asked
                    .send(Asked {
                        uri,
                        accept,
                        respond,
                    })
                    .ok();
            }
            async move {
                response
                    .await
                    .map_err(|_| std::io::Error::other("connection refused"))
            }
        });
        let (sink, events) = mpsc::channel(CHANNEL_CAPACITY);
        let stats = Arc::new(WatchStats::new());
        let client = Client::new(service, "default");
        let served = Served::new(client.clone());
        let arrivals = served.arrivals();
        let watch = Watch::new(kind, client, Interner::new(), stats.clone(), sink, arrivals);
        Self {
            requests,
            events,
            stats,
            catalogue,
            watch: tokio::spawn(watch.run()),
            _served: AbortOnDropHandle::new(tokio::spawn(served.run())),
        }
    }

    /// One that has told its version.
    pub(super) async fn of_version(minor: &str) -> Self {
        let mut server = Self::start();
        server.tell_version(minor).await;
        server
    }

    pub(super) async fn tell_version(&mut self, minor: &str) {
        let version = json!({
            "major": "1", "minor": minor, "gitVersion": "", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": "",
        });
        self.answer("/version", &version).await;
    }

    /// The next request, which has to hold each part.
    pub(super) async fn asked(&mut self, parts: &str) -> oneshot::Sender<Response<Stream>> {
        self.request(parts).await.respond
    }

    async fn request(&mut self, parts: &str) -> Asked {
        let request = timeout(PATIENCE, self.requests.recv()).await;
        let request = request.expect("a request").unwrap();
        for part in parts.split(' ') {
            assert!(request.uri.contains(part), "{} is not {parts}", request.uri);
        }
        request
    }

    /// A watch that accepts protobuf, and is answered in it.
    pub(super) async fn answer_in_protobuf(&mut self, parts: &str) -> Sending {
        let request = self.request(parts).await;
        assert!(request.accepts_protobuf());
        let (send, receive) = mpsc::unbounded_channel();
        let mut response = Response::new(Stream(receive));
        let streamed = HeaderValue::from_static("application/vnd.kubernetes.protobuf;stream=watch");
        response.headers_mut().insert(CONTENT_TYPE, streamed);
        request.respond.send(response).ok();
        Sending(send)
    }

    /// A watch that accepts JSON only.
    pub(super) async fn answer_in_json(&mut self, parts: &str) -> Sending {
        let request = self.request(parts).await;
        assert!(!request.accepts_protobuf());
        let (send, receive) = mpsc::unbounded_channel();
        request.respond.send(Response::new(Stream(receive))).ok();
        Sending(send)
    }

    pub(super) async fn refuse_connection(&mut self, parts: &str) {
        drop(self.asked(parts).await);
    }

    pub(super) async fn respond(&mut self, parts: &str, code: u16, body: &str) {
        let (send, receive) = mpsc::unbounded_channel();
        send.send(body.to_owned().into()).unwrap();
        let mut response = Response::new(Stream(receive));
        *response.status_mut() = StatusCode::from_u16(code).unwrap();
        self.asked(parts).await.send(response).ok();
    }

    pub(super) async fn answer(&mut self, parts: &str, body: &Value) {
        self.respond(parts, 200, &body.to_string()).await;
    }

    pub(super) async fn refuse(&mut self, parts: &str, code: u16) {
        let status = json!({"kind": "Status", "status": "Failure", "code": code, "message": "no"});
        self.respond(parts, code, &status.to_string()).await;
    }

    pub(super) async fn answer_watch(&mut self, parts: &str) -> Sending {
        let (send, receive) = mpsc::unbounded_channel();
        let response = Response::new(Stream(receive));
        self.asked(parts).await.send(response).ok();
        Sending(send)
    }

    /// A list of one page and the watch after it.
    pub(super) async fn list_and_watch(&mut self, nodes: &[&str]) -> Sending {
        self.answer("limit=500", &page(nodes, 10, None)).await;
        self.resume(10, 10).await
    }

    /// The check of the server's version, and the watch.
    pub(super) async fn resume(&mut self, version: u64, reached: u64) -> Sending {
        self.answer("limit=1", &page(&[], reached, None)).await;
        self.answer_watch(&format!("watch=true resourceVersion={version}"))
            .await
    }

    pub(super) async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            let event = timeout(PATIENCE, self.events.recv()).await;
            let found = match event.expect("an event").expect("a running watch") {
                Event::Relisting(kind) => format!("relisting {kind}"),
                Event::Applied { key, .. } => format!("applied {key}"),
                Event::Deleted(_, key) => format!("deleted {key}"),
                Event::Synced(kind) => format!("synced {kind}"),
                Event::Unavailable(_, reason) => format!("unavailable: {reason}"),
                Event::Traced(_) => "traced".to_owned(),
            };
            assert!(found.starts_with(expected), "{found} is not {expected}");
        }
    }

    pub(super) fn errors(&self, reason: ErrorReason) -> u64 {
        self.stats.kind(Kind::Node).errors(reason)
    }

    /// From now on it says that what it serves is this.
    pub(super) fn serves(&self, tag: Option<&'static str>) {
        self.catalogue.lock().unwrap().tag = tag;
    }

    /// How often it was asked what it serves.
    pub(super) fn asked_what_it_serves(&self) -> u32 {
        self.catalogue.lock().unwrap().asked
    }

    pub(super) fn is_protobuf(&self) -> bool {
        self.stats.kind(Kind::Node).is_protobuf()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.stats.kind(Kind::Node).is_connected()
    }
}

pub(super) fn node(name: &str, version: u64) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"name": name, "resourceVersion": version.to_string()},
    })
}

pub(super) fn page(nodes: &[&str], version: u64, more: Option<&str>) -> Value {
    json!({
        "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version.to_string(), "continue": more},
        "items": nodes.iter().map(|name| node(name, 1)).collect::<Vec<_>>(),
    })
}
