//! The connection to a running Ferrule.

use crate::{Error, diagnostics::Ask};
use ferrule_proto::destination::{
    DestinationProfile, GetDestination, Update, destination_client::DestinationClient,
};
use std::{error, fmt, str::FromStr, time::Duration};
use tonic::{
    Response, Status, Streaming,
    transport::{Channel, Endpoint},
};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a call may go unanswered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a watch makes sure that the server is still there, and how long it
/// waits for the sign.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// `HOST:PORT` of a destination API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiAddr(String);

/// Why a text is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:PORT, such as 127.0.0.1:8086")]
pub(crate) struct ApiAddrError;

impl FromStr for ApiAddr {
    type Err = ApiAddrError;

    fn from_str(text: &str) -> Result<Self, ApiAddrError> {
        let addr = text.strip_prefix("http://").unwrap_or(text);
        let addr = addr.strip_suffix('/').unwrap_or(addr);
        let authority: tonic::codegen::http::uri::Authority =
            addr.parse().map_err(|_| ApiAddrError)?;
        if authority.port_u16().is_none_or(|port| port == 0) || authority.host().is_empty() {
            return Err(ApiAddrError);
        }
        Ok(Self(addr.to_owned()))
    }
}

impl fmt::Display for ApiAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A destination API that answered at least once. Lost connections are made
/// again by the next call.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    client: DestinationClient<Channel>,
    token: String,
}

impl Api {
    pub(crate) async fn connect(ask: &Ask) -> Result<Self, Error> {
        let cannot = |error: tonic::transport::Error| Error::Connect {
            addr: ask.api_addr.to_string(),
            reason: root_cause(&error),
        };
        let channel = Endpoint::from_shared(format!("http://{}", ask.api_addr))
            .map_err(cannot)?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .connect()
            .await
            .map_err(cannot)?;
        Ok(Self {
            client: DestinationClient::new(channel),
            token: ask.token.clone(),
        })
    }

    pub(crate) async fn get(self, authority: String) -> Result<Streaming<Update>, Status> {
        let (mut client, request) = self.request(authority);
        answered(client.get(request)).await
    }

    pub(crate) async fn get_profile(
        self,
        authority: String,
    ) -> Result<Streaming<DestinationProfile>, Status> {
        let (mut client, request) = self.request(authority);
        answered(client.get_profile(request)).await
    }

    fn request(self, authority: String) -> (DestinationClient<Channel>, GetDestination) {
        let request = GetDestination {
            path: authority,
            context_token: self.token,
            ..GetDestination::default()
        };
        (self.client, request)
    }
}

async fn answered<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

/// The innermost error: what the system says, without the layers around it.
fn root_cause(error: &dyn error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_address_is_a_host_and_a_port() {
        for (text, addr) in [
            ("127.0.0.1:8086", Some("127.0.0.1:8086")),
            (
                "http://linkerd-dst.linkerd:8086/",
                Some("linkerd-dst.linkerd:8086"),
            ),
            ("[::1]:8086", Some("[::1]:8086")),
            ("localhost", None),
            (":8086", None),
            ("localhost:0", None),
            ("localhost:port", None),
            ("https://localhost:8086", None),
            ("", None),
        ] {
            let parsed = text.parse::<ApiAddr>().ok().map(|addr| addr.to_string());
            assert_eq!(parsed.as_deref(), addr, "{text}");
        }
    }
}
