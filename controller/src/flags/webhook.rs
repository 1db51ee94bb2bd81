//! The webhooks' listener.

use super::values::address;
use clap::Args;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Where the chart mounts a Secret of type `kubernetes.io/tls`.
const TLS_DIR: &str = "/var/run/linkerd/tls";

/// What API servers call before they store an object.
#[derive(Debug, Args)]
#[command(next_help_heading = "Webhooks")]
pub(crate) struct WebhookFlags {
    /// The webhooks, HTTPS: /validate/profile with the role destination,
    /// /validate/policy with the role policy [default: 0.0.0.0:8443, with --manifests
    /// 127.0.0.1:8443]
    #[arg(long, env = "FERRULE_WEBHOOK_ADDR", value_name = "IP:PORT", value_parser = address)]
    pub(crate) webhook_addr: Option<SocketAddr>,

    /// The directory of the webhooks' certificate and key, tls.crt and tls.key;
    /// followed. Without it there are no webhooks [default: /var/run/linkerd/tls,
    /// where that exists; with --manifests, none]
    #[arg(long, env = "FERRULE_WEBHOOK_TLS_DIR", value_name = "DIR")]
    pub(crate) webhook_tls_dir: Option<PathBuf>,
}

impl WebhookFlags {
    /// The directory of the certificate, if there are to be webhooks.
    pub(crate) fn tls_dir(&self, embedded: bool) -> Option<PathBuf> {
        match &self.webhook_tls_dir {
            Some(directory) => Some(directory.clone()),
            None if embedded => None,
            None if Path::new(TLS_DIR).is_dir() => Some(TLS_DIR.into()),
            None => {
                tracing::info!(
                    "there are no webhooks: {TLS_DIR} does not exist and --webhook-tls-dir names \
                     no other directory of a certificate"
                );
                None
            }
        }
    }
}
