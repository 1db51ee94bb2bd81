//! The workloads, as they are read and restarted.

use super::{
    budget::{self, Budget},
    opt_in::Said,
    workload::{Kind, RESTARTED_FOR, Workload},
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject},
};
use serde_json::json;
use std::{collections::HashMap, time::Duration};

/// Metadata of this many objects is about a megabyte.
const PAGE: u32 = 500;
const MANAGER: &str = "ferrule";

/// What objects say about being restarted, by namespace (empty for namespaces
/// themselves) and name. Those that say nothing are not in it.
pub(super) type AllSaid = HashMap<(String, String), Said>;

pub(super) struct Objects {
    client: Client,
    /// How long a write may take.
    timeout: Duration,
}

impl Objects {
    pub(super) fn new(client: &Client, timeout: Duration) -> Self {
        Self {
            client: client.clone(),
            timeout,
        }
    }

    /// What all namespaces say.
    pub(super) async fn namespaces(&self) -> kube::Result<AllSaid> {
        self.said(&ApiResource::erase::<Namespace>(&())).await
    }

    /// What all workloads of a kind say.
    pub(super) async fn workloads(&self, kind: Kind) -> kube::Result<AllSaid> {
        self.said(&kind.resource()).await
    }

    async fn said(&self, resource: &ApiResource) -> kube::Result<AllSaid> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), resource);
        let mut params = ListParams::default().limit(PAGE);
        let mut all = AllSaid::new();
        loop {
            let page = api.list_metadata(&params).await?;
            for object in page.items {
                let said = Said::of(object.metadata.annotations.as_ref());
                if said != Said::Nothing {
                    let namespace = object.namespace().unwrap_or_default();
                    all.insert((namespace, object.name_any()), said);
                }
            }
            match page.metadata.continue_ {
                Some(next) if !next.is_empty() => params = params.continue_token(&next),
                _ => return Ok(all),
            }
        }
    }

    pub(super) async fn get(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> kube::Result<Option<Workload>> {
        self.api(kind, namespace).get_opt(name).await
    }

    /// All PodDisruptionBudgets of a namespace.
    pub(super) async fn budgets(&self, namespace: &str) -> kube::Result<Vec<Budget>> {
        let resource = budget::resource();
        let api: Api<Budget> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        Ok(api.list(&ListParams::default()).await?.items)
    }

    /// Has all pods of a workload replaced, unless it is another than was read. The
    /// same twice is nothing.
    pub(super) async fn restart(
        &self,
        kind: Kind,
        workload: &Workload,
        bundle: &str,
    ) -> kube::Result<()> {
        let namespace = workload.namespace().unwrap_or_default();
        let metadata = json!({"annotations": {RESTARTED_FOR: bundle}});
        let patch = Patch::Merge(json!({
            "metadata": {
                "uid": workload.metadata.uid,
                "resourceVersion": workload.metadata.resource_version,
            },
            "spec": {"template": {"metadata": metadata}},
        }));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let (api, name) = (self.api(kind, &namespace), workload.name_any());
        super::within(self.timeout, api.patch(&name, &params, &patch))
            .await
            .map(drop)
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<Workload> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }
}
