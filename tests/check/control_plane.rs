//! Objects of the chart that are missing or changed, and processes that are not well.

use crate::mesh::{Mesh, NAMESPACE, here};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::PATIENCE;
use k8s_openapi::{
    api::core::v1::Pod,
    jiff::{SignedDuration, Timestamp},
};
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};
use std::time::Duration;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Changes the chart's values as they are in the cluster.
pub(crate) async fn values(
    mesh: &Mesh,
    edit: impl Fn(&mut Value),
) -> Result<crate::objects::Spoilt> {
    let edit = |map: &mut Value| {
        let text = map["data"]["values"].as_str().unwrap_or_default();
        let mut values: Value = serde_yaml::from_str(text).unwrap();
        edit(&mut values);
        // JSON is YAML.
        map["data"]["values"] = values.to_string().into();
    };
    mesh.objects
        .spoil(&here("configmaps", "linkerd-config"), edit)
        .await
}

pub(crate) async fn a_missing_definition(mesh: &Mesh) -> Result<()> {
    let path = format!("{DEFINITIONS}/serverauthorizations.policy.linkerd.io");
    let spoilt = mesh.objects.remove(&path).await?;
    let why = ["there is no serverauthorizations.policy.linkerd.io"];
    mesh.check(&[])
        .await?
        .fails("l5d-existence-crd-config", &why)?;
    mesh.check(&["--crds"])
        .await?
        .fails("l5d-existence-crd", &why)?;
    spoilt.mend().await?;
    mesh.until(&["--crds"], |told| told.is_well_but_for(&[]))
        .await
        .map(drop)
}

pub(crate) async fn a_version_that_is_stored_and_not_served(mesh: &Mesh) -> Result<()> {
    let path = format!("{DEFINITIONS}/grpcroutes.gateway.networking.k8s.io");
    let edit = |crd: &mut Value| {
        let versions = crd["spec"]["versions"].as_array_mut().unwrap();
        let mut old = versions[0].clone();
        old["name"] = "v1alpha2".into();
        old["served"] = false.into();
        old["storage"] = false.into();
        versions.push(old);
    };
    let spoilt = mesh.objects.spoil(&path, edit).await?;
    let stored = json!({"status": {"storedVersions": ["v1", "v1alpha2"]}});
    mesh.objects
        .merge(&format!("{path}/status"), &stored)
        .await?;
    let told = mesh.check(&[]).await?;
    let why = ["grpcroutes.gateway.networking.k8s.io: status.storedVersions has v1alpha2"];
    told.warns("gateway-api-crd-stored-versions", &why)?;
    let stored = json!({"status": {"storedVersions": ["v1"]}});
    mesh.objects
        .merge(&format!("{path}/status"), &stored)
        .await?;
    spoilt.mend().await
}

pub(crate) async fn a_missing_binding(mesh: &Mesh) -> Result<()> {
    let path = format!("{RBAC}/clusterrolebindings/linkerd-{NAMESPACE}-destination");
    let spoilt = mesh.objects.remove(&path).await?;
    let why = ["ServiceAccount linkerd-destination may not list services"];
    let told = mesh
        .until(&[], |told| told.fails("l5d-rbac-destination", &why))
        .await?;
    let why = ["there is no ClusterRoleBinding linkerd-linkerd-destination"];
    told.fails("l5d-existence-crb", &why)?;
    spoilt.mend().await
}

pub(crate) async fn a_role_without_a_verb(mesh: &Mesh) -> Result<()> {
    let path = format!("{RBAC}/clusterroles/linkerd-{NAMESPACE}-policy");
    let edit = |role: &mut Value| {
        let rules = role["rules"].as_array_mut().unwrap();
        rules.retain(|rule| rule["verbs"] != json!(["patch"]));
    };
    let spoilt = mesh.objects.spoil(&path, edit).await?;
    let why = ["linkerd-destination may not patch httproutes/status.policy.linkerd.io"];
    let told = mesh
        .until(&[], |told| told.fails("l5d-rbac-policy", &why))
        .await?;
    told.succeeds("l5d-existence-cr")?;
    spoilt.mend().await
}

pub(crate) async fn a_missing_account(mesh: &Mesh) -> Result<()> {
    let spoilt = mesh
        .objects
        .remove(&here("serviceaccounts", "linkerd-identity"))
        .await?;
    let told = mesh.check(&[]).await?;
    told.fails(
        "l5d-existence-sa",
        &["there is no ServiceAccount linkerd-identity"],
    )?;
    spoilt.mend().await
}

pub(crate) async fn values_that_are_none(mesh: &Mesh) -> Result<()> {
    let path = here("configmaps", "linkerd-config");
    let spoilt = mesh
        .objects
        .spoil(&path, |map| map["data"]["values"] = "a: [".into())
        .await?;
    let told = mesh.check(&[]).await?;
    told.fails("l5d-existence-linkerd-config", &[])?;
    told.was_stopped("l5d-api-control-ready", "l5d-existence-linkerd-config")?;
    // What does not depend on it is looked at.
    told.succeeds("l5d-existence-ns")?;
    told.succeeds("l5d-rbac-policy")?;
    spoilt.mend().await
}

pub(crate) async fn another_namespace(mesh: &Mesh) -> Result<()> {
    let told = mesh.check(&["-L", "mesh"]).await?;
    told.fails("l5d-existence-ns", &["there is no namespace mesh"])?;
    told.fails(
        "l5d-existence-linkerd-config",
        &["there is no ConfigMap mesh/linkerd-config"],
    )
}

pub(crate) async fn a_network_that_is_too_small(mesh: &Mesh) -> Result<()> {
    let spoilt = values(mesh, |values| {
        values["clusterNetworks"] = "10.96.0.0/24".into();
    })
    .await?;
    let told = mesh.check(&[]).await?;
    told.fails(
        "l5d-cluster-networks-pods",
        &["pod linkerd/linkerd-identity-", ": 10.128."],
    )?;
    told.fails(
        "l5d-cluster-networks-services",
        &["Service linkerd/linkerd-dst: 10.96."],
    )?;
    spoilt.mend().await
}

async fn identity_pod(mesh: &Mesh) -> Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(mesh.cluster.client()?, NAMESPACE);
    let params = ListParams::default().labels("linkerd.io/control-plane-component=identity");
    pods.list(&params).await?.items.pop().context("a pod")
}

pub(crate) async fn a_pod_that_is_not_ready(mesh: &Mesh) -> Result<()> {
    let client = mesh.cluster.client()?;
    let pod = identity_pod(mesh).await?;
    ferrule_test_cluster::pods::unready(&client, &pod).await?;
    let told = mesh.check(&[]).await?;
    let why = format!("identity: pod {} is not ready", pod.name_any());
    told.fails("l5d-api-control-ready", &[&why])?;
    told.was_stopped("ferrule-write-leases", "l5d-api-control-ready")?;
    ferrule_test_cluster::pods::ready(&client, &pod)
        .await
        .map(drop)
}

/// What may still come to be is waited for, and that is told.
pub(crate) async fn a_pod_that_becomes_ready(mesh: &Mesh) -> Result<()> {
    let client = mesh.cluster.client()?;
    let pod = identity_pod(mesh).await?;
    ferrule_test_cluster::pods::unready(&client, &pod).await?;
    let later = async {
        // It looks again every five seconds.
        tokio::time::sleep(Duration::from_secs(12)).await;
        ferrule_test_cluster::pods::ready(&client, &pod).await
    };
    let patience = format!("{}s", PATIENCE.as_secs());
    let wait = ["--wait", &patience];
    let (told, ready) = tokio::join!(mesh.check(&wait), later);
    ready?;
    let told = told?;
    told.is_well_but_for(&[])?;
    ensure!(told.code == Some(0));
    let said = &told.stderr;
    ensure!(
        said.contains("waiting for: destination, identity and proxy-injector each"),
        "{said}"
    );
    ensure!(said.contains("is not ready"), "{said}");
    Ok(())
}

pub(crate) async fn pods_that_a_quota_forbids(mesh: &Mesh) -> Result<()> {
    let quotas = here("resourcequotas", "");
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    let quota = mesh
        .objects
        .add(quotas.trim_end_matches('/'), &quota)
        .await?;
    let path = here("deployments", "linkerd-identity");
    let replicas = |count: u32| json!({"spec": {"replicas": count}});
    mesh.objects.merge(&path, &replicas(2)).await?;
    let why = ["replicaset linkerd-identity-", "exceeded quota"];
    let told = mesh
        .until(&[], |told| told.fails("l5d-existence-replicasets", &why))
        .await?;
    told.was_stopped("l5d-api-control-ready", "l5d-existence-replicasets")?;
    quota.mend().await?;
    mesh.objects.merge(&path, &replicas(1)).await?;
    mesh.until(&[], |told| told.succeeds("l5d-existence-replicasets"))
        .await
        .map(drop)
}

pub(crate) async fn a_clock_that_is_wrong(mesh: &Mesh) -> Result<()> {
    for (minutes, said) in [(-20, "ago"), (15, "in the future")] {
        let beat = Timestamp::now() + SignedDuration::from_mins(minutes);
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "",
            "lastHeartbeatTime": beat.to_string(), "lastTransitionTime": beat.to_string(),
        });
        let status = json!({"status": {"conditions": [ready]}});
        mesh.objects
            .merge("/api/v1/nodes/n2/status", &status)
            .await?;
        let told = mesh.check(&[]).await?;
        told.warns(
            "l5d-identity-clock-skew",
            &["node n2: its last heartbeat", said],
        )?;
        ensure!(told.code == Some(0), "a warning is no failure");
        let told = mesh.check_alone(&["--pre"]).await?;
        told.warns("pre-k8s-clock-skew", &["node n2", said])?;
        mesh.refresh().await?;
    }
    Ok(())
}

pub(crate) async fn another_version(mesh: &Mesh) -> Result<()> {
    let path = here("deployments", "linkerd-destination");
    let edit = |deployment: &mut Value| {
        deployment["metadata"]["labels"]["app.kubernetes.io/version"] = "0.0.1".into();
    };
    let spoilt = mesh.objects.spoil(&path, edit).await?;
    let told = mesh.check(&[]).await?;
    let why = ["Deployment linkerd-destination is version 0.0.1"];
    told.warns("l5d-version-control-mismatched", &why)?;
    spoilt.mend().await?;
    for (flag, said) in [
        ("--expected-version", "expected is 9.9.9"),
        ("--cli-version-override", "this command is 9.9.9"),
    ] {
        let told = mesh.check(&[flag, "9.9.9"]).await?;
        told.warns("l5d-version-control-mismatched", &[said])?;
    }
    let version = env!("CARGO_PKG_VERSION");
    let same = [
        "--cli-version-override=9.9.9",
        "--expected-version",
        version,
    ];
    let told = mesh.check(&same).await?;
    told.succeeds("l5d-version-control-mismatched")
}

pub(crate) async fn too_few_replicas(mesh: &Mesh) -> Result<()> {
    let spoilt = values(mesh, |values| values["highAvailability"] = true.into()).await?;
    let told = mesh.check(&[]).await?;
    let why = ["identity: 1 available, expected at least 2"];
    told.warns("l5d-control-plane-replicas", &why)?;
    told.succeeds("l5d-ha-nodes")?;
    mesh.objects
        .merge(
            "/api/v1/nodes/n3",
            &json!({"spec": {"unschedulable": true}}),
        )
        .await?;
    let told = mesh.check(&[]).await?;
    told.warns("l5d-ha-nodes", &["there are 2"])?;
    mesh.objects
        .merge(
            "/api/v1/nodes/n3",
            &json!({"spec": {"unschedulable": null}}),
        )
        .await?;
    spoilt.mend().await
}

pub(crate) async fn probes_that_are_denied(mesh: &Mesh) -> Result<()> {
    let edit = |values: &mut Value| {
        values["proxy"]["defaultInboundPolicy"] = "deny".into();
        values["policyController"]["probeNetworks"] = json!([]);
        values["identity"]["serviceAccountTokenProjection"] = false.into();
    };
    let spoilt = values(mesh, edit).await?;
    let told = mesh.check(&[]).await?;
    let id = "ferrule-default-deny-probes";
    let why = ["defaultInboundPolicy is deny and policyController.probeNetworks is empty"];
    told.warns(id, &why)?;
    told.warns(
        "ferrule-token-projection",
        &["serviceAccountTokenProjection is false"],
    )?;
    spoilt.mend().await?;
    // Kubelets have no identity, so whoever wants one denies them, too.
    for (policy, is_denied) in [
        ("all-authenticated", true),
        ("cluster-authenticated", true),
        ("cluster-unauthenticated", false),
        ("all-unauthenticated", false),
        ("audit", false),
    ] {
        let edit = |values: &mut Value| {
            values["proxy"]["defaultInboundPolicy"] = policy.into();
            values["policyController"]["probeNetworks"] = json!([]);
        };
        let spoilt = values(mesh, edit).await?;
        let told = mesh.check(&[]).await?;
        match is_denied {
            true => told.warns(id, &[&format!("defaultInboundPolicy is {policy}")])?,
            false => told.succeeds(id)?,
        }
        spoilt.mend().await?;
    }
    let edit = |values: &mut Value| values["policyController"]["probeNetworks"] = json!([]);
    let spoilt = values(mesh, edit).await?;
    let annotate = |policy: Value| json!({"metadata": {"annotations": {"config.linkerd.io/default-inbound-policy": policy}}});
    let namespace = "/api/v1/namespaces/default";
    let strict = annotate("all-authenticated".into());
    mesh.objects.merge(namespace, &strict).await?;
    let told = mesh.check(&[]).await?;
    told.warns(
        id,
        &["namespace default: config.linkerd.io/default-inbound-policy is all-authenticated"],
    )?;
    let as_it_was = annotate(Value::Null);
    mesh.objects.merge(namespace, &as_it_was).await?;
    spoilt.mend().await
}

pub(crate) async fn an_extension_twice(mesh: &Mesh) -> Result<()> {
    let namespaces = "/api/v1/namespaces";
    let labels = json!({"linkerd.io/extension": "viz"});
    for name in ["viz-a", "viz-b"] {
        let namespace = json!({"metadata": {"name": name, "labels": labels}});
        mesh.objects.create(namespaces, &namespace).await?;
    }
    let told = mesh.check(&[]).await?;
    told.warns(
        "l5d-extension-namespaces",
        &["viz is in namespaces viz-a, viz-b"],
    )?;
    let none = json!({"metadata": {"labels": {"linkerd.io/extension": null}}});
    mesh.objects
        .merge(&format!("{namespaces}/viz-b"), &none)
        .await
}

pub(crate) async fn a_plugin_that_is_not_there(mesh: &Mesh) -> Result<()> {
    let spoilt = values(mesh, |values| values["cniEnabled"] = true.into()).await?;
    let told = mesh.check(&[]).await?;
    told.fails(
        "cni-plugin-ds-exists",
        &["there is no DaemonSet linkerd-cni"],
    )?;
    told.fails("cni-plugin-cm-exists", &["linkerd-cni-config"])?;
    told.was_stopped("cni-plugin-ready", "cni-plugin-ds-exists")?;
    spoilt.mend().await
}

pub(crate) async fn leases_that_nobody_renews(mesh: &Mesh) -> Result<()> {
    let long_ago = Timestamp::now() - SignedDuration::from_mins(10);
    let renewed = long_ago.strftime("%Y-%m-%dT%H:%M:%S.000000Z").to_string();
    let lease = json!({"spec": {"renewTime": renewed}});
    mesh.objects
        .merge(&here("leases", "policy-controller-write"), &lease)
        .await?;
    let told = mesh.check(&[]).await?;
    let why = [
        "Lease policy-controller-write:",
        "has not renewed it for 10m",
    ];
    told.warns("ferrule-write-leases", &why)
}
