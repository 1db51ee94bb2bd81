//! A cluster that had the kinds before: what is in it stays, and stays usable.

use anyhow::{Context as _, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::support::{cluster, object};

/// Ours in another group, since the other tests share the cluster and its definitions.
const GROUP: &str = "takeover.example";

fn definition() -> CustomResourceDefinition {
    let mut crd = ferrule_crds::all()
        .into_iter()
        .find(|crd| crd.spec.names.kind == "Server")
        .expect("there is a kind Server");
    crd.metadata.name = Some(format!("servers.{GROUP}"));
    crd.spec.group = GROUP.to_owned();
    crd.spec.names.short_names = None;
    crd
}

fn root(crd: &mut CustomResourceDefinition) -> impl Iterator<Item = &mut JSONSchemaProps> {
    crd.spec.versions.iter_mut().map(|version| {
        let schema = version.schema.as_mut().expect("every version has a schema");
        schema.open_api_v3_schema.as_mut().expect("of this kind")
    })
}

fn drop_rules(schema: &mut JSONSchemaProps) {
    schema.x_kubernetes_validations = None;
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|map| map.values_mut())
    {
        drop_rules(property);
    }
}

#[tokio::test]
async fn an_object_that_breaks_a_new_rule_can_be_changed_elsewhere() -> Result<()> {
    let cluster = cluster().await?;
    let namespace = cluster.namespace("takeover").await?;
    let client = cluster.client()?;
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = definition().name_any();
    let apply = PatchParams::apply("test").force();

    let mut before = definition();
    root(&mut before).for_each(drop_rules);
    crds.patch(&name, &apply, &Patch::Apply(&before)).await?;
    await_condition(crds.clone(), &name, conditions::is_crd_established()).await?;
    let version = format!("{GROUP}/v1beta3");
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk(GROUP, "v1beta3", "Server"),
        "servers",
    );
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace.name(), &resource);
    let broken = json!({ "podSelector": {}, "port": 80, "proxyProtocol": "http" });
    api.create(
        &PostParams::default(),
        &object(&version, "Server", "old", &broken),
    )
    .await?;

    crds.patch(&name, &apply, &Patch::Apply(&definition()))
        .await?;
    // The new schema is in force once it refuses what the old one accepted.
    let mut refused = None;
    for number in 0..200 {
        let new = object(&version, "Server", &format!("new-{number}"), &broken);
        refused = api.create(&PostParams::default(), &new).await.err();
        if refused.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let refused = refused.context("the new rules came into force")?;
    assert!(
        refused.to_string().contains("must be unknown, HTTP/1"),
        "{refused}"
    );

    let change = |value| Patch::Merge(value);
    let merge = PatchParams::default();
    let changed = api
        .patch(
            "old",
            &merge,
            &change(json!({ "metadata": { "labels": { "a": "b" } }, "spec": { "port": 81 } })),
        )
        .await?;
    assert_eq!(changed.data["spec"]["port"], 81);
    let worse = api
        .patch(
            "old",
            &merge,
            &change(json!({ "spec": { "proxyProtocol": "grpc" } })),
        )
        .await;
    assert!(worse.is_err(), "a change of the broken field is looked at");
    let mended = api
        .patch(
            "old",
            &merge,
            &change(json!({ "spec": { "proxyProtocol": "HTTP/1" } })),
        )
        .await?;
    assert_eq!(mended.data["spec"]["proxyProtocol"], "HTTP/1");
    crds.delete(&name, &kube::api::DeleteParams::default())
        .await?;
    Ok(())
}
