//! Webhooks that the API server does not call, or cannot.

use crate::{
    certificates::Root,
    mesh::{Mesh, NAMESPACE, here},
};
use anyhow::Result;
use k8s_openapi::ByteString;
use serde_json::{Value, json};

const API: &str = "/apis/admissionregistration.k8s.io/v1";

fn injector() -> String {
    format!("{API}/mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config")
}

fn policy() -> String {
    format!("{API}/validatingwebhookconfigurations/linkerd-policy-validator-webhook-config")
}

pub(crate) async fn no_configuration(mesh: &Mesh) -> Result<()> {
    let (injector, policy) = (
        mesh.objects.remove(&injector()).await?,
        mesh.objects.remove(&policy()).await?,
    );
    let told = mesh.check(&[]).await?;
    let why = ["there is no linkerd-proxy-injector-webhook-config"];
    told.fails("l5d-existence-mwc", &why)?;
    // Linkerd's own check looks at the other one alone.
    let why = ["there is no linkerd-policy-validator-webhook-config"];
    told.fails("l5d-existence-vwc", &why)?;
    told.was_stopped("l5d-proxy-injector-webhook-cert-valid", "l5d-existence-mwc")?;
    injector.mend().await?;
    policy.mend().await
}

pub(crate) async fn linkerds_configuration(mesh: &Mesh) -> Result<()> {
    let edit = |configuration: &mut Value| {
        configuration["webhooks"][0]["clientConfig"]["service"]["path"] = "/".into();
    };
    let spoilt = mesh.objects.spoil(&injector(), edit).await?;
    let told = mesh.check(&[]).await?;
    told.fails(
        "l5d-existence-mwc",
        &["is Linkerd's: it calls / and not /inject"],
    )?;
    spoilt.mend().await
}

pub(crate) async fn a_service_without_endpoints(mesh: &Mesh) -> Result<()> {
    let slice = here("endpointslices", "linkerd-proxy-injector-test");
    let spoilt = mesh.objects.remove(&slice).await?;
    let why = ["Service linkerd/linkerd-proxy-injector has no endpoint that is ready"];
    let id = "l5d-proxy-injector-webhook-endpoints";
    let told = mesh.until(&[], |told| told.fails(id, &why)).await?;
    told.succeeds("l5d-policy-validator-webhook-endpoints")?;
    told.succeeds("l5d-proxy-injector-webhook-cert-valid")?;
    spoilt.mend().await?;
    mesh.until(&[], |told| told.succeeds(id)).await.map(drop)
}

pub(crate) async fn an_injector_that_everything_waits_for(mesh: &Mesh) -> Result<()> {
    let edit = |configuration: &mut Value| {
        configuration["webhooks"][0]["failurePolicy"] = "Fail".into();
        configuration["webhooks"][0]["namespaceSelector"] = json!({"matchExpressions": [{
            "key": "config.linkerd.io/admission-webhooks",
            "operator": "NotIn", "values": ["disabled"],
        }]});
    };
    let spoilt = mesh.objects.spoil(&injector(), edit).await?;
    let told = mesh.check(&[]).await?;
    let why = ["failurePolicy is Fail", "linkerd-proxy-injector has 1"];
    told.warns("l5d-webhook-failure-policy", &why)?;
    told.warns(
        "l5d-webhook-kube-system",
        &["selects it, with failurePolicy Fail"],
    )?;
    // A label exempts as well.
    let label = |value: Value| json!({"metadata": {"labels": {"config.linkerd.io/admission-webhooks": value}}});
    let system = "/api/v1/namespaces/kube-system";
    mesh.objects
        .merge(system, &label("disabled".into()))
        .await?;
    mesh.check(&[]).await?.succeeds("l5d-webhook-kube-system")?;
    mesh.objects.merge(system, &label(Value::Null)).await?;
    spoilt.mend().await
}

pub(crate) async fn a_bundle_of_somebody_else(mesh: &Mesh) -> Result<()> {
    let other = ByteString(Root::new()?.pem().into_bytes());
    let edit = |configuration: &mut Value| {
        configuration["webhooks"][0]["clientConfig"]["caBundle"] = json!(other);
    };
    let spoilt = mesh.objects.spoil(&policy(), edit).await?;
    let told = mesh.check(&[]).await?;
    let why = [
        "linkerd-policy-validator-webhook-config does not hold the authority in Secret \
                ferrule-webhook-ca",
    ];
    told.fails("l5d-policy-validator-webhook-cert-valid", &why)?;
    told.succeeds("l5d-sp-validator-webhook-cert-valid")?;
    spoilt.mend().await?;
    let edit = |configuration: &mut Value| {
        let client = configuration["webhooks"][0]["clientConfig"].as_object_mut();
        client.unwrap().remove("caBundle");
    };
    let spoilt = mesh.objects.spoil(&policy(), edit).await?;
    let told = mesh.check(&[]).await?;
    told.fails(
        "l5d-policy-validator-webhook-cert-valid",
        &["has no caBundle"],
    )?;
    spoilt.mend().await
}

/// Where certificates are in Secrets, they are looked at themselves.
pub(crate) async fn a_certificate_of_somebody_else(mesh: &Mesh) -> Result<()> {
    let values = |map: &mut Value| {
        map["data"]["values"] = json!({"webhookTLS": {"mode": "external"}})
            .to_string()
            .into();
    };
    let values = mesh
        .objects
        .spoil(&here("configmaps", "linkerd-config"), values)
        .await?;
    let (root, other) = (Root::new()?, Root::new()?);
    let bundle = ByteString(root.pem().into_bytes());
    let edit = |configuration: &mut Value| {
        configuration["webhooks"][0]["clientConfig"]["caBundle"] = json!(bundle);
    };
    let configuration = mesh.objects.spoil(&injector(), edit).await?;
    let name = format!("linkerd-proxy-injector.{NAMESPACE}.svc");
    let id = "l5d-proxy-injector-webhook-cert-valid";
    let collection = here("secrets", "");
    for (pair, why) in [
        (root.leaf(&name)?, None),
        (
            root.leaf("injector.example.com")?,
            Some("is not good for linkerd-proxy-injector.linkerd.svc"),
        ),
        (other.leaf(&name)?, Some("BadSignature")),
        (root.issuer(10, -1)?, Some("has expired")),
    ] {
        let (certificate, key) = (
            ByteString(pair.certificate.into()),
            ByteString(pair.key.into()),
        );
        let secret = json!({
            "metadata": {"name": "linkerd-proxy-injector-k8s-tls"}, "type": "kubernetes.io/tls",
            "data": {"tls.crt": certificate, "tls.key": key},
        });
        let secret = mesh
            .objects
            .add(collection.trim_end_matches('/'), &secret)
            .await?;
        let told = mesh.check(&[]).await?;
        match why {
            None => told.succeeds(id)?,
            Some(why) => told.fails(id, &[why])?,
        }
        secret.mend().await?;
    }
    configuration.mend().await?;
    values.mend().await
}

pub(crate) async fn a_webhook_that_nobody_serves(mesh: &Mesh) -> Result<()> {
    let told = mesh.check(&[]).await?;
    let why = ["would store it", "failurePolicy is Ignore"];
    told.fails("l5d-policy-validator-webhook-reachable", &why)?;
    let fail = |configuration: &mut Value| {
        configuration["webhooks"][0]["failurePolicy"] = "Fail".into();
    };
    let spoilt = mesh.objects.spoil(&injector(), fail).await?;
    let why = [
        "failed calling webhook \"linkerd-proxy-injector.linkerd.io\"",
        "refused",
    ];
    let id = "l5d-proxy-injector-webhook-reachable";
    mesh.until(&[], |told| told.fails(id, &why)).await?;
    spoilt.mend().await
}
