//! Whether clients should be sent here.

use crate::{identity::Identity, mesh_tls::NotCertified, process::Process, webhooks::Webhooks};
use ferrule_cluster::object::Kind;
use ferrule_identity::date;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// How often a process that is not ready yet is looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long it may take before the log says what is missing, and how often then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a process is not ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotReady {
    /// These kinds have not been listed yet.
    Syncing(Vec<Kind>),
    /// The injector does not know of these yet.
    Learning(Vec<&'static str>),
    /// API servers would find no certificate that they accept.
    Webhooks(String),
    /// Clients would find no certificate that they accept.
    NotCertified(NotCertified),
    /// Nothing can be signed.
    Issuer(String),
    /// It is about to end.
    Draining,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReady::Draining => f.write_str("shutting down"),
            NotReady::Syncing(kinds) => {
                let kinds: Vec<_> = kinds.iter().map(|kind| kind.plural()).collect();
                write!(f, "waiting for the first list of {}", kinds.join(", "))
            }
            NotReady::Learning(kinds) => {
                write!(
                    f,
                    "the injector waits for the first list of {}",
                    kinds.join(", ")
                )
            }
            NotReady::Webhooks(reason) => write!(f, "the webhooks cannot be called: {reason}"),
            NotReady::NotCertified(reason) => reason.fmt(f),
            NotReady::Issuer(reason) => write!(f, "certificates cannot be issued: {reason}"),
        }
    }
}

/// Whether the process is ready. A watch that breaks later does not change that:
/// the last known state is better than none (operations.md 14.3).
pub(crate) fn check(process: &Process) -> Result<(), NotReady> {
    if process.is_draining() {
        return Err(NotReady::Draining);
    }
    if let Some(discovery) = &process.discovery
        && !discovery.index.is_synced()
    {
        let kinds = Kind::ALL.into_iter();
        return Err(NotReady::Syncing(
            kinds
                .filter(|kind| !discovery.index.is_kind_synced(*kind))
                .collect(),
        ));
    }
    let now = SystemTime::now();
    if let Some(injection) = &process.injection {
        let missing = injection.missing();
        if !missing.is_empty() {
            return Err(NotReady::Learning(missing));
        }
        // Discovery in the same process would go on without; pods would not.
        if let Some(webhooks) = &process.webhooks {
            check_webhooks(webhooks, now).map_err(NotReady::Webhooks)?;
        }
    }
    if let Some(identity) = &process.identity {
        match identity.authority.credentials() {
            None => {
                let mut reasons = identity.notes();
                reasons.insert(0, "there is no issuer yet".to_owned());
                return Err(NotReady::Issuer(reasons.join("; ")));
            }
            Some(credentials) => credentials
                .verify(now)
                .map_err(|error| NotReady::Issuer(error.to_string()))?,
        }
    }
    for certificate in &process.certificates {
        certificate.check(now).map_err(NotReady::NotCertified)?;
    }
    Ok(())
}

/// Whether API servers can call the webhooks.
fn check_webhooks(webhooks: &Webhooks, now: SystemTime) -> Result<(), String> {
    let end = webhooks.certificate().not_after();
    let end = end.ok_or_else(|| "there is no certificate yet".to_owned())?;
    if end < now {
        let end = date(end);
        return Err(format!("their certificate has expired at {end}"));
    }
    // Pods of another control plane may be asked meanwhile; who is not ready is not.
    match webhooks.authority() {
        Some(authority) if !authority.is_accepted() => {
            Err("caBundle does not have who signs their certificate yet".to_owned())
        }
        _ => Ok(()),
    }
}

/// What is wrong although the process is ready.
pub(crate) fn notes(process: &Process) -> Vec<String> {
    process.identity.iter().flat_map(Identity::notes).collect()
}

/// Waits until the process is ready, and says in the log how that goes.
pub(crate) async fn reached(process: Arc<Process>) {
    let mut complain_at = Instant::now() + PATIENCE;
    while let Err(reason) = check(&process) {
        if Instant::now() >= complain_at {
            tracing::warn!("not ready: {reason}");
            complain_at += PATIENCE;
        }
        tokio::time::sleep(LOOK).await;
    }
    let after_seconds = process.started.elapsed().as_secs_f64();
    match &process.discovery {
        Some(discovery) => {
            let count = |kind| discovery.index.count(kind);
            tracing::info!(
                services = count(Kind::Service),
                endpointslices = count(Kind::EndpointSlice),
                pods = count(Kind::Pod),
                after_seconds,
                "ready",
            );
        }
        None => tracing::info!(after_seconds, "ready"),
    }
}
