//! The webhooks' listener and its certificate.

use super::values::address;
use crate::webhooks::Lifetimes;
use anyhow::ensure;
use clap::{Args, ValueEnum};
use ferrule_cli::duration;
use rustls::pki_types::ServerName;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where the chart mounts a Secret of type `kubernetes.io/tls`.
const TLS_DIR: &str = "/var/run/linkerd/tls";
/// Every pod that may ask its API server has this.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The Services that API servers call webhooks by.
const SERVICES: [&str; 3] = [
    "linkerd-proxy-injector",
    "linkerd-sp-validator",
    "linkerd-policy-validator",
];

/// What API servers call before they store an object.
#[derive(Debug, Args)]
#[command(next_help_heading = "Webhooks")]
pub(crate) struct WebhookFlags {
    /// The webhooks, HTTPS: /inject with the role proxy-injector, /validate/profile
    /// with the role destination, /validate/policy with the role policy [default:
    /// 0.0.0.0:8443, with --manifests
    /// 127.0.0.1:8443]
    #[arg(long, env = "FERRULE_WEBHOOK_ADDR", value_name = "IP:PORT", value_parser = address)]
    pub(crate) webhook_addr: Option<SocketAddr>,

    /// Where their certificate comes from
    #[arg(
        long,
        env = "FERRULE_WEBHOOK_CERTIFICATES",
        value_enum,
        value_name = "SOURCE",
        default_value = "auto"
    )]
    webhook_certificates: Source,

    /// The directory of the certificate and key, tls.crt and tls.key; followed
    /// [default: /var/run/linkerd/tls]
    #[arg(long, env = "FERRULE_WEBHOOK_TLS_DIR", value_name = "DIR")]
    webhook_tls_dir: Option<PathBuf>,

    /// With a certificate from files: write the certificates in this file, PEM, into
    /// the webhook configurations as caBundle [default: leave them to others]
    #[arg(long, env = "FERRULE_WEBHOOK_CA_BUNDLE", value_name = "FILE")]
    pub(crate) webhook_ca_bundle: Option<PathBuf>,

    /// DNS names or addresses that managed certificates are for, beside the Services'
    /// (linkerd-proxy-injector.NAMESPACE.svc and so on), separated by commas
    #[arg(
        long,
        env = "FERRULE_WEBHOOK_NAMES",
        value_delimiter = ',',
        value_name = "NAMES",
        value_parser = server_name
    )]
    webhook_names: Vec<ServerName<'static>>,

    /// How long a managed authority is good for; it is replaced after two thirds of it
    #[arg(long, env = "FERRULE_WEBHOOK_CA_LIFETIME", value_name = "DURATION", default_value = "87600h", value_parser = duration)]
    webhook_ca_lifetime: Duration,

    /// How long a managed certificate is good for; it is replaced after two thirds of it
    #[arg(long, env = "FERRULE_WEBHOOK_CERT_LIFETIME", value_name = "DURATION", default_value = "2160h", value_parser = duration)]
    webhook_cert_lifetime: Duration,
}

/// Where the webhooks' certificate may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    /// Files where their directory exists; else managed, with the role proxy-injector
    /// or in a pod; else there are no webhooks
    Auto,
    /// Made and renewed by Ferrule, which also writes caBundle
    Managed,
    /// Files that somebody else renews
    Files,
    /// There are no webhooks
    None,
}

/// Where the webhooks' certificate comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CertificateSource {
    /// Files in this directory.
    Files(PathBuf),
    /// Our own authority.
    Managed,
}

impl WebhookFlags {
    /// Where the certificate comes from, if there are to be webhooks.
    pub(crate) fn certificates(&self, embedded: bool, needed: bool) -> Option<CertificateSource> {
        let files = || {
            let directory = self.webhook_tls_dir.clone();
            CertificateSource::Files(directory.unwrap_or_else(|| TLS_DIR.into()))
        };
        match self.webhook_certificates {
            Source::Managed => Some(CertificateSource::Managed),
            Source::Files => Some(files()),
            Source::None => None,
            Source::Auto if self.webhook_tls_dir.is_some() => Some(files()),
            Source::Auto if embedded => None,
            Source::Auto if Path::new(TLS_DIR).is_dir() => Some(files()),
            // From outside, somebody who looks at a cluster is not to write to it.
            Source::Auto if needed || Path::new(SERVICE_ACCOUNT).is_dir() => {
                Some(CertificateSource::Managed)
            }
            Source::Auto => {
                tracing::info!(
                    "there are no webhooks: {TLS_DIR} does not exist and --webhook-tls-dir names \
                     no other directory of a certificate"
                );
                None
            }
        }
    }

    /// What a managed certificate is for.
    pub(crate) fn names(&self, namespace: &str) -> Vec<ServerName<'static>> {
        let services = SERVICES.map(|service| format!("{service}.{namespace}.svc"));
        let services = services.map(|name| ServerName::try_from(name).expect("DNS labels"));
        let further = self.webhook_names.iter().cloned();
        services.into_iter().chain(further).collect()
    }

    /// How long managed certificates are good for.
    pub(crate) fn lifetimes(&self) -> anyhow::Result<Lifetimes> {
        let (authority, leaf) = (self.webhook_ca_lifetime, self.webhook_cert_lifetime);
        ensure!(
            leaf >= Duration::from_secs(3),
            "--webhook-cert-lifetime must be at least 3s"
        );
        ensure!(
            authority >= leaf * 3,
            "--webhook-ca-lifetime must be at least three times --webhook-cert-lifetime: one \
             authority is trusted until all that it signed has expired"
        );
        Ok(Lifetimes { authority, leaf })
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>, &'static str> {
    let expected = "expected a DNS name or an address";
    ServerName::try_from(text.to_owned()).map_err(|_| expected)
}
