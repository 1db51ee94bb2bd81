//! The definitions of all kinds that the webhook is asked about.

use anyhow::Context as _;
use ferrule_tests::crds;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams},
    core::{ApiResource, GroupVersionKind},
    runtime::wait::{await_condition, conditions},
};
use serde_json::json;

pub(crate) struct Definitions(Vec<CustomResourceDefinition>);

impl Definitions {
    /// The mesh's own, which are those of the chart, and the Gateway API's, as far as
    /// types can tell them.
    pub(crate) fn all() -> Self {
        let mut all = ferrule_crds::all();
        all.extend(crds::gateway_api());
        Self(all)
    }

    /// The same, except that any spec may be stored.
    pub(crate) fn loosened(&self) -> Self {
        let mut all = self.0.clone();
        for version in all.iter_mut().flat_map(|crd| &mut crd.spec.versions) {
            let anything = json!({
                "type": "object",
                "properties": {"spec": {"x-kubernetes-preserve-unknown-fields": true}},
            });
            let schema: Option<JSONSchemaProps> = serde_json::from_value(anything).ok();
            if let Some(validation) = &mut version.schema {
                validation.open_api_v3_schema = schema;
            }
        }
        Self(all)
    }

    pub(crate) async fn install(&self, client: &Client) -> anyhow::Result<()> {
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        let params = PatchParams::apply("test").force();
        for crd in &self.0 {
            let name = crd.name_any();
            let applied = api.patch(&name, &params, &Patch::Apply(crd)).await;
            applied.with_context(|| format!("applying {name}"))?;
        }
        for crd in &self.0 {
            let established = conditions::is_crd_established();
            await_condition(api.clone(), &crd.name_any(), established).await?;
        }
        Ok(())
    }

    /// The resource that objects of a kind are stored as.
    pub(crate) fn resource(&self, group: &str, kind: &str) -> Option<ApiResource> {
        let mut all = self.0.iter();
        let crd = all.find(|crd| crd.spec.group == group && crd.spec.names.kind == kind)?;
        let stored = crd.spec.versions.iter().find(|version| version.storage)?;
        let kind = GroupVersionKind::gvk(group, &stored.name, kind);
        Some(ApiResource::from_gvk_with_plural(
            &kind,
            &crd.spec.names.plural,
        ))
    }
}
