//! ServiceProfiles in a real API server.

use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

/// The ServiceProfiles of a namespace.
pub(crate) struct ServiceProfiles {
    client: Client,
    api: Api<DynamicObject>,
}

impl ServiceProfiles {
    pub(crate) fn of(client: &Client, namespace: &str) -> Self {
        let kind = GroupVersionKind::gvk("linkerd.io", "v1alpha2", "ServiceProfile");
        let resource = ApiResource::from_gvk_with_plural(&kind, "serviceprofiles");
        Self {
            client: client.clone(),
            api: Api::namespaced_with(client.clone(), namespace, &resource),
        }
    }

    /// Creates one, or only asks whether it could be.
    pub(crate) async fn create(
        &self,
        name: &str,
        spec: &Value,
        dry_run: bool,
    ) -> Result<(), kube::Error> {
        let object = json!({
            "apiVersion": "linkerd.io/v1alpha2",
            "kind": "ServiceProfile",
            "metadata": {"name": name},
            "spec": spec,
        });
        let params = PostParams {
            dry_run,
            ..PostParams::default()
        };
        let url = self.api.resource_url();
        let body = object.to_string().into_bytes();
        let request = kube::core::Request::new(url).create(&params, body);
        // Not read: what is stored may be nested deeper than parsers like.
        let request = request.map_err(kube::Error::BuildRequest)?;
        self.client.request_text(request).await.map(drop)
    }

    /// Replaces the spec of one.
    pub(crate) async fn edit(&self, name: &str, spec: &Value) -> Result<(), kube::Error> {
        let patch = json!([{"op": "replace", "path": "/spec", "value": spec}]);
        let patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
        let patch = Patch::<()>::Json(patch);
        self.api
            .patch(name, &PatchParams::default(), &patch)
            .await
            .map(drop)
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<(), kube::Error> {
        self.api
            .delete(name, &DeleteParams::default())
            .await
            .map(drop)
    }
}

/// A Service `web` without pods, and its fully qualified name.
pub(crate) async fn web(client: &Client, namespace: &str) -> anyhow::Result<String> {
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}]},
    });
    Api::<Service>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &serde_json::from_value(service)?)
        .await?;
    Ok(format!("web.{namespace}.svc.cluster.local"))
}

/// A spec of one route with this timeout.
pub(crate) fn route(name: &str, timeout: &str) -> Value {
    json!({"routes": [{
        "name": name, "condition": {"method": "GET", "pathRegex": "/.*"}, "timeout": timeout,
    }]})
}
