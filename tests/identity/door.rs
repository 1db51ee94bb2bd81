//! A way to the API server that ends at a write.

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode, header::HOST},
    response::Response,
};
use kube::Client;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
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
}

/// A plaintext proxy before the API server. Writes of Secrets, ConfigMaps and Leases are
/// counted: between these nothing changes, so whoever is killed between any two requests is
/// killed before one of them or after one.
pub(crate) struct Door {
    kubeconfig: PathBuf,
    shut: watch::Receiver<bool>,
    _end: DropGuard,
}

struct Passage {
    client: Client,
    end: End,
    writes: AtomicUsize,
    shut: watch::Sender<bool>,
}

impl Door {
    /// One for whoever uses the kubeconfig that is put into `folder`; it asks as `client`
    /// does.
    pub(crate) async fn open(client: &Client, folder: &Path, end: End) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let server = listener.local_addr()?;
        let (shut, shuts) = watch::channel(false);
        let passage = Arc::new(Passage {
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
            shut: shuts,
            _end: stop.drop_guard(),
        })
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
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
        if is_write(&request) {
            number = self.writes.fetch_add(1, Relaxed) + 1;
        }
        self.ends(self.end == End::Before(number)).await;
        let (mut head, body) = request.into_parts();
        // The door's, and not the API server's.
        head.headers.remove(HOST);
        let body = to_bytes(body, LARGEST).await;
        let body = body.map_err(|_| StatusCode::BAD_REQUEST)?.to_vec();
        let request = Request::from_parts(head, body.into());
        let answer = self.client.send(request).await;
        self.ends(self.end == End::After(number)).await;
        let answer = answer.map_err(|_| StatusCode::BAD_GATEWAY)?;
        Ok(answer.map(Body::new))
    }

    async fn ends(&self, now: bool) {
        if now {
            self.shut.send_replace(true);
        }
        if *self.shut.borrow() {
            std::future::pending::<()>().await;
        }
    }
}

fn is_write(request: &Request<Body>) -> bool {
    let path = request.uri().path();
    let kinds = ["/secrets", "/configmaps", "/leases"];
    request.method() != "GET" && kinds.iter().any(|kind| path.contains(kind))
}
