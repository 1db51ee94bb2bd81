//! What the injector looks up of a pod that is being created.

use anyhow::Result;
use serde_json::json;

use super::World;

impl World {
    /// A namespace whose pods are to be injected, and in it a ReplicaSet of a Deployment.
    pub(crate) async fn owned(&self, namespace: &str, replica_set: &str) -> Result<()> {
        let annotations = json!({"linkerd.io/inject": "enabled"});
        let object = json!({"metadata": {"name": namespace, "annotations": annotations}});
        self.requests.post("/api/v1/namespaces", &object).await?;
        let labels = json!({"app": "web"});
        // The Deployment need not be there: it is known by what refers to it.
        let object = json!({
            "metadata": {"name": replica_set, "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "web",
                "uid": "5f3c2a10-0000-4000-8000-000000000003",
            }]},
            "spec": {
                "replicas": 0, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {
                    "containers": [{"name": "web", "image": "web:1"}],
                }},
            },
        });
        let path = format!("/apis/apps/v1/namespaces/{namespace}/replicasets");
        self.requests.post(&path, &object).await?;
        Ok(())
    }
}
