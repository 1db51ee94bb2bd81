//! The restart that is under way, where whoever leads next finds it: on the Lease. So is how
//! it stands with others, for people.

use super::{LEASE, workload::Kind};
use ferrule_identity::{RESTART_STANDINGS, RestartStanding};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use std::{fmt, time::Duration};

/// On the Lease: an [`Entry`] as JSON.
const ANNOTATION: &str = "ferrule.io/restart";
const MANAGER: &str = "ferrule";
/// More failures for one bundle than anybody looks on at; an annotation is not for lists.
const MOST_SPARED: usize = 64;

/// The restart that was begun last. It is written before the workload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// For which bundle.
    pub(super) bundle: String,
    pub(super) begun: Timestamp,
    /// When there was nothing more to wait for.
    pub(super) ended: Option<Timestamp>,
    /// Whether the rollout failed, which is held against all others until it is over.
    #[serde(default)]
    pub(super) failed: bool,
    /// Whether its new pods do not trust the bundle, either.
    #[serde(default)]
    pub(super) futile: bool,
    /// The uids of workloads whose restart for this bundle has failed: nobody wants to
    /// see that twice.
    #[serde(default)]
    pub(super) spared: Vec<String>,
}

impl Entry {
    /// Its namespace, and what its pods call it.
    pub(super) fn who(&self) -> (String, String) {
        let owner = format!("{}/{}", self.kind.lower_case(), self.name);
        (self.namespace.clone(), owner)
    }

    /// Its rollout has failed.
    pub(super) fn fail(&mut self) {
        self.failed = true;
        self.spared.push(self.uid.clone());
        let over = self.spared.len().saturating_sub(MOST_SPARED);
        self.spared.drain(..over);
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
            ..
        } = self;
        write!(f, "{}/{namespace}/{name}", kind.lower_case())
    }
}

pub(super) struct Journal {
    leases: Api<Lease>,
    /// How long a write may take.
    timeout: Duration,
}

impl Journal {
    pub(super) fn new(client: &Client, namespace: &str, timeout: Duration) -> Self {
        Self {
            leases: Api::namespaced(client.clone(), namespace),
            timeout,
        }
    }

    /// The last entry, and how it stood with whom. What cannot be read is none: somebody
    /// has written there.
    pub(super) async fn read(&self) -> kube::Result<(Option<Entry>, Vec<RestartStanding>)> {
        let lease = self.leases.get_metadata(LEASE).await?;
        let standings = read(&lease, RESTART_STANDINGS);
        Ok((read(&lease, ANNOTATION), standings.unwrap_or_default()))
    }

    /// Writes it in place of the last.
    pub(super) async fn write(&self, entry: &Entry) -> kube::Result<()> {
        self.annotate(ANNOTATION, entry).await
    }

    /// Writes how it stands with whom.
    pub(super) async fn note(&self, standings: &[RestartStanding]) -> kube::Result<()> {
        self.annotate(RESTART_STANDINGS, standings).await
    }

    async fn annotate(&self, name: &str, value: &(impl Serialize + ?Sized)) -> kube::Result<()> {
        let text = serde_json::to_string(value).map_err(kube::Error::SerdeError)?;
        let patch = Patch::Merge(json!({"metadata": {"annotations": {name: text}}}));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let written = self.leases.patch_metadata(LEASE, &params, &patch);
        super::within(self.timeout, written).await.map(drop)
    }
}

fn read<T: DeserializeOwned>(lease: &impl kube::Resource, name: &str) -> Option<T> {
    let text = lease.annotations().get(name)?;
    serde_json::from_str(text)
        .inspect_err(|error| {
            tracing::warn!("the annotation {name} of the Lease {LEASE}: {error}");
        })
        .ok()
}
