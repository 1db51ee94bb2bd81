//! Workloads that are not as they were meant.

use crate::{
    certificates::Root,
    mesh::{Mesh, NAMESPACE, here},
};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

const NAMESPACES: &str = "/api/v1/namespaces";

async fn namespace(mesh: &Mesh, name: &str, annotations: &Value, labels: &Value) -> Result<()> {
    let metadata = json!({"name": name, "annotations": annotations, "labels": labels});
    mesh.objects
        .create(NAMESPACES, &json!({"metadata": metadata}))
        .await?;
    let account = format!("{NAMESPACES}/{name}/serviceaccounts/default");
    while mesh.objects.get(&account).await?.is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}

pub(crate) async fn a_slip_in_a_namespaces_annotation(mesh: &Mesh) -> Result<()> {
    let annotations = json!({
        "linkerd.io/inject": "enabled",
        "config.linkerd.io/opaque-port": "3306",
        "config.linkerd.io/proxy-cpu-limit": "a lot",
    });
    namespace(mesh, "slip", &annotations, &json!({})).await?;
    let told = mesh.check(&[]).await?;
    let why = [
        "Namespace slip: annotation config.linkerd.io/opaque-port: nothing reads an annotation of \
         this name; config.linkerd.io/opaque-ports is read",
        "config.linkerd.io/proxy-cpu-limit: \"a lot\" will not be understood",
    ];
    told.warns("ferrule-namespace-annotations", &why)?;
    let mended = json!({"metadata": {"annotations": {
        "config.linkerd.io/opaque-port": null, "config.linkerd.io/proxy-cpu-limit": null,
        "linkerd.io/inject": "yes",
    }}});
    let path = format!("{NAMESPACES}/slip");
    mesh.objects.merge(&path, &mended).await?;
    let told = mesh.check(&[]).await?;
    let why = ["linkerd.io/inject: \"yes\" will not be understood: expected enabled, disabled"];
    told.warns("ferrule-namespace-annotations", &why)?;
    let mended = json!({"metadata": {"annotations": {"linkerd.io/inject": "enabled"}}});
    mesh.objects.merge(&path, &mended).await
}

pub(crate) async fn a_policy_that_was_stored_without_the_webhook(mesh: &Mesh) -> Result<()> {
    let exempt = json!({"config.linkerd.io/admission-webhooks": "disabled"});
    namespace(mesh, "exempt", &json!({}), &exempt).await?;
    let collection = "/apis/policy.linkerd.io/v1alpha1/namespaces/exempt/networkauthentications";
    let office = json!({
        "apiVersion": "policy.linkerd.io/v1alpha1", "kind": "NetworkAuthentication",
        "metadata": {"name": "office"},
        "spec": {"networks": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}]},
    });
    let office = mesh.objects.add(collection, &office).await?;
    let told = mesh.check(&[]).await?;
    let why = ["NetworkAuthentication exempt/office: spec.networks[0].except[0]"];
    told.warns("ferrule-stored-objects", &why)?;
    office.mend().await
}

/// A pod with a proxy as injection would have left it, some time ago.
fn meshed(name: &str, anchors: &str, image: &str, token: &Value) -> Value {
    json!({
        "metadata": {
            "name": name,
            "labels": {"linkerd.io/control-plane-ns": NAMESPACE, "app": name},
            "annotations": {"linkerd.io/inject": "disabled"},
        },
        "spec": {
            "containers": [
                {"name": "web", "image": "web:1", "ports": [{"name": "http", "containerPort": 8080}]},
                {
                    "name": "linkerd-proxy", "image": image,
                    "env": [
                        {"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": anchors},
                        {
                            "name": "LINKERD2_PROXY_IDENTITY_TOKEN_FILE",
                            "value": "/var/run/secrets/tokens/linkerd-identity-token",
                        },
                    ],
                    "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets/tokens"}],
                },
            ],
            "volumes": [token],
        },
    })
}

fn bound(audience: &str) -> Value {
    json!({"name": "token", "projected": {"sources": [{"serviceAccountToken": {
        "audience": audience, "path": "linkerd-identity-token",
    }}]}})
}

async fn published(mesh: &Mesh) -> Result<String> {
    let map = mesh
        .objects
        .get(&here("configmaps", "linkerd-identity-trust-roots"))
        .await?;
    let pem = map.context("a bundle")?["data"]["ca-bundle.crt"]
        .as_str()
        .map(str::to_owned);
    pem.context("a text")
}

/// The image of proxies that are injected now.
async fn current(mesh: &Mesh) -> Result<String> {
    let map = mesh
        .objects
        .get(&here("configmaps", "linkerd-config"))
        .await?;
    let map = map.context("a ConfigMap")?;
    let values: Value = serde_yaml::from_str(map["data"]["values"].as_str().context("a text")?)?;
    let version = values["proxy"]["image"]["version"]
        .as_str()
        .filter(|version| !version.is_empty());
    let version = version.or(values["linkerdVersion"].as_str());
    Ok(format!(
        "cr.l5d.io/linkerd/proxy:{}",
        version.context("a version")?
    ))
}

pub(crate) async fn old_proxies_with_an_old_bundle_and_odd_tokens(mesh: &Mesh) -> Result<()> {
    namespace(mesh, "shop", &json!({}), &json!({})).await?;
    let (bundle, current) = (published(mesh).await?, current(mesh).await?);
    let pods = format!("{NAMESPACES}/shop/pods");
    let good = bound("identity.l5d.io");
    mesh.objects
        .create(
            &pods,
            &meshed("good", &format!("# ours\n{bundle}"), &current, &good),
        )
        .await?;
    mesh.until(&["--proxy", "-n", "shop"], |told| told.is_well_but_for(&[]))
        .await?;

    let old = Root::new()?.pem();
    let image = "cr.l5d.io/linkerd/proxy:stable-2.14.0";
    let secret = json!({"name": "token", "secret": {"secretName": "web-token"}});
    let mut odd = Vec::new();
    for pod in [
        meshed("old", &bundle, image, &good),
        meshed("behind", &old, &current, &good),
        meshed("ahead", &format!("{old}{bundle}"), &current, &good),
        meshed("for-ever", &bundle, &current, &secret),
        meshed("for-anybody", &bundle, &current, &bound("")),
    ] {
        odd.push(mesh.objects.add(&pods, &pod).await?);
    }
    let is_told = |told: &crate::told::Told| {
        told.succeeds("l5d-data-plane-ready")?;
        let why = ["pod/old in namespace shop (1 pod): version stable-2.14.0"];
        told.warns("l5d-data-plane-version", &why)?;
        let id = "l5d-identity-data-plane-proxies-certs-match-ca";
        let why = [
            "pod/behind in namespace shop (1 pod): lacks an anchor that is published, trusts an \
             anchor that is not published any more",
            "pod/ahead in namespace shop (1 pod): trusts an anchor that is not published any more",
        ];
        told.warns(id, &why)?;
        let why = [
            "pod/for-ever in namespace shop (1 pod): its token is in Secret web-token",
            "pod/for-anybody in namespace shop (1 pod): it shows the token that its pod uses",
        ];
        told.warns("ferrule-bound-tokens", &why)
    };
    mesh.until(&["--proxy"], is_told).await?;
    // In another namespace there is nothing of that.
    mesh.check(&["--proxy", "-n", "slip"])
        .await?
        .is_well_but_for(&[])?;
    for pod in odd {
        pod.mend().await?;
    }
    mesh.until(&["--proxy"], |told| told.is_well_but_for(&[]))
        .await
        .map(drop)
}

pub(crate) async fn labels_and_annotations_in_the_wrong_place(mesh: &Mesh) -> Result<()> {
    let pods = format!("{NAMESPACES}/shop/pods");
    let pod = json!({
        "metadata": {"name": "labelled", "labels": {
            "linkerd.io/inject": "enabled", "linkerd.io/proxy-deployment": "web",
        }},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    });
    let services = format!("{NAMESPACES}/shop/services");
    let service = json!({
        "metadata": {
            "name": "web",
            "annotations": {"linkerd.io/inject": "enabled"},
            "labels": {"mirror.linkerd.io/cluster-name": "west"},
        },
        "spec": {"ports": [{"port": 80}]},
    });
    let pod = mesh.objects.add(&pods, &pod).await?;
    let service = mesh.objects.add(&services, &service).await?;
    let told = mesh.check(&["--proxy", "-n", "shop"]).await?;
    let why = [
        "pod shop/labelled: linkerd.io/inject is an annotation",
        "pod shop/labelled: linkerd.io/proxy-deployment is a label that the injector writes",
    ];
    told.warns("l5d-data-plane-pod-labels", &why)?;
    told.warns("l5d-data-plane-services-annotations", &["Service shop/web"])?;
    let why = ["Service shop/web: mirror.linkerd.io/cluster-name"];
    told.warns("l5d-data-plane-services-labels", &why)?;
    pod.mend().await?;
    service.mend().await
}

pub(crate) async fn ports_that_are_opaque_on_one_side(mesh: &Mesh) -> Result<()> {
    let services = format!("{NAMESPACES}/shop/services");
    let service = json!({
        "metadata": {"name": "db", "annotations": {"config.linkerd.io/opaque-ports": "80"}},
        "spec": {"selector": {"app": "good"}, "ports": [{"port": 80, "targetPort": "http"}]},
    });
    let service = mesh.objects.add(&services, &service).await?;
    let told = mesh.check(&["--proxy"]).await?;
    let why = ["Service shop/db says that port 80 is opaque, pod/good does not of its 8080"];
    told.warns("linkerd-opaque-ports-definition", &why)?;
    service.mend().await
}

pub(crate) async fn a_namespace_that_is_not_there(mesh: &Mesh) -> Result<()> {
    let told = mesh.check(&["--proxy", "-n", "nowhere"]).await?;
    told.fails("l5d-data-plane-exists", &["there is no namespace nowhere"])?;
    told.was_stopped("l5d-data-plane-ready", "l5d-data-plane-exists")
}
