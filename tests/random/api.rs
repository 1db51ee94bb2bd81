//! Requests to an API server that comes and goes.

use anyhow::Context as _;
use http::{Method, Request};
use kube::Client;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::sleep;

/// The API server says so while it starts, or when somebody else wrote.
const RETRIES: usize = 20;

/// Makes the object what is said, whether or not it is there.
pub(crate) async fn apply(client: &Client, path: &str, object: &Value) -> anyhow::Result<()> {
    let path = format!("{path}?fieldManager=random&force=true");
    send(
        client,
        Method::PATCH,
        &path,
        "application/apply-patch+yaml",
        object,
    )
    .await
}

pub(crate) async fn delete(client: &Client, path: &str) -> anyhow::Result<()> {
    // There is no kubelet to say that a pod has ended.
    let options = json!({"gracePeriodSeconds": 0});
    send(client, Method::DELETE, path, "application/json", &options).await
}

pub(crate) async fn send(
    client: &Client,
    method: Method,
    path: &str,
    content: &str,
    body: &Value,
) -> anyhow::Result<()> {
    for attempt in 1.. {
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .header("content-type", content)
            .body(serde_json::to_vec(body)?)?;
        match client.request::<Value>(request).await {
            Ok(_) => break,
            Err(kube::Error::Api(status)) if status.code == 404 && method == Method::DELETE => {
                break;
            }
            // A status of a pod that has been deleted meanwhile cannot be written.
            Err(error) if attempt == RETRIES => {
                return Err(error).with_context(|| format!("{method} {path} {body}"));
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 422) => {
                anyhow::bail!("{method} {path} {body}: {status:?}");
            }
            Err(_) => sleep(Duration::from_millis(200)).await,
        }
    }
    Ok(())
}
