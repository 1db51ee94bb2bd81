//! Tells people in the cluster what happens to the issuer, as Kubernetes Events
//! (identity-injector.md 3.9, operations.md 13.5).
//!
//! Every replica sees the same change and tells of it. An Event's name follows from
//! what it tells, so the API server keeps the first and refuses the others: there is
//! one for each change, whoever leads.

use crate::events::{self, Told, name_for};
use ferrule_identity::{Notice, date};
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use kube::{Api, Client, api::PostParams};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

const COMPONENT: &str = "linkerd-identity";
/// How long an Event may take to be written; it is given up then.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Writes Events, one at a time.
pub(crate) struct Recorder {
    client: Client,
    /// The control plane's.
    namespace: String,
    notices: mpsc::Receiver<Notice>,
}

impl Recorder {
    pub(crate) fn new(client: Client, namespace: &str, notices: mpsc::Receiver<Notice>) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            notices,
        }
    }

    /// Writes what comes until `stop`. What cannot be written is not tried again: the
    /// log has it, too.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut said = false;
        let written = async {
            while let Some(notice) = self.notices.recv().await {
                let event = event(&notice, &self.namespace);
                let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
                let events: Api<Event> = Api::namespaced(self.client.clone(), namespace);
                let params = PostParams::default();
                match timeout(TIMEOUT, events.create(&params, &event)).await {
                    // Another replica was quicker.
                    Ok(Err(kube::Error::Api(status))) if status.code == 409 => {}
                    Ok(Ok(_)) => said = false,
                    Ok(Err(error)) if !said => {
                        said = true;
                        tracing::warn!("cannot write an Event: {error}");
                    }
                    Ok(Err(_)) | Err(_) => {}
                }
            }
        };
        stop.run_until_cancelled(written).await;
    }
}

/// The Event that tells of `notice`.
fn event(notice: &Notice, control_plane: &str) -> Event {
    let about_issuer = || ObjectReference {
        api_version: Some("apps/v1".to_owned()),
        kind: Some("Deployment".to_owned()),
        name: Some(COMPONENT.to_owned()),
        namespace: Some(control_plane.to_owned()),
        ..ObjectReference::default()
    };
    let (object, reason, is_normal, message, key) = match notice {
        Notice::IssuerUpdated { fingerprints } => (
            about_issuer(),
            "IssuerUpdated",
            true,
            "Updated identity issuer".to_owned(),
            fingerprints.concat(),
        ),
        Notice::IssuerUpdateSkipped { error, fingerprint } => (
            about_issuer(),
            "IssuerUpdateSkipped",
            false,
            format!("Skipping issuer update as certs could not be used: {error}"),
            // Not what is wrong with it, in which there may be the time.
            fingerprint.clone(),
        ),
        Notice::IssuerHeld { text, change } => (
            about_issuer(),
            "IssuerUpdateHeld",
            false,
            text.clone(),
            change.clone(),
        ),
        Notice::IssuerNotTrusted { text, fingerprint } => (
            about_issuer(),
            "IssuerNotTrusted",
            false,
            text.clone(),
            fingerprint.clone(),
        ),
        Notice::IssuerValidationFailed {
            error,
            identity,
            fingerprint,
        } => (
            about_issuer(),
            "IssuerValidationFailed",
            false,
            format!("{error} - CSR Identity : {identity}"),
            fingerprint.clone(),
        ),
        Notice::Expiring { text, fingerprint } => (
            about_issuer(),
            "CertificateExpiring",
            false,
            text.clone(),
            format!("{fingerprint}{text}"),
        ),
        Notice::Rotation { waits, text, step } => (
            about_issuer(),
            if *waits {
                "TrustAnchorRotationWaits"
            } else {
                "TrustAnchorRotation"
            },
            !waits,
            text.clone(),
            step.clone(),
        ),
        Notice::UpkeepStuck { text, reason } => (
            about_issuer(),
            "IssuerUpkeepStuck",
            false,
            text.clone(),
            reason.clone(),
        ),
        Notice::Issued {
            identity,
            until,
            fingerprint,
        } => {
            let account = ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("ServiceAccount".to_owned()),
                name: Some(identity.service_account().to_owned()),
                namespace: Some(identity.namespace().to_owned()),
                ..ObjectReference::default()
            };
            let until = date(*until);
            let message = format!("issued certificate for {identity} until {until}: {fingerprint}");
            (
                account,
                "IssuedLeafCertificate",
                true,
                message,
                fingerprint.clone(),
            )
        }
    };
    let about = object.name.as_deref().unwrap_or_default();
    let name = name_for(about, &format!("{reason} {key}"));
    let told = Told {
        component: COMPONENT,
        object,
        is_normal,
        reason,
        message: &message,
    };
    events::event(name, told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_identity::IdentityScope;

    #[test]
    fn what_replicas_tell_of_one_change_has_one_name_and_of_others_others() {
        let updated = |from: &str, to: &str| Notice::IssuerUpdated {
            fingerprints: [from.into(), to.into()],
        };
        let name = |notice: &Notice| event(notice, "linkerd").metadata.name;
        assert_eq!(name(&updated("a", "b")), name(&updated("a", "b")));
        assert_ne!(name(&updated("a", "b")), name(&updated("b", "a")));
        let skipped = |fingerprint: &str, second: u8| Notice::IssuerUpdateSkipped {
            error: format!("the time is 12:00:0{second}"),
            fingerprint: fingerprint.into(),
        };
        assert_ne!(name(&updated("a", "b")), name(&skipped("ab", 1)));
        assert_eq!(name(&skipped("a", 1)), name(&skipped("a", 2)));
        assert_ne!(name(&skipped("a", 1)), name(&skipped("b", 1)));
        let told = event(&updated("a", "b"), "linkerd");
        assert_eq!(told.message.as_deref(), Some("Updated identity issuer"));
        assert_eq!(
            told.involved_object.name.as_deref(),
            Some("linkerd-identity")
        );
    }

    #[test]
    fn a_certificate_is_told_of_at_its_service_account() {
        let scope = IdentityScope::new("linkerd", "cluster.local").unwrap();
        let issued = Notice::Issued {
            identity: scope.service_account("shop", "web").unwrap(),
            until: std::time::SystemTime::UNIX_EPOCH,
            fingerprint: "0a1b".into(),
        };
        let told = event(&issued, "linkerd");
        assert_eq!(told.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!(told.involved_object.kind.as_deref(), Some("ServiceAccount"));
        assert_eq!(
            told.message.as_deref(),
            Some(
                "issued certificate for web.shop.serviceaccount.identity.linkerd.cluster.local \
                 until 1970-01-01T00:00:00Z: 0a1b"
            )
        );
    }
}
