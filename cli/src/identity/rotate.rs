//! `ferrule identity rotate`.

use super::anchor::{self, RotateAnchor};
use crate::{
    Error,
    cluster::{ClusterFlags, ControlPlane, failed},
    credential_names::CredentialNames,
    output,
    progress::awaited,
};
use clap::{Args, Subcommand};
use ferrule_identity::{ISSUER_NOT_AFTER, ISSUER_SECRET, ISSUER_SHA256, MANAGED_BY, ROTATE_ISSUER};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
    core::PartialObjectMeta,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A replica takes over from one that is gone in 30 s.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(300);

#[derive(Debug, Subcommand)]
pub(super) enum Rotate {
    /// Have another issuer made under the same trust anchor, where Ferrule keeps it
    #[command(after_help = EXAMPLES)]
    Issuer(RotateIssuer),
    /// Have another trust anchor follow the one that Ferrule keeps
    #[command(after_help = anchor::EXAMPLES)]
    TrustAnchor(RotateAnchor),
}

const EXAMPLES: &str = "\
Nobody has to restart: proxies get certificates under the new issuer when they renew
theirs, and those under the old one stay good.

Examples:
  ferrule identity rotate issuer
  ferrule identity rotate issuer -L linkerd --context prod";

#[derive(Debug, Args)]
pub(super) struct RotateIssuer {
    #[command(flatten)]
    control_plane: ControlPlane,

    #[command(flatten)]
    cluster: ClusterFlags,
}

/// The Secret without what is in it: nobody who asks needs to see the key.
type Meta = PartialObjectMeta<Secret>;

impl Rotate {
    pub(super) async fn run(self) -> Result<(), Error> {
        match self {
            Rotate::Issuer(issuer) => issuer.run().await,
            Rotate::TrustAnchor(anchor) => anchor.run().await,
        }
    }
}

impl RotateIssuer {
    async fn run(self) -> Result<(), Error> {
        let client = self.cluster.api_server().await?;
        let namespace = &self.control_plane.namespace;
        // What Ferrule keeps has the usual name; that another is not kept is to be told.
        let names = CredentialNames::read(&client, namespace).await;
        let name = names.unwrap_or_default().issuer;
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        let secret = format!("Secret {namespace}/{name}");
        let before = secrets.get_metadata(&name).await;
        let before = before.map_err(failed(format!("read {secret}")))?;
        if before.labels().get(MANAGED_BY.0).map(String::as_str) != Some(MANAGED_BY.1) {
            return Err(Error::NotManaged {
                secret,
                label: format!("{}={}", MANAGED_BY.0, MANAGED_BY.1),
            });
        }
        let annotations = json!({ROTATE_ISSUER: Timestamp::now().to_string()});
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        secrets
            .patch_metadata(ISSUER_SECRET, &PatchParams::default(), &patch)
            .await
            .map_err(failed(format!("write {secret}")))?;
        let made = self.made(&secrets, &before);
        let now = awaited("waiting for a replica to make another issuer", made).await?;
        Ok(output::print(&told(&before, &now))?)
    }

    /// The Secret as soon as there is another issuer in it.
    async fn made(&self, secrets: &Api<Secret>, before: &Meta) -> Result<Meta, Error> {
        let namespace = &self.control_plane.namespace;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = secrets.get_metadata(ISSUER_SECRET).await;
            let now = now.map_err(failed(format!("read Secret {namespace}/{ISSUER_SECRET}")))?;
            if fingerprint(&now) != fingerprint(before) {
                return Ok(now);
            }
            if Instant::now() > deadline {
                return Err(Error::NotRotated {
                    waited: PATIENCE,
                    namespace: namespace.clone(),
                });
            }
            sleep(LOOK).await;
        }
    }
}

fn fingerprint(secret: &Meta) -> Option<&String> {
    secret.annotations().get(ISSUER_SHA256)
}

fn told(before: &Meta, now: &Meta) -> String {
    let shown = |secret: &Meta| {
        let digits = fingerprint(secret).map(|text| text.chars().take(super::FINGERPRINT));
        digits.map_or_else(|| "unknown".to_owned(), Iterator::collect)
    };
    let until = now.annotations().get(ISSUER_NOT_AFTER);
    let until = until.map_or_else(String::new, |until| format!(", valid until {until}"));
    format!("issuer {} replaces {}{until}", shown(now), shown(before))
}
