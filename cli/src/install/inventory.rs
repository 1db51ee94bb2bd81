//! What a cluster has of a control plane: everything that has its label, of whatever kind.

use crate::{
    Error, check,
    cluster::failed,
    output,
    read::{Unread, unread},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta},
    core::DynamicObject,
    discovery::{ApiResource, Discovery, Scope, verbs},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many lists are asked for at once.
const AT_ONCE: usize = 8;
/// How many objects are listed at once.
const PAGE: u32 = 500;
/// Kinds that come and go with others: pods have the label because they have a proxy,
/// endpoints because their Service has it.
const FOLLOWERS: [&str; 5] = ["Pod", "Endpoints", "EndpointSlice", "Event", "ReplicaSet"];

/// An object, as far as it is to be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) group: String,
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

impl Item {
    fn of(resource: &ApiResource, metadata: ObjectMeta) -> Self {
        Self {
            group: resource.group.clone(),
            version: resource.version.clone(),
            kind: resource.kind.clone(),
            namespace: metadata.namespace,
            name: metadata.name.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
        }
    }

    /// As far as kubectl has to know to delete it.
    pub(super) fn manifest(&self) -> Value {
        let version = match &*self.group {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        };
        let mut metadata = json!({"name": self.name});
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = namespace.clone().into();
        }
        json!({"apiVersion": version, "kind": self.kind, "metadata": metadata})
    }

    /// Whether it is the object of a manifest, in whatever version.
    pub(super) fn is(&self, manifest: &Value) -> bool {
        let version = manifest["apiVersion"].as_str().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let metadata = &manifest["metadata"];
        self.group == group
            && manifest["kind"] == *self.kind
            && metadata["name"] == *self.name
            && metadata["namespace"].as_str() == self.namespace.as_deref()
    }

    pub(super) fn is_definition(&self) -> bool {
        self.kind == "CustomResourceDefinition"
    }

    /// Before what it is deleted: nobody is to call what is gone, and a definition or a
    /// namespace takes all that is in it along.
    pub(super) fn order(&self) -> u8 {
        match &*self.kind {
            "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => 0,
            "CustomResourceDefinition" => 2,
            "Namespace" => 3,
            _ => 1,
        }
    }

    /// `Secret linkerd/issuer`.
    pub(super) fn full_name(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.kind, self.name),
            None => format!("{} {}", self.kind, self.name),
        }
    }
}

/// Every kind that can be listed and deleted.
pub(super) struct Kinds {
    client: Client,
    all: Vec<(ApiResource, Scope)>,
}

impl Kinds {
    pub(super) async fn of(client: &Client) -> Result<Self, Error> {
        let found = Discovery::new(client.clone()).run_aggregated().await;
        let found = found.map_err(failed("ask the API server for its kinds"))?;
        let resources = found.groups().flat_map(|group| {
            let resources = group.resources_by_stability().into_iter();
            resources.filter_map(|(resource, can)| {
                let is_ours = can.supports_operation(verbs::LIST)
                    && can.supports_operation(verbs::DELETE)
                    && !FOLLOWERS.contains(&&*resource.kind);
                is_ours.then_some((resource, can.scope))
            })
        });
        Ok(Self {
            client: client.clone(),
            all: resources.collect(),
        })
    }

    /// All objects with the label of the control plane in this namespace, wherever they are;
    /// not those that go with their owner.
    pub(super) async fn labelled(&self, namespace: &str) -> Result<Vec<Item>, Error> {
        let label = format!("{}={namespace}", check::CONTROL_PLANE);
        self.list(|resource, _| {
            let api = Api::all_with(self.client.clone(), resource);
            Some((api, ListParams::default().labels(&label)))
        })
        .await
    }

    /// All objects in a namespace, likewise.
    pub(super) async fn within(&self, namespace: &str) -> Result<Vec<Item>, Error> {
        self.list(|resource, scope| {
            let api = Api::namespaced_with(self.client.clone(), namespace, resource);
            (*scope == Scope::Namespaced).then(|| (api, ListParams::default()))
        })
        .await
    }

    /// What may not be looked at is noted, and taken as empty.
    async fn list(
        &self,
        api: impl Fn(&ApiResource, &Scope) -> Option<(Api<DynamicObject>, ListParams)>,
    ) -> Result<Vec<Item>, Error> {
        let wanted = self.all.iter().filter_map(|(resource, scope)| {
            let (api, params) = api(resource, scope)?;
            Some(async move {
                match items(resource, &api, params).await {
                    Err(Unread::Forbidden(access)) => {
                        output::note(&format!("warning: not looked at: you may not {access}"));
                        Ok(Vec::new())
                    }
                    listed => listed,
                }
            })
        });
        let lists: Vec<_> = stream::iter(wanted.collect::<Vec<_>>())
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        let mut items = lists.concat();
        // Some kinds are known by two groups.
        items.sort_by(|a, b| {
            let key = |item: &Item| (item.order(), item.kind.clone(), item.full_name());
            key(a).cmp(&key(b))
        });
        Ok(items)
    }
}

async fn items(
    resource: &ApiResource,
    api: &Api<DynamicObject>,
    params: ListParams,
) -> Result<Vec<Item>, Unread> {
    let name = crate::read::resource(&resource.group, &resource.plural);
    let mut params = params.limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = match api.list_metadata(&params).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405) => return Ok(items),
            page => page.map_err(unread("list", &name))?,
        };
        let free = page.items.into_iter().filter(|object| {
            let owners = object.metadata.owner_references.as_ref();
            owners.is_none_or(Vec::is_empty)
        });
        items.extend(free.map(|object| Item::of(resource, object.metadata)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(items),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(group: &str, kind: &str, namespace: Option<&str>) -> Item {
        Item {
            group: group.to_owned(),
            version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(ToOwned::to_owned),
            name: "a".to_owned(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
        }
    }

    #[test]
    fn an_object_is_known_again_in_another_version() {
        let role = item("rbac.authorization.k8s.io", "Role", Some("linkerd"));
        let manifest = role.manifest();
        assert_eq!(
            manifest,
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": "a", "namespace": "linkerd"},
            })
        );
        assert!(role.is(&manifest));
        for (path, other) in [
            ("/apiVersion", "rbac.authorization.k8s.io/v1beta1"),
            ("/apiVersion", "v1"),
            ("/kind", "RoleBinding"),
            ("/metadata/name", "b"),
            ("/metadata/namespace", "shop"),
        ] {
            let mut manifest = manifest.clone();
            *manifest.pointer_mut(path).unwrap() = other.into();
            assert_eq!(role.is(&manifest), other.ends_with("v1beta1"), "{manifest}");
        }
    }

    #[test]
    fn webhooks_go_first_and_a_namespace_last() {
        let kinds = [
            "Namespace",
            "Service",
            "CustomResourceDefinition",
            "MutatingWebhookConfiguration",
        ];
        let mut items = kinds.map(|kind| item("", kind, None));
        items.sort_by_key(Item::order);
        let sorted: Vec<_> = items.iter().map(|item| &*item.kind).collect();
        let expected = [
            "MutatingWebhookConfiguration",
            "Service",
            "CustomResourceDefinition",
            "Namespace",
        ];
        assert_eq!(sorted, expected);
    }
}
