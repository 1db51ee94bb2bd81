//! Where one scenario plays: a namespace and a network of its own in the cluster
//! that all share.

use anyhow::{Context as _, Result};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

/// Where one scenario plays.
pub struct Stage {
    client: Client,
    namespace: String,
    /// Its third octet, so that no two scenarios share an address.
    network: u8,
}

impl Stage {
    /// One with a new namespace.
    ///
    /// # Errors
    /// If the API server refuses, as all that writes below.
    pub async fn create(client: Client, network: u8) -> Result<Self> {
        let stage = Self {
            client,
            namespace: format!("ns-{network}"),
            network,
        };
        stage.create_namespace(&stage.namespace).await?;
        Ok(stage)
    }

    /// Another namespace. It goes with the cluster, as all of them do.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub async fn other_namespace(&self) -> Result<String> {
        let name = format!("other-{}", self.network);
        self.create_namespace(&name).await?;
        Ok(name)
    }

    /// Makes sure that a namespace is there.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.apply(namespace).await?;
        // Pods cannot be created before, and the controller takes its time.
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": name},
        });
        self.apply(account).await.map(drop)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The names of a scenario made this stage's: `$ns`, 10.0.0.0/24, 198.18.0.0/24
    /// and fd00::/64.
    pub fn fill(&self, text: &str) -> String {
        text.replace("$ns", &self.namespace)
            .replace("10.0.0.", &format!("10.77.{}.", self.network))
            .replace("198.18.0.", &format!("198.18.{}.", self.network))
            .replace("fd00::", &format!("fd77:{:x}::", self.network))
    }

    /// Makes an object what is said, status included, whether or not it is there.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub async fn apply(&self, object: Value) -> Result<DynamicObject> {
        let text = self.fill(&object.to_string());
        let mut object: Value = serde_json::from_str(&text)?;
        let status = object.as_object_mut().and_then(|one| one.remove("status"));
        let (api, name) = self.api_of(&object)?;
        let params = PatchParams::apply("scenarios").force();
        let applied = api
            .patch(&name, &params, &Patch::Apply(&object))
            .await
            .with_context(|| format!("applying {text}"))?;
        if let Some(status) = status {
            let patch = Patch::Merge(json!({"status": status}));
            api.patch_status(&name, &PatchParams::default(), &patch)
                .await
                .with_context(|| format!("the status in {text}"))?;
        }
        Ok(applied)
    }

    /// As [`apply`](Self::apply), one after another.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub async fn apply_all(&self, objects: impl IntoIterator<Item = Value>) -> Result<()> {
        for object in objects {
            self.apply(object).await?;
        }
        Ok(())
    }

    /// Deletes it; a pod at once, since no kubelet says that it has ended.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub async fn delete(&self, object: &Value) -> Result<()> {
        let object: Value = serde_json::from_str(&self.fill(&object.to_string()))?;
        let (api, name) = self.api_of(&object)?;
        let params = DeleteParams::default().grace_period(0);
        api.delete(&name, &params)
            .await
            .with_context(|| format!("deleting {name}"))?;
        Ok(())
    }

    /// What it is now.
    ///
    /// # Errors
    /// See [`create`](Self::create).
    pub async fn find(&self, object: &Value) -> Result<DynamicObject> {
        let object: Value = serde_json::from_str(&self.fill(&object.to_string()))?;
        let (api, name) = self.api_of(&object)?;
        let found = api.get(&name).await;
        found.with_context(|| format!("looking for {name}"))
    }

    fn api_of(&self, object: &Value) -> Result<(Api<DynamicObject>, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        let client = self.client.clone();
        let api = match (&*kind, &object["metadata"]["namespace"]) {
            ("Namespace", _) => Api::all_with(client, &resource),
            (_, Value::String(namespace)) => Api::namespaced_with(client, namespace, &resource),
            _ => Api::namespaced_with(client, &self.namespace, &resource),
        };
        Ok((api, text(&object["metadata"]["name"])))
    }
}
