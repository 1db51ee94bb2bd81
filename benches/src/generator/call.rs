//! One gRPC call, down to its body.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, Request};

/// Sends the one request of a call of `path`. What comes back is the body, if the server did
/// not refuse.
pub(super) async fn call(
    send: SendRequest<Bytes>,
    path: &str,
    request: Bytes,
) -> Result<RecvStream, String> {
    let failed = |error: h2::Error| error.to_string();
    // The scheme is http over TLS, too.
    let head = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| error.to_string())?;
    let mut send = send.ready().await.map_err(failed)?;
    let (response, mut body) = send.send_request(head, false).map_err(failed)?;
    body.send_data(request, true).map_err(failed)?;
    let response = response.await.map_err(failed)?;
    let status = status(response.headers());
    if !response.status().is_success() || status.is_some() {
        return Err(format!("HTTP {}, {status:?}", response.status()));
    }
    Ok(response.into_body())
}

/// `grpc-status` and `grpc-message`.
pub(super) fn status(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let code = text("grpc-status")?;
    Some(format!("{code} {}", text("grpc-message").unwrap_or("")))
}

/// Whether trailers say that all went well.
pub(super) fn is_ok(trailers: Option<&HeaderMap>) -> bool {
    let status = trailers.and_then(|trailers| trailers.get("grpc-status"));
    status.is_some_and(|status| status == "0")
}
