//! The HTTP exchanges of one kind's watch, looked at on their way.
//!
//! kube's watcher hides what this needs to know, and leaves some things open
//! (kube 4.2): a request waits for its answer without limit; a half-open watch
//! is noticed after 295 s; a watch that is refused with an empty body is begun
//! again at once and for ever; a streaming list that breaks off and begins again
//! does not say so; an answer of 410 to the start of a watch does not lead to a
//! new list; and a watch from a version that the server has not reached yet (its
//! etcd was restored) is silent until it has. All of them are dealt with here.

use super::{
    failure::Failure,
    protobuf::{self, Translation},
};
use crate::{
    object::Kind,
    source::{ErrorReason, KindStats, WatchStats},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header::ACCEPT};
use http_body::Frame;
use kube::{Client, client::Body, core::Status};
use serde::Deserialize;
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tower::BoxError;
use tracing::{error, info, warn};

/// The API server ends a list after 60 s itself.
const LIST_ANSWER: Duration = Duration::from_secs(65);
/// A watch is answered before there is anything to tell.
const WATCH_ANSWER: Duration = Duration::from_secs(30);
/// Bookmarks come about every 60 s.
const SILENCE: Duration = Duration::from_secs(90);
/// The least time between the starts of two watches of a kind.
const PACE: Duration = Duration::from_millis(250);
/// How long a kind is watched in JSON whose protobuf was no use: what stands between may
/// have been mended since, and a watch in JSON costs several times as much.
const IN_JSON: Duration = Duration::from_secs(3600);
/// Warnings of a failure that goes on: 10 s after the first, then 20 s ...
const FIRST_REMINDER: Duration = Duration::from_secs(10);
/// ... up to this.
const RAREST_REMINDER: Duration = Duration::from_secs(600);

/// What the exchanges of a kind have come to.
pub(super) struct Link {
    kind: Kind,
    stats: Arc<WatchStats>,
    streamed_lists: AtomicU64,
    in_json: Mutex<InJson>,
    health: Mutex<Health>,
}

/// What is asked for of a kind that there is in protobuf.
#[derive(Default)]
struct InJson {
    /// The next watch asks for protobuf again from here on.
    until: Option<Instant>,
    /// How the last watch was asked for.
    was_asked: bool,
}

#[derive(Default)]
struct Health {
    last_watch: Option<Instant>,
    /// The failure that was last said, until it is over.
    said: bool,
    next_warning: Option<Instant>,
    reminder: Duration,
    unavailable: Option<ErrorReason>,
}

impl Link {
    pub(super) fn new(kind: Kind, stats: Arc<WatchStats>) -> Self {
        Self {
            kind,
            stats,
            streamed_lists: AtomicU64::new(0),
            in_json: Mutex::default(),
            health: Mutex::default(),
        }
    }

    /// How many streaming lists were begun: what a watcher yields after one more
    /// belongs to a new list.
    pub(super) fn streamed_lists(&self) -> u64 {
        self.streamed_lists.load(Relaxed)
    }

    pub(super) fn stats(&self) -> &KindStats {
        self.stats.kind(self.kind)
    }

    /// Counts a failure and says it: a permission or an API that is lacking
    /// once, with what to do, which is returned; others at growing intervals.
    pub(super) fn failed(&self, failure: &Failure) -> Option<String> {
        let stats = self.stats();
        stats.failed(failure.reason);
        stats.restarted();
        if failure.reason == ErrorReason::Expired {
            info!(kind = %self.kind, "the resource version is too old, listing again");
            return None;
        }
        stats.set_connected(false);
        let mut health = self.health();
        if let Some(text) = failure.unavailable(self.kind) {
            if health.unavailable == Some(failure.reason) {
                return None;
            }
            health.unavailable = Some(failure.reason);
            health.said = true;
            if failure.reason == ErrorReason::NotFound && self.kind.is_custom() {
                // Not everybody has every CRD.
                info!(kind = %self.kind, "{text}");
            } else {
                error!(kind = %self.kind, "{text}");
            }
            return Some(text);
        }
        if health.may_warn() {
            warn!(kind = %self.kind, reason = failure.reason.as_str(), "watch failed, trying again: {}", failure.text);
        }
        None
    }

    fn answered(&self) {
        self.stats().set_connected(true);
        let mut health = self.health();
        health.unavailable = None;
        if std::mem::take(&mut health.said) {
            info!(kind = %self.kind, "the API server answers again");
        }
    }

    /// Lets the next watch start at once: it asks for something else.
    pub(super) fn hurry(&self) {
        self.health().last_watch = None;
    }

    /// What a watch is to accept instead of JSON.
    fn accept(&self) -> Option<HeaderValue> {
        let mut in_json = self.in_json();
        let is_over = in_json.until.is_none_or(|until| until <= Instant::now());
        let accept = protobuf::accept(self.kind).filter(|_| is_over);
        in_json.was_asked = accept.is_none();
        accept
    }

    /// Asks for JSON for a while; whether that is something else than before.
    pub(super) fn ask_for_json(&self) -> bool {
        let mut in_json = self.in_json();
        in_json.until = Some(Instant::now() + IN_JSON);
        !in_json.was_asked
    }

    fn in_json(&self) -> MutexGuard<'_, InJson> {
        self.in_json.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a server that ends each watch at once from being asked in a loop.
    async fn pace(&self) {
        let start = {
            let mut health = self.health();
            let now = Instant::now();
            let start = health.last_watch.map_or(now, |last| now.max(last + PACE));
            health.last_watch = Some(start);
            start
        };
        sleep_until(start).await;
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn may_warn(&mut self) -> bool {
        let now = Instant::now();
        if self.next_warning.is_some_and(|next| now < next) {
            return false;
        }
        // Long after the last reminder was due: a new trouble.
        let fresh = self
            .next_warning
            .is_none_or(|next| now > next + RAREST_REMINDER.min(self.reminder * 2));
        self.reminder = if fresh {
            FIRST_REMINDER
        } else {
            (self.reminder * 2).min(RAREST_REMINDER)
        };
        self.next_warning = Some(now + self.reminder);
        self.said = true;
        true
    }
}

/// A client whose exchanges go through `client` and are seen by `link`.
pub(super) fn observed(client: Client, link: Arc<Link>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request| exchange(client.clone(), link.clone(), request));
    Client::new(service, namespace)
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Ask {
    List,
    StreamedList,
    /// A watch from a version.
    Resume(Option<u64>),
    Other,
}

impl Ask {
    fn of(uri: &Uri) -> Self {
        let parameter = |name: &str| {
            uri.query().unwrap_or_default().split('&').find_map(|pair| {
                pair.split_once('=')
                    .filter(|(key, _)| *key == name)
                    .map(|(_, value)| value)
            })
        };
        if parameter("sendInitialEvents") == Some("true") {
            Ask::StreamedList
        } else if parameter("watch") == Some("true") {
            Ask::Resume(parameter("resourceVersion").and_then(|version| version.parse().ok()))
        } else if parameter("limit").is_some() {
            Ask::List
        } else {
            Ask::Other
        }
    }

    fn is_watch(&self) -> bool {
        matches!(self, Ask::StreamedList | Ask::Resume(_))
    }
}

async fn exchange(
    client: Client,
    link: Arc<Link>,
    mut request: Request<Body>,
) -> Result<Response<HeardBody>, BoxError> {
    let ask = Ask::of(request.uri());
    if ask.is_watch() {
        link.pace().await;
        if let Some(accepted) = link.accept() {
            request.headers_mut().insert(ACCEPT, accepted);
        }
    }
    match ask {
        Ask::StreamedList => {
            link.streamed_lists.fetch_add(1, Relaxed);
        }
        Ask::Resume(Some(version)) if is_ahead(&client, request.uri(), version).await? => {
            warn!(
                kind = %link.kind,
                version,
                "the API server is older than what was seen of it (a restored etcd?), listing again"
            );
            return Ok(expired(link));
        }
        _ => {}
    }
    let patience = if ask.is_watch() {
        WATCH_ANSWER
    } else {
        LIST_ANSWER
    };
    let response = timeout(patience, client.send(request)).await??;
    if !response.status().is_success() {
        let status = refusal(response).await;
        if ask.is_watch() {
            match StatusCode::from_u16(status.code) {
                Ok(StatusCode::GONE) => return Ok(expired(link)),
                Ok(StatusCode::NOT_ACCEPTABLE | StatusCode::UNSUPPORTED_MEDIA_TYPE) => {
                    link.ask_for_json();
                }
                _ => {}
            }
        }
        return Err(kube::Error::Api(Box::new(status)).into());
    }
    if ask != Ask::Other {
        link.answered();
    }
    let is_watch = ask.is_watch();
    let translation = if is_watch && protobuf::is_protobuf(response.headers()) {
        Translation::of(link.kind)
    } else {
        None
    };
    if is_watch {
        link.stats().set_protobuf(translation.is_some());
    }
    Ok(response.map(|body| HeardBody {
        translation,
        ..HeardBody::new(body, link, is_watch)
    }))
}

/// Whether `version` is one that the server has not reached yet.
async fn is_ahead(client: &Client, uri: &Uri, version: u64) -> Result<bool, BoxError> {
    #[derive(Deserialize)]
    struct List {
        metadata: ListMetadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ListMetadata {
        resource_version: String,
    }
    const METADATA: HeaderValue = HeaderValue::from_static(
        "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    );

    let mut request = Request::new(Body::empty());
    // Without a resourceVersion a list is as new as etcd.
    *request.uri_mut() = format!("{}?limit=1", uri.path()).parse()?;
    request.headers_mut().insert(ACCEPT, METADATA);
    let response = timeout(LIST_ANSWER, client.send(request)).await??;
    if !response.status().is_success() {
        // The watch itself will say what is wrong.
        return Ok(false);
    }
    let body = timeout(LIST_ANSWER, response.into_body().collect_bytes()).await??;
    let reached = serde_json::from_slice(&body)
        .ok()
        .and_then(|list: List| list.metadata.resource_version.parse::<u64>().ok());
    Ok(reached.is_some_and(|reached| reached < version))
}

/// The status in a refusal; where it is none (a proxy in between), one made up.
async fn refusal(response: Response<Body>) -> Status {
    let code = response.status();
    let is_protobuf = protobuf::is_protobuf(response.headers());
    let body = timeout(WATCH_ANSWER, response.into_body().collect_bytes())
        .await
        .ok()
        .and_then(Result::ok)
        .unwrap_or_default();
    let json = if is_protobuf {
        protobuf::status(&body).unwrap_or_default().into()
    } else {
        body
    };
    let mut status: Status = serde_json::from_slice(&json)
        .unwrap_or_else(|_| Status::failure(code.canonical_reason().unwrap_or_default(), ""));
    if status.code == 0 {
        status.code = code.as_u16();
    }
    status
}

/// What an API server answers to a watch from a version that is too old.
fn expired(link: Arc<Link>) -> Response<HeardBody> {
    const GONE: &[u8] = br#"{"type":"ERROR","object":{"kind":"Status","status":"Failure","code":410,"reason":"Expired","message":"the resource version is not there any more"}}
"#;
    let body = Body::from(Bytes::from_static(GONE));
    Response::new(HeardBody::new(body, link, true))
}

/// A body whose frames are noticed, and their absence.
struct HeardBody {
    body: Body,
    link: Arc<Link>,
    is_watch: bool,
    /// Of a watch that is answered in protobuf.
    translation: Option<Translation>,
    /// Set anew when the wait for a frame begins: while the index is behind and
    /// nobody asks for frames, there is no silence.
    silence: Pin<Box<Sleep>>,
    waits: bool,
}

impl HeardBody {
    fn new(body: Body, link: Arc<Link>, is_watch: bool) -> Self {
        Self {
            body,
            link,
            is_watch,
            translation: None,
            silence: Box::pin(sleep_until(Instant::now())),
            waits: false,
        }
    }
}

impl HeardBody {
    /// A frame as the watcher reads it.
    fn read(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BoxError> {
        let (Some(translation), Some(received)) = (&mut self.translation, frame.data_ref()) else {
            return Ok(frame);
        };
        match translation.lines(received) {
            Ok(lines) => Ok(Frame::data(lines)),
            Err(unreadable) => {
                self.link.ask_for_json();
                Err(unreadable.into())
            }
        }
    }

    /// A server's end of a watch is between two events. In the middle of one it is not
    /// told again by whoever reads lines: it would look like any other end.
    fn ends(&self) {
        let is_cut = self.translation.as_ref().is_some_and(Translation::is_cut);
        if is_cut {
            self.link.failed(&Failure {
                reason: ErrorReason::Connection,
                code: None,
                text: "the stream ended in the middle of an event".to_owned(),
            });
        }
    }
}

/// Whether there is nothing in a frame: part of an event.
fn is_empty(frame: &Frame<Bytes>) -> bool {
    frame.data_ref().is_some_and(Bytes::is_empty)
}

impl http_body::Body for HeardBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        while let Poll::Ready(frame) = http_body::Body::poll_frame(Pin::new(&mut this.body), cx) {
            this.waits = false;
            if matches!(frame, Some(Ok(_))) {
                this.link.stats().heard();
            }
            let frame = frame.map(|frame| this.read(frame?));
            if frame.is_none() {
                this.ends();
            }
            if !matches!(&frame, Some(Ok(frame)) if is_empty(frame)) {
                return Poll::Ready(frame);
            }
        }
        if !this.waits {
            this.waits = true;
            this.silence.as_mut().reset(Instant::now() + SILENCE);
        }
        ready!(this.silence.as_mut().poll(cx));
        if this.is_watch {
            this.link.stats().failed(ErrorReason::Timeout);
            // As if the server had ended it: the watch is resumed.
            info!(kind = %this.link.kind, "nothing heard for {} s, resuming the watch", SILENCE.as_secs());
            this.link.stats().restarted();
            return Poll::Ready(None);
        }
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "the list stopped coming");
        Poll::Ready(Some(Err(error.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_their_query() {
        for (uri, ask) in [
            ("/api/v1/pods?&limit=500", Ask::List),
            ("/api/v1/pods?&limit=500&continue=abc", Ask::List),
            (
                "/api/v1/pods?&watch=true&timeoutSeconds=290&allowWatchBookmarks=true&resourceVersion=7",
                Ask::Resume(Some(7)),
            ),
            (
                "/api/v1/pods?&watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=0",
                Ask::StreamedList,
            ),
            (
                "/api/v1/pods?watch=true&resourceVersion=opaque",
                Ask::Resume(None),
            ),
            ("/version", Ask::Other),
        ] {
            assert_eq!(Ask::of(&Uri::from_static(uri)), ask, "{uri}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_failure_is_said_at_growing_intervals() {
        let mut health = Health::default();
        let mut said = Vec::new();
        for second in 0..100 {
            if health.may_warn() {
                said.push(second);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(said, [0, 10, 30, 70]);
    }
}
