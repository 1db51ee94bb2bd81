//! `ferrule identity certificate`: what a workload shows to its peers.

use super::{Certificate, HEADER, row};
use crate::{
    Error,
    output::{self, Format},
};
use clap::Args;
use ferrule_identity::TrustAnchors;
use jiff::Timestamp;
use rustls::{
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use serde_json::json;
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::time::timeout;

pub(super) const EXAMPLES: &str = "\
The address is that of a proxy's inbound port (4143) or of a control plane's listener;
the name is the identity that is asked for, which a proxy answers to. The certificate
is shown whether or not it is good; that it is not is said, with exit code 1.

Examples:
  kubectl port-forward -n shop web-0 4143 &
  ferrule identity certificate 127.0.0.1:4143 \\
      --name web.shop.serviceaccount.identity.linkerd.cluster.local \\
      --trust-anchors ca-bundle.crt";

const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Workload {
    /// Where it is reached: HOST:PORT
    addr: String,

    /// Its identity
    #[arg(long, value_name = "NAME")]
    name: String,

    /// What its certificate is to chain to, PEM [default: it is not verified]
    #[arg(long, value_name = "FILE")]
    trust_anchors: Option<PathBuf>,

    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

impl Workload {
    pub(super) async fn run(self) -> Result<(), Error> {
        let anchors = self.anchors()?;
        let name = ServerName::try_from(self.name.clone());
        let name = name.map_err(|error| self.failed(format!("{:?}: {error}", self.name)))?;
        let shown = timeout(PATIENCE, ferrule_identity::dial(&self.addr, name.clone())).await;
        let shown = shown
            .map_err(io::Error::from)
            .flatten()
            .map_err(|error| self.failed(error.to_string()))?;
        let read = shown
            .iter()
            .map(|der| ferrule_identity::Certificate::from_der(der));
        let chain: Result<Vec<_>, _> = read.collect();
        let chain = chain.map_err(|error| self.failed(error.to_string()))?;
        let problem = anchors.and_then(|anchors| verify(&shown, &anchors, &name).err());
        let chain: Vec<_> = chain.iter().map(Certificate::of).collect();
        match self.output {
            Format::Json => output::print_json(&json!({"chain": chain, "problem": problem}))?,
            Format::Table => {
                let kinds = std::iter::once("leaf").chain(std::iter::repeat("issuer"));
                let now = Timestamp::now();
                let rows = kinds.zip(&chain);
                let rows = rows.map(|(kind, one)| row(kind, &one.subject, Some(one), now));
                output::print(&output::table(Some(&HEADER), rows))?;
            }
        }
        match problem {
            None => Ok(()),
            Some(problem) => Err(self.failed(format!("its peers refuse it: {problem}"))),
        }
    }

    fn anchors(&self) -> Result<Option<TrustAnchors>, Error> {
        let Some(path) = &self.trust_anchors else {
            return Ok(None);
        };
        let unreadable = |reason: String| Error::Unreadable {
            name: path.display().to_string(),
            reason,
        };
        let pem = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let anchors = TrustAnchors::from_pem(&pem);
        Ok(Some(
            anchors.map_err(|error| unreadable(error.to_string()))?,
        ))
    }

    fn failed(&self, reason: String) -> Error {
        Error::Workload {
            addr: self.addr.clone(),
            reason,
        }
    }
}

/// As a proxy does, and as an API server does with webhooks.
pub(crate) fn verify(
    chain: &[CertificateDer<'_>],
    anchors: &TrustAnchors,
    name: &ServerName<'_>,
) -> Result<(), String> {
    let (leaf, parents) = chain.split_first().ok_or("it shows none")?;
    let verifier = WebPkiServerVerifier::builder(Arc::new(anchors.root_store()));
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    let verified = verifier.verify_server_cert(leaf, parents, name, &[], UnixTime::now());
    verified.map(drop).map_err(|error| error.to_string())
}
