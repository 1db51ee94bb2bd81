//! Objects as JSON: what is sent is what stands in the test.

use anyhow::{Context as _, ensure};
use ferrule_test_cluster::PATIENCE;
use http::{Request, StatusCode, header::CONTENT_TYPE};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// What an API server answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) object: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    /// The object, or why there is none.
    pub(crate) fn stored(self) -> anyhow::Result<Self> {
        ensure!(
            self.status.is_success(),
            "{}: {}",
            self.status,
            self.object["message"]
        );
        Ok(self)
    }

    pub(crate) fn message(&self) -> &str {
        self.object["message"].as_str().unwrap_or_default()
    }
}

/// Asks for anything; refusals are answers.
pub(crate) async fn ask(
    client: &Client,
    method: &str,
    path: &str,
    content_type: &str,
    body: &Value,
) -> anyhow::Result<Answer> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header(CONTENT_TYPE, content_type);
    let body = match body {
        Value::Null => Vec::new(),
        body => serde_json::to_vec(body)?,
    };
    let response = client.send(request.body(Body::from(body))?).await?;
    let (head, body) = response.into_parts();
    let warnings = head.headers.get_all("warning").iter();
    let warnings = warnings.map(|value| Ok(value.to_str()?.to_owned()));
    let body = body.collect_bytes().await?;
    Ok(Answer {
        status: head.status,
        object: serde_json::from_slice(&body).context("an answer that is JSON")?,
        warnings: warnings.collect::<anyhow::Result<_>>()?,
    })
}

/// Creates an object, or fails.
pub(crate) async fn create(client: &Client, path: &str, object: &Value) -> anyhow::Result<Answer> {
    let answer = ask(client, "POST", path, "application/json", object).await?;
    answer.stored().with_context(|| format!("POST {path}"))
}

/// Objects by path.
#[derive(Clone)]
pub(crate) struct Objects(pub(crate) Client);

impl Objects {
    /// Creates an object, unless there is one.
    pub(crate) async fn ensure(&self, path: &str, object: &Value) -> anyhow::Result<()> {
        let answer = ask(&self.0, "POST", path, "application/json", object).await?;
        if answer.status != StatusCode::CONFLICT {
            answer.stored().with_context(|| format!("POST {path}"))?;
        }
        Ok(())
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        ask(&self.0, "GET", path, "application/json", &Value::Null).await
    }

    pub(crate) async fn delete(&self, path: &str) -> anyhow::Result<()> {
        ask(&self.0, "DELETE", path, "application/json", &Value::Null).await?;
        Ok(())
    }

    pub(crate) async fn merge(&self, path: &str, patch: &Value) -> anyhow::Result<()> {
        let merge = "application/merge-patch+json";
        ask(&self.0, "PATCH", path, merge, patch).await?.stored()?;
        Ok(())
    }

    /// The items of a list, once they are as wanted.
    pub(crate) async fn until(
        &self,
        path: &str,
        patience: Duration,
        wanted: impl Fn(&[Value]) -> bool,
    ) -> anyhow::Result<Vec<Value>> {
        let deadline = Instant::now() + patience;
        loop {
            let list = self.get(path).await?.stored()?.object;
            let items = list["items"].as_array().context("a list")?;
            if wanted(items) {
                return Ok(items.clone());
            }
            ensure!(Instant::now() < deadline, "{path}: {list:#}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A namespace that may have pods, with annotations and labels.
    pub(crate) async fn namespace(
        &self,
        name: &str,
        annotations: &Value,
        labels: &Value,
    ) -> anyhow::Result<()> {
        let metadata = json!({"name": name, "annotations": annotations, "labels": labels});
        let path = "/api/v1/namespaces";
        self.ensure(path, &json!({"metadata": metadata})).await?;
        let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
        let has_default = |items: &[Value]| {
            items
                .iter()
                .any(|account| account["metadata"]["name"] == "default")
        };
        self.until(&accounts, PATIENCE, has_default).await?;
        Ok(())
    }
}

/// A container that is like any other.
pub(crate) fn container() -> Value {
    json!({"name": "web", "image": "web:1", "ports": [{"containerPort": 80}]})
}

/// A pod with these annotations.
pub(crate) fn pod(name: &str, annotations: &Value) -> Value {
    json!({
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [container()]},
    })
}

/// Names of a pod's init containers.
pub(crate) fn init_containers(pod: &Value) -> Vec<&str> {
    let containers = pod["spec"]["initContainers"].as_array();
    let names = containers.into_iter().flatten();
    names
        .filter_map(|container| container["name"].as_str())
        .collect()
}

/// Whether it has a proxy, natively.
pub(crate) fn is_injected(pod: &Value) -> bool {
    init_containers(pod).contains(&"linkerd-proxy")
}
