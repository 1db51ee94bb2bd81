//! The Lease as an object, and how it is claimed.

use super::Terms;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        coordination::v1::{Lease, LeaseSpec},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, OwnerReference},
};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
    core::PartialObjectMeta,
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const MANAGER: &str = "ferrule";
const COMPONENT_LABEL: &str = "linkerd.io/control-plane-component";
const NAMESPACE_LABEL: &str = "linkerd.io/control-plane-ns";
/// The component that Leases belong to, whoever holds them.
const COMPONENT: &str = "destination";
/// How often a release is tried when somebody else writes the Lease meanwhile.
const RELEASES: usize = 3;

/// One Lease, read and written as one holder.
pub(super) struct Records {
    leases: Api<Lease>,
    deployments: Api<Deployment>,
    name: &'static str,
    holder: String,
    terms: Terms,
    /// Others' claim as it was last seen: its version, and since when.
    observed: Option<(String, Instant)>,
    /// The version that was written here last, if nothing was heard of a newer one.
    ours: Option<String>,
}

/// What was read.
struct Seen {
    version: String,
    holder: Option<String>,
    transitions: i32,
    /// How long it keeps others away.
    duration: Duration,
}

impl Records {
    pub(super) fn new(client: &Client, terms: &Terms, name: &'static str, holder: &str) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), &terms.namespace),
            deployments: Api::namespaced(client.clone(), &terms.namespace),
            name,
            holder: holder.to_owned(),
            terms: terms.clone(),
            observed: None,
            ours: None,
        }
    }

    /// Claims the Lease, or renews the claim; whether it is ours. May be cancelled:
    /// what was written then is found out by the next call.
    pub(super) async fn claim(&mut self) -> kube::Result<bool> {
        // Taken: after an error nobody knows what was written.
        if let Some(version) = self.ours.take() {
            let renewed = self.write(&version, self.renewal()).await?;
            if renewed {
                return Ok(true);
            }
        }
        let Some(lease) = self.leases.get_opt(self.name).await? else {
            return self.create().await;
        };
        let seen = Seen::of(&lease, self.terms.duration);
        let spec = match &seen.holder {
            Some(holder) if *holder == self.holder => self.renewal(),
            Some(_) if !self.has_expired(&seen) => return Ok(false),
            _ => LeaseSpec {
                acquire_time: Some(now()),
                lease_transitions: Some(seen.transitions.saturating_add(1)),
                ..self.renewal()
            },
        };
        self.write(&seen.version, spec).await
    }

    /// Gives the Lease back if it is ours.
    pub(super) async fn release(&self) -> kube::Result<()> {
        for _ in 0..RELEASES {
            let Some(lease) = self.leases.get_opt(self.name).await? else {
                return Ok(());
            };
            let seen = Seen::of(&lease, self.terms.duration);
            if seen.holder.as_deref() != Some(&self.holder) {
                return Ok(());
            }
            let patch = json!({
                "metadata": {"resourceVersion": seen.version},
                "spec": {"holderIdentity": null},
            });
            if unless_stale(self.patch(&patch).await)?.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn renewal(&self) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: i32::try_from(self.terms.duration.as_secs()).ok(),
            renew_time: Some(now()),
            ..LeaseSpec::default()
        }
    }

    /// Whether nobody has renewed what somebody else holds.
    fn has_expired(&mut self, seen: &Seen) -> bool {
        match &self.observed {
            Some((version, since)) if *version == seen.version => since.elapsed() >= seen.duration,
            _ => {
                self.observed = Some((seen.version.clone(), Instant::now()));
                false
            }
        }
    }

    /// Writes what is given of the Lease of this version; whether it still was that.
    async fn write(&mut self, version: &str, spec: LeaseSpec) -> kube::Result<bool> {
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": spec});
        let written = unless_stale(self.patch(&patch).await)?;
        self.ours = written.and_then(|lease| lease.resource_version());
        Ok(self.ours.is_some())
    }

    async fn patch(&self, patch: &serde_json::Value) -> kube::Result<Lease> {
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.leases
            .patch(self.name, &params, &Patch::Merge(patch))
            .await
    }

    async fn create(&mut self) -> kube::Result<bool> {
        let labels = [
            (COMPONENT_LABEL, COMPONENT),
            (NAMESPACE_LABEL, &*self.terms.namespace),
        ];
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.name.to_owned()),
                labels: Some(labels.map(|(key, value)| (key.into(), value.into())).into()),
                owner_references: self.owner().await.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                acquire_time: Some(now()),
                lease_transitions: Some(0),
                ..self.renewal()
            }),
        };
        let params = PostParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PostParams::default()
        };
        match self.leases.create(&params, &lease).await {
            Ok(lease) => {
                self.ours = lease.resource_version();
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The Deployment as an owner. A Lease without one is as good, so what goes wrong
    /// is only said.
    async fn owner(&self) -> Option<OwnerReference> {
        let name = self.terms.deployment.as_deref()?;
        let found: kube::Result<PartialObjectMeta<Deployment>> =
            self.deployments.get_metadata(name).await;
        match found {
            Ok(deployment) => {
                let owner = Deployment {
                    metadata: deployment.metadata,
                    ..Deployment::default()
                };
                owner.owner_ref(&())
            }
            Err(error) => {
                tracing::warn!(lease = self.name, deployment = name, %error, "made without owner");
                None
            }
        }
    }
}

impl Seen {
    fn of(lease: &Lease, default: Duration) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds;
        Self {
            version: lease.resource_version().unwrap_or_default(),
            // Some clear it, others leave nothing in it.
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
            transitions: spec.lease_transitions.unwrap_or_default(),
            duration: seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .map_or(default, Duration::from_secs),
        }
    }
}

/// Nothing if somebody else was quicker: the object is of another version, or gone.
fn unless_stale<T>(result: kube::Result<T>) -> kube::Result<Option<T>> {
    match result {
        Ok(written) => Ok(Some(written)),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
        Err(error) => Err(error),
    }
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}
