//! The objects of a [`Feed`](super::Feed), and who watches them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Events that a watch may be behind by before those who write wait for it.
const WINDOW: usize = 64;
/// Events that a watch that comes back may have missed; further behind, it is told to list.
const LOG: usize = 4_096;

/// A kind of objects, as paths and as manifests spell it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    plural: &'static str,
    name: &'static str,
    api_version: &'static str,
}

impl Kind {
    pub(crate) const NODE: Self = Self::new("nodes", "Node", "v1");
    pub(crate) const SERVICE: Self = Self::new("services", "Service", "v1");
    pub(crate) const POD: Self = Self::new("pods", "Pod", "v1");
    pub(crate) const REPLICA_SET: Self = Self::new("replicasets", "ReplicaSet", "apps/v1");
    pub(crate) const SLICE: Self =
        Self::new("endpointslices", "EndpointSlice", "discovery.k8s.io/v1");

    const fn new(plural: &'static str, name: &'static str, api_version: &'static str) -> Self {
        Self {
            plural,
            name,
            api_version,
        }
    }
}

/// Objects of all kinds.
#[derive(Default)]
pub(crate) struct Store {
    /// The newest resourceVersion, and how many events there were.
    version: AtomicU64,
    kinds: Mutex<HashMap<String, Objects>>,
}

/// The objects of one kind.
#[derive(Default)]
struct Objects {
    /// As JSON, by namespace and name.
    objects: BTreeMap<(String, String), Bytes>,
    /// The newest events, by version.
    log: VecDeque<(u64, Bytes)>,
    watches: Vec<mpsc::Sender<Bytes>>,
}

impl Store {
    /// How many events there were.
    pub(crate) fn events(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Creates or replaces an object, which needs a name. `namespace` is empty for kinds that
    /// have none.
    pub(crate) async fn apply(&self, kind: Kind, namespace: &str, object: Value) {
        self.prepare(kind, namespace, object).send().await;
    }

    /// The same, but those who watch are not told yet.
    pub(crate) fn prepare(&self, kind: Kind, namespace: &str, mut object: Value) -> Prepared {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        object["apiVersion"] = json!(kind.api_version);
        object["kind"] = json!(kind.name);
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(version.to_string());
        if !namespace.is_empty() {
            metadata["namespace"] = json!(namespace);
        }
        let name = metadata["name"].as_str().unwrap_or_default().to_owned();
        let object = Bytes::from(object.to_string());
        let mut kinds = self.kinds();
        let objects = kinds.entry(kind.plural.to_owned()).or_default();
        let key = (namespace.to_owned(), name);
        let before = objects.objects.insert(key, object.clone());
        let what = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        objects.note(version, line(what, &object))
    }

    /// Deletes an object; nothing happens where there is none.
    pub(crate) async fn delete(&self, kind: Kind, namespace: &str, name: &str) {
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let noted = {
            let mut kinds = self.kinds();
            let objects = kinds.entry(kind.plural.to_owned()).or_default();
            let key = (namespace.to_owned(), name.to_owned());
            let gone = objects.objects.remove(&key);
            gone.map(|object| objects.note(version, line("DELETED", &object)))
        };
        if let Some(noted) = noted {
            noted.send().await;
        }
    }

    /// Tells every watch how far it is.
    pub(crate) async fn bookmark(&self) {
        let watches: Vec<_> = {
            let kinds = self.kinds();
            let watches = kinds.values().flat_map(|objects| &objects.watches);
            watches.cloned().collect()
        };
        let line = bookmark(self.events(), false);
        Prepared { line, watches }.send().await;
    }

    /// The events of one kind: everything there is and then what happens, or what happened since
    /// a version.
    pub(crate) fn watch(&self, plural: &str, since: Option<u64>) -> BoxStream<'static, Bytes> {
        let mut kinds = self.kinds();
        let objects = kinds.entry(plural.to_owned()).or_default();
        let first: Vec<Bytes> = match since {
            None => {
                let all = objects.objects.values().map(|object| line("ADDED", object));
                all.chain([bookmark(self.events(), true)]).collect()
            }
            Some(since) if objects.log.len() < LOG || objects.log[0].0 <= since => {
                let missed = objects.log.iter().filter(|(version, _)| *version > since);
                missed.map(|(_, line)| line.clone()).collect()
            }
            Some(_) => return stream::iter([expired()]).boxed(),
        };
        let (send, mut lines) = mpsc::channel(WINDOW);
        objects.watches.push(send);
        let lines = stream::poll_fn(move |cx| lines.poll_recv(cx));
        stream::iter(first).chain(lines).boxed()
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<String, Objects>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Objects {
    /// Keeps an event for a while.
    fn note(&mut self, version: u64, line: Bytes) -> Prepared {
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back((version, line.clone()));
        self.watches.retain(|watch| !watch.is_closed());
        Prepared {
            line,
            watches: self.watches.clone(),
        }
    }
}

/// An event, and who is to be told of it.
pub(crate) struct Prepared {
    line: Bytes,
    watches: Vec<mpsc::Sender<Bytes>>,
}

impl Prepared {
    /// Waits until all have room for it.
    pub(crate) async fn send(self) {
        for watch in self.watches {
            // One that has gone needs nothing.
            let _ = watch.send(self.line.clone()).await;
        }
    }
}

fn line(what: &str, object: &[u8]) -> Bytes {
    let start = format!("{{\"type\":\"{what}\",\"object\":");
    [start.as_bytes(), object, b"}\n"].concat().into()
}

fn bookmark(version: u64, ends_list: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if ends_list {
        metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
    }
    // Which kind it is says nothing, but it has to be there.
    let object = json!({"apiVersion": "v1", "kind": "Object", "metadata": metadata});
    line("BOOKMARK", object.to_string().as_bytes())
}

fn expired() -> Bytes {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410,
        "reason": "Expired", "message": "too old resource version",
    });
    line("ERROR", status.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Value {
        json!({"metadata": {"name": name}})
    }

    async fn next(watch: &mut BoxStream<'static, Bytes>) -> (String, String) {
        let line = watch.next().await.unwrap();
        let event: Value = serde_json::from_slice(&line).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&event["type"]),
            text(&event["object"]["metadata"]["name"]),
        )
    }

    fn event(what: &str, name: &str) -> (String, String) {
        (what.to_owned(), name.to_owned())
    }

    #[tokio::test]
    async fn a_list_is_everything_and_then_what_happens() {
        let store = Store::default();
        store.apply(Kind::POD, "ns", pod("a")).await;
        let mut list = store.watch("pods", None);
        store.apply(Kind::POD, "ns", pod("a")).await;
        store.apply(Kind::POD, "ns", pod("b")).await;
        store.delete(Kind::POD, "ns", "a").await;
        store.delete(Kind::POD, "ns", "a").await;
        for expected in [
            event("ADDED", "a"),
            event("BOOKMARK", ""),
            event("MODIFIED", "a"),
            event("ADDED", "b"),
            event("DELETED", "a"),
        ] {
            assert_eq!(next(&mut list).await, expected);
        }
    }

    #[tokio::test]
    async fn a_watch_goes_on_where_it_was_or_is_told_to_list() {
        let store = Store::default();
        for name in ["a", "b"] {
            store.apply(Kind::POD, "ns", pod(name)).await;
        }
        let mut watch = store.watch("pods", Some(1));
        assert_eq!(next(&mut watch).await, event("ADDED", "b"));
        drop(watch);
        for _ in 0..=LOG {
            store.apply(Kind::POD, "ns", pod("c")).await;
        }
        let mut watch = store.watch("pods", Some(1));
        assert_eq!(next(&mut watch).await, event("ERROR", ""));
    }
}
