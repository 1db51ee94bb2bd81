//! The restart that is under way, where whoever leads next finds it: on the Lease.

use super::{LEASE, workload::Kind};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde::{Deserialize, Serialize};
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

    /// The last entry. One that cannot be read is none: somebody has written there.
    pub(super) async fn read(&self) -> kube::Result<Option<Entry>> {
        let lease = self.leases.get_metadata(LEASE).await?;
        let text = lease.annotations().get(ANNOTATION);
        let entry = text.map(|text| serde_json::from_str(text)).transpose();
        Ok(entry.unwrap_or_else(|error| {
            tracing::warn!("the annotation {ANNOTATION} of the Lease {LEASE}: {error}");
            None
        }))
    }

    /// Writes it in place of the last.
    pub(super) async fn write(&self, entry: &Entry) -> kube::Result<()> {
        let text = serde_json::to_string(entry).map_err(kube::Error::SerdeError)?;
        let patch = Patch::Merge(json!({"metadata": {"annotations": {ANNOTATION: text}}}));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let written = self.leases.patch_metadata(LEASE, &params, &patch);
        super::within(self.timeout, written).await.map(drop)
    }
}
