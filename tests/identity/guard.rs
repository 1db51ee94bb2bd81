//! Somebody puts an issuer there that not all workloads trust yet.

use crate::{
    files::Files,
    mesh::{ISSUER, Mesh, ROOTS, Traffic},
    roles::own_kubeconfig,
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::eventually;
use ferrule_tests::{Ferrule, TestAuthority};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Secret},
    rbac::v1::{ClusterRole, ClusterRoleBinding},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::time::Duration;

const HELD: &str = "issuer_held_back";
const WAITING: &str = "issuer_laggard_pods{issuer=\"waiting\"}";
const SIGNING: &str = "issuer_laggard_pods{issuer=\"signing\"}";

/// Waits until a series has this value.
async fn until(identity: &Ferrule, series: &str, value: f64) -> Result<()> {
    eventually(&format!("{series} is {value}"), async || {
        let is_so = identity.metric(series).await? == Some(value);
        Ok(is_so.then_some(()))
    })
    .await
}

/// What is said of the issuer that waits.
async fn waits_for(identity: &Ferrule) -> Result<String> {
    let told = identity.json("/debug/identity").await?["issuer"]["heldBack"].clone();
    let told = told["waitsFor"].as_str().context("one waits")?;
    Ok(told.to_owned())
}

fn both(old: &TestAuthority, new: &TestAuthority) -> String {
    format!("{}{}", old.anchors_pem(), new.anchors_pem())
}

#[tokio::test]
async fn an_issuer_that_comes_too_early_waits_for_the_last_who_does_not_trust_it() -> Result<()> {
    let mesh = Mesh::new("guard").await?;
    let files = Files::new(&mesh);
    let (old, new) = (TestAuthority::new()?, TestAuthority::new()?);
    let (alone, both) = (old.anchors_pem(), both(&old, &new));
    files.issuer(&old)?;
    files.anchors(&alone)?;
    let (one, two) = tokio::try_join!(files.identity(&mesh), files.identity(&mesh))?;
    mesh.pod("laggard", &alone).await?;
    let of_old = [
        mesh.proxy(&one, &alone).await?,
        mesh.proxy(&two, &alone).await?,
    ];
    let of_old = Traffic::begin(of_old.into());

    // Issuer and bundle at the same time, and nobody has restarted.
    files.issuer(&new)?;
    files.anchors(&both)?;
    for identity in [&one, &two] {
        until(identity, HELD, 1.0).await?;
        until(identity, WAITING, 1.0).await?;
        let waits = waits_for(identity).await?;
        ensure!(waits.contains("1 pod of 1 workload: "), "{waits}");
        ensure!(waits.ends_with("/pod/laggard"), "{waits}");
        assert!(identity.is_ready().await?);
    }
    mesh.pod("restarted", &both).await?;
    let of_both = [
        mesh.proxy(&one, &both).await?,
        mesh.proxy(&two, &both).await?,
    ];
    for fresh in &of_both {
        of_old.meets(fresh).await?;
    }
    let of_both = Traffic::begin_when(of_both.into(), &old.issuer_pem()).await?;
    mesh.event("IssuerUpdateHeld").await?;
    of_old.is_under(&old.issuer_pem()).await?;
    of_old.end().await?;

    mesh.gone("laggard").await?;
    of_both.is_under(&new.issuer_pem()).await?;
    for identity in [&one, &two] {
        until(identity, HELD, 0.0).await?;
        assert_eq!(identity.metric(WAITING).await?, None);
    }
    // The old one leaves in its time.
    files.anchors(&new.anchors_pem())?;
    one.logged("updated trust anchors").await?;
    of_both
        .meets(&mesh.proxy(&one, &new.anchors_pem()).await?)
        .await?;
    of_both.end().await?;
    // Each of the two has told of it.
    let told = mesh.events("IssuerUpdateHeld").await?;
    ensure!(told.len() == 1, "{told:?}");
    assert_eq!(told[0].type_.as_deref(), Some("Warning"));
    let text = told[0].message.clone().context("a message")?;
    ensure!(text.contains("ferrule.io/issuer-override="), "{text}");
    ensure!(mesh.events("IssuerNotTrusted").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_secret_of_cert_manager_that_is_replaced_too_early_waits_likewise() -> Result<()> {
    let mesh = Mesh::new("guard-secret").await?;
    let (old, new) = (TestAuthority::new()?, TestAuthority::new()?);
    let (alone, both) = (old.anchors_pem(), both(&old, &new));
    let secret = |authority: &TestAuthority| {
        json!({
            "metadata": {"name": ISSUER},
            "stringData": {
                "tls.crt": authority.issuer_pem(), "tls.key": authority.issuer_key_pem(),
            },
        })
    };
    let bundle = |pem: &str| json!({"metadata": {"name": ROOTS}, "data": {"ca-bundle.crt": pem}});
    let (secrets, maps): (Api<Secret>, Api<ConfigMap>) = (mesh.secrets(), mesh.config_maps());
    let params = PostParams::default();
    let map = serde_json::from_value(bundle(&alone))?;
    maps.create(&params, &map).await?;
    let first = serde_json::from_value(secret(&old))?;
    secrets.create(&params, &first).await?;
    let identity = mesh
        .identity(&["--identity-scheme=kubernetes.io/tls"])
        .await?;
    identity.ready().await?;
    mesh.pod("laggard", &alone).await?;
    let laggard = mesh.proxy(&identity, &alone).await?;

    // The issuer comes before its anchor does.
    let params = PatchParams::default();
    let patch = Patch::Merge(secret(&new));
    secrets.patch(ISSUER, &params, &patch).await?;
    mesh.event("IssuerUpdateSkipped").await?;
    let patch = Patch::Merge(bundle(&both));
    maps.patch(ROOTS, &params, &patch).await?;
    until(&identity, HELD, 1.0).await?;
    let fresh = mesh.proxy(&identity, &both).await?;
    let traffic = Traffic::begin_when(vec![fresh, laggard], &old.issuer_pem()).await?;
    let kubeconfig = mesh.kubeconfig().to_str().context("UTF-8")?;
    let admin = identity.address_of("admin").await?.to_string();
    let status = [
        "identity",
        "status",
        "--api-addr",
        &admin,
        "--kubeconfig",
        kubeconfig,
    ];
    let own = ["-L", mesh.namespace.name()];
    let printed = Ferrule::command(&[&status[..], &own].concat()).await?;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    for text in [
        "issuer that waits",
        "it is not trusted by 1 pod of 1 workload",
        "pod/laggard",
    ] {
        ensure!(printed.stdout.contains(text), "{text}: {printed:?}");
    }
    traffic.end().await?;

    mesh.gone("laggard").await?;
    until(&identity, HELD, 0.0).await?;
    let traffic = vec![mesh.proxy(&identity, &both).await?];
    let traffic = Traffic::begin_when(traffic, &new.issuer_pem()).await?;
    traffic.end().await?;
    Ok(())
}

#[tokio::test]
async fn an_issuer_that_not_all_trust_signs_if_somebody_says_so_and_after_a_restart() -> Result<()>
{
    let mesh = Mesh::new("guard-override").await?;
    let files = Files::new(&mesh);
    let (old, new) = (TestAuthority::new()?, TestAuthority::new()?);
    let both = both(&old, &new);
    files.issuer(&old)?;
    files.anchors(&both)?;
    let identity = files.identity(&mesh).await?;
    until(&identity, SIGNING, 0.0).await?;
    mesh.pod("laggard", &old.anchors_pem()).await?;
    let traffic = vec![mesh.proxy(&identity, &both).await?];
    let traffic = Traffic::begin(traffic);
    let sha256 = async |pointer: &str| -> Result<String> {
        let state = identity.json("/debug/identity").await?;
        let text = state.pointer(pointer).and_then(|text| text.as_str());
        Ok(text.context("a SHA-256")?[..12].to_owned())
    };
    let labels = json!({"app": "identity"});
    // It names the issuer of another time.
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "linkerd-identity", "annotations": {
            "ferrule.io/issuer-override": sha256("/issuer/chain/0/sha256").await?,
        }},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [
                {"name": "identity", "image": "identity"}]}},
        },
    }))?;
    let deployments: Api<Deployment> = Api::namespaced(mesh.client.clone(), mesh.namespace.name());
    deployments
        .create(&PostParams::default(), &deployment)
        .await?;
    files.issuer(&new)?;
    until(&identity, HELD, 1.0).await?;
    let waiting = sha256("/issuer/heldBack/sha256").await?;
    let patch = json!({"metadata": {"annotations": {"ferrule.io/issuer-override": waiting}}});
    let params = PatchParams::default();
    deployments
        .patch("linkerd-identity", &params, &Patch::Merge(patch))
        .await?;
    traffic.is_under(&new.issuer_pem()).await?;
    until(&identity, SIGNING, 1.0).await?;
    identity.logged("because somebody has asked for it").await?;
    mesh.event("IssuerNotTrusted").await?;
    traffic.end().await?;

    // The key of the one before is nowhere any more.
    identity.kill().await?;
    let old = old.with_another_issuer(Duration::from_secs(3600))?;
    files.issuer(&old)?;
    let identity = files.identity(&mesh).await?;
    mesh.proxy(&identity, &old.anchors_pem()).await?;
    until(&identity, SIGNING, 0.0).await?;
    identity.kill().await?;
    files.issuer(&new)?;
    let identity = files.identity(&mesh).await?;
    identity
        .logged("signs, as there is no other since this process has started")
        .await?;
    until(&identity, SIGNING, 1.0).await?;
    assert_eq!(identity.metric(HELD).await?, Some(0.0));
    Ok(())
}

#[tokio::test]
async fn without_the_right_to_count_pods_the_old_issuer_signs_until_it_is_near_its_end()
-> Result<()> {
    let mesh = Mesh::new("guard-blind").await?;
    let name = format!("ferrule-test-{}-blind", mesh.namespace.name());
    let role = json!({
        "metadata": {"name": name},
        "rules": [{
            "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"],
            "verbs": ["create"],
        }],
    });
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{
            "kind": "ServiceAccount", "name": "default", "namespace": mesh.namespace.name(),
        }],
    });
    let params = PostParams::default();
    let roles: Api<ClusterRole> = Api::all(mesh.client.clone());
    let role = serde_json::from_value(role)?;
    roles.create(&params, &role).await?;
    let bindings: Api<ClusterRoleBinding> = Api::all(mesh.client.clone());
    let binding = serde_json::from_value(binding)?;
    bindings.create(&params, &binding).await?;

    let files = Files::new(&mesh);
    let lifetime = Duration::from_secs(45);
    let (old, new) = (
        TestAuthority::new()?.with_another_issuer(lifetime)?,
        TestAuthority::new()?,
    );
    let both = both(&old, &new);
    files.issuer(&old)?;
    files.anchors(&both)?;
    let kubeconfig = own_kubeconfig(&mesh).await?;
    let identity = files.identity_as(&mesh, &kubeconfig).await?;
    let proxies = [
        mesh.proxy(&identity, &both).await?,
        mesh.proxy(&identity, &both).await?,
    ];
    let traffic = Traffic::begin(proxies.into());
    files.issuer(&new)?;
    until(&identity, HELD, 1.0).await?;
    assert_eq!(identity.metric(WAITING).await?, None);
    let waits = waits_for(&identity).await?;
    ensure!(waits.contains("pods cannot be counted: "), "{waits}");
    traffic.is_under(&old.issuer_pem()).await?;
    traffic.is_under(&new.issuer_pem()).await?;
    traffic.end().await?;
    Ok(())
}
