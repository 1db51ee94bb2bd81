//! Every replica's part: signs a leaf for itself with what is in the Secret.

use super::{
    AuthorityStatus, NAME,
    certificates::{self, Lifetimes, renew_at},
    record::Authorities,
};
use crate::webhooks::ServingCertificate;
use ferrule_identity::{IdentityScope, date};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, runtime::watcher::watch_object};
use rustls::pki_types::ServerName;
use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{sync::watch, time::sleep};

/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(2);
/// Clocks may be set while a timer runs, so it is looked at this often.
const LOOK: Duration = Duration::from_secs(3600);

/// Keeps the certificate that this replica serves.
pub(super) struct Follower {
    pub(super) secrets: Api<Secret>,
    pub(super) scope: IdentityScope,
    pub(super) names: Vec<ServerName<'static>>,
    pub(super) lifetimes: Lifetimes,
    /// What the Secret holds, or held when it was good; told whenever it changes.
    pub(super) known: watch::Sender<Option<Arc<Authorities>>>,
    pub(super) serving: Arc<ServingCertificate>,
    pub(super) status: Arc<AuthorityStatus>,
}

impl Follower {
    pub(super) async fn run(self) {
        tokio::join!(self.watch(), self.serve());
    }

    /// Reads the Secret whenever it changes. One that is gone or spoilt changes
    /// nothing: what was read last is good until it expires.
    async fn watch(&self) {
        let mut secrets = pin!(watch_object(self.secrets.clone(), NAME));
        let mut complained = false;
        while let Some(secret) = secrets.next().await {
            let problem = match secret {
                Ok(None) => {
                    // For whoever keeps it.
                    self.known.send_modify(|_| {});
                    continue;
                }
                Ok(Some(secret)) => {
                    match Authorities::read(&secret, &self.scope, SystemTime::now()) {
                        Ok(authorities) => {
                            self.known.send_replace(Some(Arc::new(authorities)));
                            self.serving.status().recovered();
                            complained = false;
                            continue;
                        }
                        Err(error) => {
                            self.known.send_modify(|_| {});
                            format!("Secret {NAME}: {error:#}")
                        }
                    }
                }
                Err(error) => {
                    sleep(PAUSE).await;
                    format!("Secret {NAME} cannot be watched: {error}")
                }
            };
            if !std::mem::replace(&mut complained, true) {
                tracing::warn!("the webhooks' authority is not followed: {problem}");
                self.serving.status().failed(problem);
            }
        }
    }

    /// Signs a leaf for each authority, and another after two thirds of its life.
    async fn serve(&self) {
        let mut known = self.known.subscribe();
        let mut signed_by = String::new();
        let mut renewal = None;
        loop {
            let authorities = known.borrow_and_update().clone();
            let now = SystemTime::now();
            if let Some(authorities) = authorities {
                let issuer = &authorities.current.issuer;
                let fingerprint = issuer.certificate().fingerprint();
                if fingerprint != signed_by || renewal.is_none_or(|renewal| renewal <= now) {
                    match certificates::leaf(issuer, &self.names, &self.lifetimes, now) {
                        Ok(served) => {
                            tracing::info!(
                                until = %date(served.certificate.not_after()),
                                "made a certificate for the webhooks"
                            );
                            fingerprint.clone_into(&mut signed_by);
                            renewal = Some(renew_at(&served.certificate));
                            self.status.set(issuer.certificate().not_after());
                            self.serving.set(served);
                        }
                        Err(error) => {
                            tracing::warn!("no certificate for the webhooks: {error:#}");
                            renewal = Some(now + PAUSE);
                        }
                    }
                }
            }
            let wait = renewal.map_or(LOOK, |renewal| {
                renewal.duration_since(now).unwrap_or_default().min(LOOK)
            });
            tokio::select! {
                // The sender is here.
                _ = known.changed() => {}
                () = sleep(wait) => {}
            }
        }
    }
}
