//! Whom to ask.

use clap::Args;
use std::{fmt, str::FromStr};

/// Who is asked unless told otherwise: the admin listener of a Ferrule on this
/// machine (`serve --admin-addr`). It serves all of the proxies' API in plaintext
/// to peers on the same machine, whatever the other listeners ask of clients.
pub const DEFAULT_API_ADDR: &str = "127.0.0.1:9990";

/// Where a Ferrule answers.
#[derive(Debug, Args)]
pub(crate) struct ServerFlags {
    /// A Ferrule's admin listener, or any listener of its API that is plaintext
    #[arg(
        long,
        env = "FERRULE_API_ADDR",
        value_name = "HOST:PORT",
        default_value = DEFAULT_API_ADDR
    )]
    pub(crate) api_addr: ApiAddr,
}

/// `HOST:PORT` of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiAddr(String);

/// Why a text is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected HOST:PORT, such as {DEFAULT_API_ADDR}")]
pub(crate) struct ApiAddrError;

impl ApiAddr {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_api_address_is_a_host_and_a_port() {
        for (text, addr) in [
            (DEFAULT_API_ADDR, Some(DEFAULT_API_ADDR)),
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
