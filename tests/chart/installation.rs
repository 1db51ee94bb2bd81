//! What a real API server makes of the chart.

use crate::{
    cases::{Cases, texts},
    helm::{CHART, NAMESPACE, apply, ask, is_helm_3, pipe, render},
    walk,
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster, Options, eventually};
use serde_json::{Value, json};

const RELEASE: &str = "ferrule-control-plane";

/// What Helm is told about the release.
async fn helm(cluster: &Cluster, verb: &str, further: &[&str]) -> Result<String> {
    let mut args = vec![verb, RELEASE];
    args.extend(further);
    args.extend(["--namespace", NAMESPACE]);
    ask(cluster, Helm, &args).await
}

async fn install_crds(cluster: &Cluster) -> Result<()> {
    let args = [
        "install",
        "ferrule-crds",
        "charts/ferrule-crds",
        "--namespace",
        NAMESPACE,
        "--create-namespace",
    ];
    ask(cluster, Helm, &args).await.map(drop)
}

async fn get(cluster: &Cluster, what: &[&str]) -> Result<Value> {
    let mut args = vec!["get", "--namespace", NAMESPACE, "--output=json"];
    args.extend(what);
    Ok(serde_json::from_str(&ask(cluster, Kubectl, &args).await?)?)
}

/// Whether there is such an object.
async fn exists(cluster: &Cluster, what: &str) -> Result<bool> {
    let args = ["get", "--namespace", NAMESPACE, "--ignore-not-found", what];
    Ok(!ask(cluster, Kubectl, &args).await?.is_empty())
}

#[tokio::test]
async fn a_release_is_installed_upgraded_rolled_back_and_removed() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install_crds(&cluster).await?;
    let notes = helm(&cluster, "install", &[CHART]).await?;
    ensure!(notes.contains("kubectl label namespace linkerd"), "{notes}");
    ensure!(notes.contains("enforce=restricted"), "{notes}");
    ensure!(!notes.contains("do nothing here"), "{notes}");
    ensure!(!notes.contains("are deprecated"), "{notes}");
    // As Linkerd's pods need it.
    let level = "pod-security.kubernetes.io/enforce=privileged";
    ask(&cluster, Kubectl, &["label", "namespace", NAMESPACE, level]).await?;
    let config = "configmap/linkerd-config";
    let uid = get(&cluster, &[config]).await?["metadata"]["uid"].clone();
    let destination = "deployment/linkerd-destination";
    let first = get(&cluster, &[destination]).await?["spec"].clone();

    // Ferrule writes caBundle; releases that come leave it there.
    let webhooks = "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config";
    write_ca_bundle(&cluster).await?;
    let bundle = "/webhooks/0/clientConfig/caBundle";
    let written = get(&cluster, &[webhooks]).await?;
    ensure!(written.pointer(bundle).is_some(), "{written}");

    let cases = Cases::new()?;
    let ignored = cases.with("high availability", &walk::ignored()?)?;
    let mut upgrade = vec![CHART, "--set=proxyInjector.timeoutSeconds=7,proxy.cores=2"];
    upgrade.extend(texts(&ignored));
    let notes = helm(&cluster, "upgrade", &upgrade).await?;
    ensure!(notes.contains("do nothing here"), "{notes}");
    let rows = ferrule_charts::generated::values(&crate::helm::root(), RELEASE)?;
    for row in rows.iter().filter(|row| row.ignored().is_some()) {
        let line = format!("\n     {}: ", row.name());
        ensure!(notes.contains(&line), "{} is not in {notes}", row.name());
    }
    ensure!(notes.contains("are deprecated"), "{notes}");
    ensure!(
        notes.contains("proxy.cores: say proxy.runtime.workers"),
        "{notes}"
    );
    ensure!(!notes.contains("enforce="), "{notes}");
    ensure!(get(&cluster, &[destination]).await?["spec"]["replicas"] == 3);
    ensure!(exists(&cluster, "poddisruptionbudget/linkerd-identity").await?);
    let upgraded = get(&cluster, &[webhooks]).await?;
    ensure!(upgraded.pointer(bundle) == written.pointer(bundle));
    ensure!(upgraded.pointer("/webhooks/0/timeoutSeconds") == Some(&json!(7)));

    helm(&cluster, "rollback", &["1"]).await?;
    ensure!(get(&cluster, &[destination]).await?["spec"] == first);
    ensure!(!exists(&cluster, "poddisruptionbudget/linkerd-identity").await?);
    ensure!(get(&cluster, &[webhooks]).await?.pointer(bundle) == written.pointer(bundle));
    ensure!(get(&cluster, &[config]).await?["metadata"]["uid"] == uid);

    helm(&cluster, "uninstall", &[]).await?;
    for gone in [config, destination, webhooks, "role/linkerd-identity"] {
        ensure!(!exists(&cluster, gone).await?, "{gone} is left");
    }
    ensure!(exists(&cluster, "crd/servers.policy.linkerd.io").await?);
    // Nothing is in the way of doing it again.
    helm(&cluster, "install", &[CHART]).await.map(drop)
}

/// A certificate that each upgrade made anew would, until all pods have it, not be the one
/// that API servers trust.
#[tokio::test]
async fn helm_makes_the_webhooks_certificates_once_a_year() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install_crds(&cluster).await?;
    let mode = "--set=webhookTLS.mode=helm";
    // What Ferrule has written until then is Helm's only if it is told so.
    helm(&cluster, "install", &[CHART]).await?;
    write_ca_bundle(&cluster).await?;
    let upgraded = helm(&cluster, "upgrade", &[CHART, mode]).await;
    ensure!(upgraded.is_ok() == is_helm_3().await?, "{upgraded:?}");
    helm(&cluster, "upgrade", &[CHART, mode, "--force-conflicts"]).await?;
    let first = made(&cluster).await?;
    helm(&cluster, "upgrade", &[CHART, mode]).await?;
    ensure!(made(&cluster).await? == first);
    for service in SERVICES {
        let secret = format!("secret/linkerd-{service}-k8s-tls");
        let args = ["annotate", "--overwrite", "-n", NAMESPACE, &secret];
        let args = [&args[..], &["ferrule.io/renew-after=1"]].concat();
        ask(&cluster, Kubectl, &args).await?;
    }
    // Since somebody else wrote the annotation.
    helm(&cluster, "upgrade", &[CHART, mode, "--force-conflicts"]).await?;
    let second = made(&cluster).await?;
    ensure!(
        second
            .iter()
            .zip(&first)
            .all(|(second, first)| second != first)
    );
    Ok(())
}

/// The Services that have a certificate.
const SERVICES: [&str; 2] = ["proxy-injector", "policy-validator"];

/// The certificates that Helm made, which are what the API server goes by.
async fn made(cluster: &Cluster) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for (service, configurations) in SERVICES.iter().zip([
        &["mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config"][..],
        &[
            "validatingwebhookconfigurations/linkerd-policy-validator-webhook-config",
            "validatingwebhookconfigurations/linkerd-sp-validator-webhook-config",
        ],
    ]) {
        let secret = get(cluster, &[&format!("secret/linkerd-{service}-k8s-tls")]).await?;
        let certificate = secret["data"]["tls.crt"]
            .as_str()
            .context("a certificate")?;
        for configuration in configurations {
            let registered = get(cluster, &[configuration]).await?;
            let client = &registered["webhooks"][0]["clientConfig"];
            ensure!(client["caBundle"] == certificate, "{configuration}");
            let name = format!("linkerd-{service}");
            ensure!(client["service"]["name"] == *name, "{configuration}");
        }
        let deployment = if *service == "proxy-injector" {
            *service
        } else {
            "destination"
        };
        let deployment = format!("deployment/linkerd-{deployment}");
        let pod = get(cluster, &[&deployment]).await?["spec"].to_string();
        ensure!(pod.contains(&format!("linkerd-{service}-k8s-tls")), "{pod}");
        ensure!(pod.contains("--webhook-certificates=files"), "{pod}");
        made.push(certificate.to_owned());
    }
    Ok(made)
}

/// A trust anchor that goes with a release, or with a value that was left out, takes the
/// mesh with it.
#[tokio::test]
async fn the_trust_anchors_outlive_values_and_release() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    install_crds(&cluster).await?;
    let cases = Cases::new()?;
    let (_, everything) = cases.all.last().context("there are some")?;
    define_monitors(&cluster).await?;
    let mut install = vec![CHART];
    install.extend(texts(everything));
    helm(&cluster, "install", &install).await?;
    let anchors = "configmap/linkerd-identity-trust-roots";
    let issuer = "secret/linkerd-identity-issuer";
    let before = get(&cluster, &[anchors]).await?["data"].clone();
    // As if Ferrule was to make them.
    helm(&cluster, "upgrade", &[CHART, "--reset-values"]).await?;
    ensure!(get(&cluster, &[anchors]).await?["data"] == before);
    ensure!(exists(&cluster, issuer).await?);
    helm(&cluster, "uninstall", &[]).await?;
    ensure!(get(&cluster, &[anchors]).await?["data"] == before);
    ensure!(exists(&cluster, issuer).await?);
    Ok(())
}

#[tokio::test]
async fn what_is_rendered_is_valid_and_applied_twice_is_the_same() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        // The strictest profile that there is, for pods.
        "metadata": {"name": NAMESPACE, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        }},
    });
    apply(&cluster, &[namespace]).await?;
    define_monitors(&cluster).await?;
    for (name, args) in &Cases::new()?.all {
        let manifests = render(&texts(args)).await?;
        let apply = ["apply", "--server-side", "--filename=-"];
        let dry = [&apply[..], &["--dry-run=server"]].concat();
        let tried = pipe(&cluster, &dry, &manifests).await?;
        ensure!(tried.stderr.is_empty(), "{name}: {}", tried.stderr);
        tried.succeeded(name)?;
        pipe(&cluster, &apply, &manifests).await?.succeeded(name)?;
        write_ca_bundle(&cluster).await?;
        // 0 says that there is no difference, in a field that anybody owns.
        let diff = ["diff", "--server-side", "--filename=-"];
        let diff = pipe(&cluster, &diff, &manifests).await?.succeeded(name)?;
        ensure!(diff.is_empty(), "{name}: {diff}");
        pipe(&cluster, &apply, &manifests).await?.succeeded(name)?;
        let delete = ["delete", "--filename=-", "--ignore-not-found"];
        pipe(&cluster, &delete, &manifests).await?.succeeded(name)?;
    }
    Ok(())
}

/// As Ferrule does, where the chart leaves it to it.
async fn write_ca_bundle(cluster: &Cluster) -> Result<()> {
    let name = "linkerd-proxy-injector-webhook-config";
    let stored = get(cluster, &[&format!("mutatingwebhookconfigurations/{name}")]).await?;
    if stored
        .pointer("/webhooks/0/clientConfig/caBundle")
        .is_some()
    {
        return Ok(());
    }
    let (pem, _) = crate::cases::authority()?;
    let bundle = k8s_openapi::ByteString(pem.into_bytes());
    let webhook = json!({
        "name": stored["webhooks"][0]["name"], "clientConfig": {"caBundle": bundle},
    });
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name}, "webhooks": [webhook],
    });
    let args = [
        "apply",
        "--server-side",
        "--field-manager=ferrule-webhook-ca",
        "--force-conflicts",
        "--filename=-",
    ];
    let written = pipe(cluster, &args, &configuration.to_string()).await?;
    written.succeeded(&args).map(drop)
}

/// The kinds of the Prometheus operator, as far as the API server must know them.
pub(crate) async fn define_monitors(cluster: &Cluster) -> Result<()> {
    let definition = |kind: &str| {
        let plural = format!("{}s", kind.to_lowercase());
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.monitoring.coreos.com")},
            "spec": {
                "group": "monitoring.coreos.com", "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": schema},
                }],
            },
        })
    };
    apply(
        cluster,
        &[definition("PodMonitor"), definition("PrometheusRule")],
    )
    .await?;
    let wait = [
        "wait",
        "--for=condition=Established",
        "--timeout=120s",
        "crd/podmonitors.monitoring.coreos.com",
        "crd/prometheusrules.monitoring.coreos.com",
    ];
    ask(cluster, Kubectl, &wait).await?;
    // It is a moment until they are found.
    eventually("the kinds are served", async || {
        let kinds = ["get", "podmonitors,prometheusrules", "--all-namespaces"];
        Ok(ask(cluster, Kubectl, &kinds).await.ok().map(drop))
    })
    .await
}
