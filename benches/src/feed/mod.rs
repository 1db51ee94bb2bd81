//! An API server that does nothing but list and watch, as fast as it is read: for what would keep
//! a real one busy for hours.
//!
//! It speaks what the server under test asks for: streamed lists and watches, with bookmarks. The
//! objects are those of [`crate::world`], without managed fields. Whoever changes one waits until
//! every watch has room for it, so the reader sets the pace and no event is lost.

mod deployments;
mod store;

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use futures::stream::BoxStream;
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

pub(crate) use deployments::{Deployment, Deployments};
pub(crate) use store::Store;

/// The server under test gives a watch up that says nothing for 90 s.
const BOOKMARKS: Duration = Duration::from_secs(30);
/// One that streams lists.
const MINOR: &str = "36";

/// The answer to a request.
pub(crate) type Answer = Response<StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

/// A [`Store`] on loopback, until it is dropped.
pub(crate) struct Feed {
    pub(crate) store: Arc<Store>,
    kubeconfig: PathBuf,
    _folder: TempDir,
    _tasks: JoinSet<()>,
}

impl Feed {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let folder = tempfile::Builder::new()
            .prefix("ferrule-bench-feed-")
            .tempdir()?;
        let kubeconfig = folder.path().join("kubeconfig");
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{
                "name": "feed",
                "cluster": {"server": format!("http://{}", listener.local_addr()?)},
            }],
            "users": [{"name": "feed", "user": {}}],
            "contexts": [{"name": "feed", "context": {"cluster": "feed", "user": "feed"}}],
            "current-context": "feed",
        });
        fs::write(&kubeconfig, config.to_string())?;
        let store = Arc::<Store>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, store.clone()));
        tasks.spawn(bookmark(store.clone()));
        Ok(Self {
            store,
            kubeconfig,
            _folder: folder,
            _tasks: tasks,
        })
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }
}

async fn accept(listener: TcpListener, store: Arc<Store>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let store = store.clone();
        let service = service_fn(move |request| {
            let answer = answer(&store, &request);
            async move { Ok::<_, Infallible>(answer) }
        });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), service));
    }
}

async fn bookmark(store: Arc<Store>) {
    let mut ticks = interval(BOOKMARKS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        store.bookmark().await;
    }
}

/// Answers a request for the version, a streamed list or a watch.
pub(crate) fn answer<B>(store: &Store, request: &Request<B>) -> Answer {
    use futures::stream::{self, StreamExt as _};

    let query = request.uri().query().unwrap_or_default();
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let plural = request.uri().path().rsplit('/').next().unwrap_or_default();
    let whole = |status: StatusCode, text: String| {
        let frame = Frame::data(Bytes::from(text));
        (status, stream::iter([Ok(frame)]).boxed())
    };
    let (status, lines) = if request.uri().path() == "/version" {
        whole(StatusCode::OK, version())
    } else if parameter("watch").is_none() {
        let text = "only watches are answered".to_owned();
        whole(StatusCode::METHOD_NOT_ALLOWED, text)
    } else {
        // A list begins with everything; a watch goes on after what was seen.
        let since = match parameter("sendInitialEvents") {
            Some("true") => None,
            _ => parameter("resourceVersion").and_then(|version| version.parse().ok()),
        };
        let lines = store.watch(plural, since);
        let lines = lines.map(|line| Ok(Frame::data(line)));
        (StatusCode::OK, lines.boxed())
    };
    let mut response = Response::new(StreamBody::new(lines));
    *response.status_mut() = status;
    response
}

fn version() -> String {
    let empty = "";
    json!({
        "major": "1", "minor": MINOR, "gitVersion": format!("v1.{MINOR}.0"), "gitCommit": empty,
        "gitTreeState": empty, "buildDate": empty, "goVersion": empty, "compiler": empty,
        "platform": empty,
    })
    .to_string()
}
