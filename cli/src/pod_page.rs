//! Pages that pods serve, by way of the API server: nobody has to reach pods for it.

use crate::api::root_cause;
use kube::Client;
use std::time::Duration;
use tokio::time::timeout;

/// Why a page was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreached {
    /// The user may not `get pods/proxy`.
    #[error("you may not get pods/proxy")]
    Forbidden,
    /// The API server waits for who cannot be reached.
    #[error("the API server did not reach it within {0:?}")]
    Late(Duration),
    /// What the API server, or the pod, says.
    #[error("{0}")]
    Failed(String),
}

/// The page at `path`, which begins with `/`, of a port of a pod.
pub(crate) async fn page(
    client: &Client,
    namespace: &str,
    pod: &str,
    port: u16,
    path: &str,
    patience: Duration,
) -> Result<String, Unreached> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}");
    let request = http::Request::get(path).body(Vec::new());
    let request = request.map_err(|error| Unreached::Failed(error.to_string()))?;
    match timeout(patience, client.request_text(request)).await {
        Err(_) => Err(Unreached::Late(patience)),
        Ok(Ok(text)) => Ok(text),
        Ok(Err(kube::Error::Api(status))) if status.code == 403 => Err(Unreached::Forbidden),
        Ok(Err(kube::Error::Api(status))) => Err(Unreached::Failed(status.message.clone())),
        Ok(Err(error)) => Err(Unreached::Failed(root_cause(&error))),
    }
}
