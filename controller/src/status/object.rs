//! Objects as the API server has them.

use ferrule_cluster::object::Kind;
use ferrule_policy::StatusKey;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// How this controller signs what it writes. Linkerd's, so that a mesh can change its
/// control plane.
const MANAGER: &str = "linkerd.io/policy-controller";

/// Reads objects and writes their statuses.
#[derive(Debug)]
pub(super) struct Objects {
    /// Which of its versions the cluster serves, by kind.
    versions: [AtomicUsize; Kind::ALL.len()],
}

/// An object as it was read.
pub(super) struct Found {
    api: Api<DynamicObject>,
    resource: ApiResource,
    name: String,
    resource_version: Option<String>,
    status: Value,
}

impl Default for Objects {
    fn default() -> Self {
        Self {
            versions: [const { AtomicUsize::new(0) }; Kind::ALL.len()],
        }
    }
}

impl Objects {
    /// The object as it is now, unless it is gone.
    pub(super) async fn get(
        &self,
        client: &Client,
        StatusKey { kind, key }: &StatusKey,
    ) -> kube::Result<Option<Found>> {
        let version = &self.versions[*kind as usize];
        let count = kind.versions().len();
        let mut tried = 0;
        loop {
            let index = version.load(Relaxed) % count;
            let resource = resource(*kind, kind.versions()[index]);
            let api = Api::namespaced_with(client.clone(), &key.namespace, &resource);
            let result = api.get(&key.name).await;
            tried += 1;
            return match result {
                Ok(object) => Ok(Some(Found::new(api, resource, object))),
                Err(error) if is_gone(&error) => Ok(None),
                Err(error) if is_not_served(&error) && tried < count => {
                    // Others may find that out at the same time.
                    let next = (index + 1) % count;
                    let _ = version.compare_exchange(index, next, Relaxed, Relaxed);
                    continue;
                }
                Err(error) => Err(error),
            };
        }
    }
}

impl Found {
    fn new(
        api: Api<DynamicObject>,
        resource: ApiResource,
        DynamicObject {
            metadata, mut data, ..
        }: DynamicObject,
    ) -> Self {
        Self {
            api,
            resource,
            name: metadata.name.unwrap_or_default(),
            resource_version: metadata.resource_version,
            status: data["status"].take(),
        }
    }

    /// Its `status`, null if there is none.
    pub(super) fn status(&self) -> &Value {
        &self.status
    }

    /// Replaces these fields of its status, unless somebody else has written it since
    /// it was read.
    pub(super) async fn patch(&self, status: &Value) -> kube::Result<()> {
        let patch = json!({
            "apiVersion": self.resource.api_version,
            "kind": self.resource.kind,
            "metadata": {"name": self.name, "resourceVersion": self.resource_version},
            "status": status,
        });
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Merge(&patch);
        self.api
            .patch_status(&self.name, &params, &patch)
            .await
            .map(|_| ())
    }
}

/// Somebody else has written the object.
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// There is no such object, though there might be.
pub(super) fn is_gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404 && names_object(status))
}

/// The kind, or this version of it, is not there.
fn is_not_served(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404 && !names_object(status))
}

/// Whether it is the object that is the matter, and not its kind as a whole.
pub(super) fn is_about_object(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else {
        return false;
    };
    match status.code {
        400 | 409 | 413 | 422 => true,
        // A right that is lacking is not about the object; a webhook's word is.
        403 => status.message.contains("admission webhook"),
        _ => false,
    }
}

fn names_object(status: &kube::core::Status) -> bool {
    let details = status.details.as_ref();
    details.is_some_and(|details| !details.name.is_empty())
}

fn resource(kind: Kind, version: &str) -> ApiResource {
    let group = kind.group();
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: kind.manifest_name().to_owned(),
        plural: kind.plural().to_owned(),
    }
}
