//! Writes to the API server, in bulk: JSON out, and of the answers only what is needed.

use anyhow::{Context as _, Result};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use http::{Method, Request};
use kube::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How many requests are under way at a time: enough to keep two cores busy.
pub(crate) const CONCURRENCY: usize = 48;

/// A client for paths and JSON.
#[derive(Clone)]
pub(crate) struct Requests(Client);

/// What is read of an object the server answers with.
#[derive(Debug, Deserialize)]
pub(crate) struct Stored {
    metadata: StoredMetadata,
}

#[derive(Debug, Deserialize)]
struct StoredMetadata {
    uid: String,
}

impl Stored {
    pub(crate) fn uid(self) -> String {
        self.metadata.uid
    }
}

impl Requests {
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Creates an object in the collection `path`.
    pub(crate) async fn post(&self, path: &str, object: &Value) -> Result<Stored> {
        self.ask(path, object).await
    }

    /// What the API server makes of an object that is not kept.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, path: &str, object: &Value) -> Result<T> {
        let text = self.send(Method::POST, path, "json", object).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Changes an object by a JSON merge patch.
    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> Result<()> {
        let kind = "merge-patch+json";
        self.send(Method::PATCH, path, kind, patch).await.map(drop)
    }

    /// Changes an object by a JSON patch.
    pub(crate) async fn patch(&self, path: &str, patch: &Value) -> Result<()> {
        let kind = "json-patch+json";
        self.send(Method::PATCH, path, kind, patch).await.map(drop)
    }

    /// Creates an object, or makes it what is given, as `kubectl apply --server-side` does.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Result<()> {
        let path = format!("{path}?fieldManager=bench&force=true");
        // JSON is YAML.
        let kind = "apply-patch+yaml";
        self.send(Method::PATCH, &path, kind, object)
            .await
            .map(drop)
    }

    /// Deletes an object, within `seconds`: at once where that is 0.
    pub(crate) async fn delete(&self, path: &str, seconds: u32) -> Result<()> {
        let options = json!({"gracePeriodSeconds": seconds});
        self.send(Method::DELETE, path, "json", &options)
            .await
            .map(drop)
    }

    /// An object as text.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        let request = Request::get(path).body(Vec::new())?;
        let answer = self.0.request_text(request).await;
        answer.with_context(|| format!("GET {path}"))
    }

    async fn send(&self, method: Method, path: &str, kind: &str, body: &Value) -> Result<String> {
        let context = format!("{method} {path}");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", format!("application/{kind}"))
            .body(serde_json::to_vec(body)?)?;
        self.0.request_text(request).await.context(context)
    }
}

/// Does `work` for each item, many at a time; the results are in the items' order.
pub(crate) async fn for_all<I, T, F>(
    items: impl IntoIterator<Item = I>,
    work: impl Fn(I) -> F,
) -> Result<Vec<T>>
where
    F: Future<Output = Result<T>>,
{
    stream::iter(items.into_iter().map(work))
        .buffered(CONCURRENCY)
        .try_collect()
        .await
}
