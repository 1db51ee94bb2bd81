//! A way to the API server that ends at a write.

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{
        Request, StatusCode,
        header::{CONTENT_LENGTH, HOST},
    },
    response::Response,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Client;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What is written is smaller.
const LARGEST: usize = 1 << 20;

/// Where it ends, at a write by its number, counted from 1. From then on nothing that is
/// asked gets an answer: who asks is as good as killed, and then is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The API server never hears of that write.
    Before(usize),
    /// It has done it, and nobody learns that.
    After(usize),
    /// The same as the first, but that writes of Leases do not count.
    BeforeObject(usize),
    /// It has done the write with which a rotation enters this phase, and nobody learns that.
    Entering(&'static str),
    /// It does not end.
    Never,
}

/// A plaintext proxy before the API server. Writes of Secrets, ConfigMaps and Leases are
/// counted: between these nothing changes, so whoever is killed between any two requests is
/// killed before one of them or after one.
pub(crate) struct Door {
    kubeconfig: PathBuf,
    shut: watch::Receiver<bool>,
    ahead: Arc<AtomicI64>,
    _end: DropGuard,
}

struct Passage {
    client: Client,
    end: End,
    writes: AtomicUsize,
    shut: watch::Sender<bool>,
    /// By how many seconds the API server's clock is ahead, as who asks is told.
    ahead: Arc<AtomicI64>,
}

impl Door {
    /// One for whoever uses the kubeconfig that is put into `folder`; it asks as `client`
    /// does.
    pub(crate) async fn open(client: &Client, folder: &Path, end: End) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = listener.local_addr()?;
        let (shut, shuts) = watch::channel(false);
        let ahead = Arc::<AtomicI64>::default();
        let passage = Arc::new(Passage {
            ahead: ahead.clone(),
            client: client.clone(),
            end,
            writes: AtomicUsize::new(0),
            shut,
        });
        let pass = move |request| {
            let passage = passage.clone();
            async move { passage.pass(request).await }
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let serving = axum::serve(listener, Router::new().fallback(pass));
            stopped.run_until_cancelled(serving.into_future()).await
        });
        let kubeconfig = folder.join(format!("door-{}", server.port()));
        let text = format!(
            r#"apiVersion: v1
kind: Config
clusters:
- name: door
  cluster: {{server: "http://{server}"}}
users:
- name: door
  user: {{}}
contexts:
- name: door
  context: {{cluster: door, user: door}}
current-context: door
"#
        );
        std::fs::write(&kubeconfig, text)?;
        Ok(Self {
            kubeconfig,
            ahead,
            shut: shuts,
            _end: stop.drop_guard(),
        })
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Has the API server's clock be ahead by so many seconds, for who comes this way.
    pub(crate) fn put_clock_ahead(&self, seconds: i64) {
        self.ahead.store(seconds, Relaxed);
    }

    /// Waits until the write has come.
    pub(crate) async fn shut(&self) {
        let mut shut = self.shut.clone();
        if shut.wait_for(|shut| *shut).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Passage {
    async fn pass(&self, request: Request<Body>) -> Result<Response, StatusCode> {
        let mut number = 0;
        if self.counts(&request) {
            number = self.writes.fetch_add(1, Relaxed) + 1;
        }
        let is_there = [End::Before(number), End::BeforeObject(number)].contains(&self.end);
        self.ends(is_there).await;
        let (mut head, body) = request.into_parts();
        // The door's, and not the API server's.
        head.headers.remove(HOST);
        let body = to_bytes(body, LARGEST).await;
        let body = body.map_err(|_| StatusCode::BAD_REQUEST)?.to_vec();
        let enters = |phase: &str| {
            let written = format!(r#"{{\"phase\":\"{phase}\""#);
            head.method == "PUT" && String::from_utf8_lossy(&body).contains(&written)
        };
        let is_entered = matches!(self.end, End::Entering(phase) if enters(phase));
        let tells_the_time = head.uri.path().ends_with("/selfsubjectreviews");
        let request = Request::from_parts(head, body.into());
        let answer = self.client.send(request).await;
        self.ends(is_entered || self.end == End::After(number))
            .await;
        let answer = answer.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let answer = answer.map(Body::new);
        if tells_the_time {
            return self
                .at_its_time(answer)
                .await
                .map_err(|_| StatusCode::BAD_GATEWAY);
        }
        Ok(answer)
    }

    /// The answer of an API server whose clock is another.
    async fn at_its_time(&self, answer: Response) -> Result<Response> {
        let (mut head, body) = answer.into_parts();
        let mut review: Value = serde_json::from_slice(&to_bytes(body, LARGEST).await?)?;
        let created = &mut review["metadata"]["creationTimestamp"];
        if let Some(Ok(time)) = created.as_str().map(str::parse::<Timestamp>) {
            let ahead = SignedDuration::from_secs(self.ahead.load(Relaxed));
            *created = (time + ahead).to_string().into();
        }
        head.headers.remove(CONTENT_LENGTH);
        Ok(Response::from_parts(head, review.to_string().into()))
    }

    async fn ends(&self, now: bool) {
        if now {
            self.shut.send_replace(true);
        }
        if *self.shut.borrow() {
            std::future::pending::<()>().await;
        }
    }

    fn counts(&self, request: &Request<Body>) -> bool {
        let path = request.uri().path();
        let kinds = match self.end {
            End::BeforeObject(_) => &["/secrets", "/configmaps"][..],
            _ => &["/secrets", "/configmaps", "/leases"],
        };
        request.method() != "GET" && kinds.iter().any(|kind| path.contains(kind))
    }
}
