//! Statuses: written apart from the rest, completed with defaults, read by our types.

use anyhow::Result;
use ferrule_crds::{EgressNetwork, ExternalWorkload, HttpLocalRateLimitPolicy, HttpRoute, Link};
use kube::api::{Patch, PatchParams, PostParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::support::{api, cluster, object};

const TIME: &str = "2026-01-02T03:04:05Z";

/// Writes `status` beside a new `spec`, and returns the status read back, which our type must
/// read, too.
async fn write<T>(api_version: &str, kind: &str, spec: Value, status: Value) -> Result<Value>
where
    T: DeserializeOwned + Serialize,
{
    let cluster = cluster().await?;
    let namespace = cluster.namespace("status").await?;
    let api = api(&cluster.client()?, namespace.name(), api_version, kind);
    let mut new = object(api_version, kind, "it", &spec);
    new.data["status"] = status.clone();
    let created = api.create(&PostParams::default(), &new).await?;
    assert_eq!(
        created.data["status"],
        Value::Null,
        "a new object has no status"
    );
    let patch = json!({ "status": status });
    api.patch_status("it", &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    let read = api.get("it").await?;
    for (field, value) in spec.as_object().into_iter().flatten() {
        assert_eq!(&read.data["spec"][field], value, "a status changes no spec");
    }
    let typed: T = serde_json::from_value(serde_json::to_value(&read)?)?;
    assert_eq!(serde_json::to_value(typed)?["status"], read.data["status"]);
    Ok(read.data["status"].clone())
}

fn condition() -> Value {
    json!({ "type": "Accepted", "status": "False", "reason": "NoMatchingTarget",
            "message": "", "lastTransitionTime": TIME })
}

#[tokio::test]
async fn a_route_says_what_became_of_it_at_each_parent() -> Result<()> {
    // An EgressNetwork without a port cannot be asked for, but found in an older object.
    let parent = json!({ "kind": "EgressNetwork", "name": "out" });
    let mut accepted = condition();
    accepted["observedGeneration"] = json!(3);
    let entry = json!({ "parentRef": parent, "controllerName": "linkerd.io/policy-controller",
                        "conditions": [accepted] });
    let mut read = entry.clone();
    read["parentRef"]["group"] = json!("policy.linkerd.io");
    let status = json!({ "parents": [entry] });
    assert_eq!(
        write::<HttpRoute>("policy.linkerd.io/v1beta3", "HTTPRoute", json!({}), status).await?,
        json!({ "parents": [read] })
    );
    Ok(())
}

#[tokio::test]
async fn a_rate_limit_says_which_target_it_found() -> Result<()> {
    let target = json!({ "group": "policy.linkerd.io", "kind": "Server", "name": "web" });
    let status = json!({ "conditions": [condition()], "targetRef": { "name": "web" } });
    assert_eq!(
        write::<HttpLocalRateLimitPolicy>(
            "policy.linkerd.io/v1alpha1",
            "HTTPLocalRateLimitPolicy",
            json!({ "targetRef": target }),
            status
        )
        .await?,
        json!({ "conditions": [condition()], "targetRef": target })
    );
    Ok(())
}

#[tokio::test]
async fn an_egress_network_says_whether_it_is_accepted() -> Result<()> {
    let status = json!({ "conditions": [condition()] });
    let spec = json!({ "trafficPolicy": "Allow" });
    let read = write::<EgressNetwork>(
        "policy.linkerd.io/v1alpha1",
        "EgressNetwork",
        spec,
        status.clone(),
    )
    .await?;
    assert_eq!(read, status);
    Ok(())
}

#[tokio::test]
async fn an_external_workload_says_whether_it_is_ready() -> Result<()> {
    // What writes it is not ours; a condition may have no more than this.
    let status = json!({ "conditions": [
        { "type": "Ready", "status": "True", "lastProbeTime": TIME },
        { "type": "example.com/Other", "status": "Unknown" },
    ] });
    let spec = json!({ "meshTLS": { "identity": "vm", "serverName": "vm" } });
    let read = write::<ExternalWorkload>(
        "workload.linkerd.io/v1beta1",
        "ExternalWorkload",
        spec,
        status.clone(),
    )
    .await?;
    assert_eq!(read, status);
    Ok(())
}

#[tokio::test]
async fn a_link_says_what_became_of_each_service() -> Result<()> {
    let mut mirrored = condition();
    mirrored["localRef"] = json!({ "name": "web-east", "namespace": "shop" });
    let entry = json!({
        "controllerName": "linkerd.io/service-mirror",
        "remoteRef": { "group": "", "kind": "Service", "name": "web", "namespace": "shop" },
        "conditions": [mirrored],
    });
    let mut read = entry.clone();
    read["conditions"][0]["localRef"]["group"] = json!("core");
    read["conditions"][0]["localRef"]["kind"] = json!("Service");
    let status = json!({ "mirrorServices": [entry], "federatedServices": [entry] });
    assert_eq!(
        write::<Link>(
            "multicluster.linkerd.io/v1alpha3",
            "Link",
            json!({}),
            status
        )
        .await?,
        json!({ "mirrorServices": [read], "federatedServices": [read] })
    );
    Ok(())
}
