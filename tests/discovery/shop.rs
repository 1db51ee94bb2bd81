//! A Deployment and its Service.

use anyhow::Context as _;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

/// `web` in a namespace, meshed.
pub(crate) struct Shop {
    client: Client,
    namespace: String,
}

impl Shop {
    pub(crate) async fn open(
        client: &Client,
        namespace: &str,
        replicas: usize,
    ) -> anyhow::Result<Self> {
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"app": "web"},
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "http"},
                    {"name": "metrics", "port": 9090, "targetPort": 9091},
                ],
            },
        });
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web", "linkerd.io/control-plane-ns": "linkerd"}},
                    "spec": {"containers": [
                        {
                            "name": "web",
                            "image": "example/web",
                            "ports": [{"name": "http", "containerPort": 8080}],
                        },
                        {
                            "name": "linkerd-proxy",
                            "image": "example/proxy",
                            "env": [
                                {"name": "LINKERD2_PROXY_INBOUND_LISTEN_ADDR", "value": "0.0.0.0:4143"},
                                {"name": "LINKERD2_PROXY_ADMIN_LISTEN_ADDR", "value": "0.0.0.0:4191"},
                                {"name": "LINKERD2_PROXY_CONTROL_LISTEN_ADDR", "value": "0.0.0.0:4190"},
                            ],
                        },
                    ]},
                },
            },
        });
        let shop = Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
        };
        let create = PostParams::default();
        let service = serde_json::from_value(service)?;
        shop.services()
            .create(&create, &service)
            .await
            .context("creating Service web")?;
        let deployment = serde_json::from_value(deployment)?;
        shop.deployments()
            .create(&create, &deployment)
            .await
            .context("creating Deployment web")?;
        Ok(shop)
    }

    pub(crate) fn authority(&self, port: u16) -> String {
        format!("web.{}.svc.cluster.local:{port}", self.namespace)
    }

    pub(crate) async fn scale(&self, replicas: usize) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        self.deployments()
            .patch("web", &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("scaling Deployment web to {replicas}"))?;
        Ok(())
    }

    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        self.deployments()
            .delete("web", &DeleteParams::background())
            .await
            .context("deleting Deployment web")?;
        Ok(())
    }

    pub(crate) async fn cluster_ip(&self) -> anyhow::Result<String> {
        let service = self.services().get("web").await?;
        service
            .spec
            .and_then(|spec| spec.cluster_ip)
            .context("Service web has a cluster IP")
    }

    /// The name of a pod of it, once there is one.
    pub(crate) async fn pod(&self) -> anyhow::Result<String> {
        let list = ListParams::default().labels("app=web");
        let pods = self.pods().list(&list).await?;
        let pod = pods.items.into_iter().next().context("there is a pod")?;
        pod.metadata.name.context("a pod has a name")
    }

    pub(crate) async fn annotate_pod(
        &self,
        pod: &str,
        key: &str,
        value: &str,
    ) -> anyhow::Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        self.pods()
            .patch(pod, &PatchParams::default(), &patch)
            .await
            .with_context(|| format!("annotating pod {pod}"))?;
        Ok(())
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn services(&self) -> Api<Service> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}
