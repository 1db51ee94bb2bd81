//! When what the API server serves has changed: kinds that it lacks are then asked for
//! again.

use super::backoff::{LONGEST, jitter};
use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT, ETAG, IF_NONE_MATCH},
};
use kube::{Client, client::Body, core::discovery::v2::ACCEPT_AGGREGATED_DISCOVERY_V2};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// All kinds in one document, where the server has it (Kubernetes 1.27 and later). It
/// has a tag, and the answer is 304 while it is as it was. Everybody who is
/// authenticated may read it.
const EVERYTHING: &str = "/apis";
/// How often it is asked for at least, while there is a kind that is not served.
const POLL: Duration = Duration::from_secs(5);
/// A server that does not answer for so long is asked again.
const ANSWER: Duration = Duration::from_secs(30);
/// How often a kind that is not served is asked for at least, whatever that document
/// says: it may be one server's of several, and another's request.
const RAREST: Duration = Duration::from_secs(60);

/// What the API server serves, as a tag.
pub(super) struct Served {
    client: Client,
    /// `None` where the server does not tell.
    tag: watch::Sender<Option<HeaderValue>>,
    /// How many kinds wait to be served.
    waiting: watch::Sender<usize>,
}

/// A kind's view of it.
pub(super) struct Arrivals {
    served: Arc<Served>,
    tag: watch::Receiver<Option<HeaderValue>>,
}

impl Served {
    pub(super) fn new(client: Client) -> Arc<Self> {
        Arc::new(Self {
            client,
            tag: watch::Sender::default(),
            waiting: watch::Sender::default(),
        })
    }

    pub(super) fn arrivals(self: &Arc<Self>) -> Arrivals {
        Arrivals {
            served: self.clone(),
            tag: self.tag.subscribe(),
        }
    }

    /// Asks whenever somebody waits; never ends.
    pub(super) async fn run(self: Arc<Self>) {
        let mut waiting = self.waiting.subscribe();
        while waiting.wait_for(|count| *count > 0).await.is_ok() {
            self.ask().await;
            sleep(jitter(POLL)).await;
        }
    }

    async fn ask(&self) {
        let known = self.tag.borrow().clone();
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = http::Uri::from_static(EVERYTHING);
        let headers = request.headers_mut();
        let aggregated = HeaderValue::from_static(ACCEPT_AGGREGATED_DISCOVERY_V2);
        headers.insert(ACCEPT, aggregated);
        if let Some(tag) = known {
            headers.insert(IF_NONE_MATCH, tag);
        }
        // What the document says is not read: those who wait ask for themselves. A
        // server that is away says nothing about what it serves.
        let Ok(Ok(response)) = timeout(ANSWER, self.client.send(request)).await else {
            return;
        };
        if response.status() == StatusCode::NOT_MODIFIED {
            return;
        }
        let tag = response.headers().get(ETAG);
        let tag = tag.filter(|_| response.status().is_success()).cloned();
        self.tag.send_if_modified(|known| {
            let is_new = *known != tag;
            *known = tag;
            is_new
        });
    }
}

impl Arrivals {
    /// The longest wait between two requests for a kind that is not served.
    pub(super) fn rarest(&self) -> Duration {
        match *self.tag.borrow() {
            Some(_) => RAREST,
            // Nobody would say that it has come.
            None => LONGEST,
        }
    }

    /// Waits until the server serves something else than when this last returned true,
    /// but no longer than this. Whether it does.
    pub(super) async fn changed_within(&mut self, longest: Duration) -> bool {
        let _waiting = Waiting::begin(&self.served.waiting);
        let changed = timeout(longest, self.tag.changed()).await;
        changed.is_ok_and(|changed| changed.is_ok())
    }
}

/// One who waits, also if the wait is given up.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn begin(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
