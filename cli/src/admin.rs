//! Questions to the admin listener of a running Ferrule.

use crate::{
    Error,
    api::{ANSWER_TIMEOUT, CONNECT_TIMEOUT, root_cause},
    api_addr::ApiAddr,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::{io, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// The longest answer that is read: hundreds of certificates are well below it.
const MAX_ANSWER: usize = 4 << 20;
/// The longest answer about a whole cluster: a million objects.
const MAX_CLUSTER: usize = 128 << 20;
/// How long that may take.
const CLUSTER_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest refusal that is shown.
const MAX_REASON: usize = 300;

/// The body that is served at `path`.
pub(crate) async fn get(addr: &ApiAddr, path: &'static str) -> Result<Bytes, Error> {
    fetch(addr, path, "", MAX_ANSWER, ANSWER_TIMEOUT).await
}

/// A body that is as large as the cluster: `path` with a query.
pub(crate) async fn get_all(
    addr: &ApiAddr,
    path: &'static str,
    query: &str,
) -> Result<Bytes, Error> {
    fetch(addr, path, query, MAX_CLUSTER, CLUSTER_TIMEOUT).await
}

async fn fetch(
    addr: &ApiAddr,
    path: &'static str,
    query: &str,
    limit: usize,
    patience: Duration,
) -> Result<Bytes, Error> {
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(addr.as_str())).await;
    let stream = connected
        .map_err(io::Error::from)
        .flatten()
        .map_err(|error| Error::connect(addr, error.to_string()))?;
    let fail = |reason| Error::Admin {
        addr: addr.to_string(),
        path,
        reason,
    };
    let target = match query {
        "" => path.to_owned(),
        query => format!("{path}?{query}"),
    };
    let answer = timeout(patience, ask(stream, addr, &target, limit)).await;
    let (status, body) = answer
        .map_err(|_| fail("it does not answer".to_owned()))?
        .map_err(fail)?;
    match status {
        StatusCode::OK => Ok(body),
        // No Ferrule, or one from before there was such a page.
        StatusCode::NOT_FOUND => Err(fail("it knows no such page".to_owned())),
        status => {
            let text = String::from_utf8_lossy(&body);
            let text: String = text.trim().chars().take(MAX_REASON).collect();
            Err(fail(format!("{status}: {text}")))
        }
    }
}

async fn ask(
    stream: TcpStream,
    addr: &ApiAddr,
    target: &str,
    limit: usize,
) -> Result<(StatusCode, Bytes), String> {
    let request = Request::get(target)
        .header(header::HOST, addr.as_str())
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let no_http =
        |error: hyper::Error| format!("it does not speak HTTP/1 ({})", root_cause(&error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(no_http)?;
    // Its error is the request's, too.
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(no_http)?;
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, limit).collect().await;
    let body = body.map_err(|error| format!("its answer cannot be read: {error}"))?;
    connection.abort();
    Ok((head.status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// What is made of a server that answers with these bytes, and what it was
    /// asked.
    async fn answered(bytes: &'static [u8]) -> (Result<Bytes, Error>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap().to_string();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 1024];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(bytes).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        };
        let addr = addr.parse().unwrap();
        tokio::join!(get(&addr, "/debug/identity"), serve)
    }

    #[tokio::test]
    async fn a_page_is_what_the_listener_serves() {
        let (body, asked) = answered(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        assert_eq!(body.unwrap(), "{}");
        assert!(
            asked.starts_with("GET /debug/identity HTTP/1.1\r\nhost: 127.0.0.1:"),
            "{asked}"
        );
    }

    #[tokio::test]
    async fn whoever_is_no_admin_listener_is_told_apart() {
        for (answer, reason) in [
            (
                &b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"[..],
                "does not tell /debug/identity: it knows no such page\n",
            ),
            (
                b"HTTP/1.1 403 Forbidden\r\ncontent-length: 26\r\n\r\nonly for peers over there\n",
                "403 Forbidden: only for peers over there\n",
            ),
            // What a gRPC listener says first: a SETTINGS frame.
            (b"\0\0\0\x04\0\0\0\0\0", "it does not speak HTTP/1"),
            (b"", "it does not speak HTTP/1"),
        ] {
            let (body, _) = answered(answer).await;
            let text = body.unwrap_err().to_string();
            assert!(text.contains(reason), "{reason}: {text}");
            assert!(text.contains("--api-addr"), "{text}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_said() {
        let addr = "127.0.0.1:1".parse().unwrap();
        let error = get(&addr, "/debug/identity").await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot connect to 127.0.0.1:1: "),
            "{error}"
        );
    }
}
