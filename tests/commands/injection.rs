//! Why pods have no proxy, asked of a cluster where they have none.

use crate::shell::{APPLY, Shell};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::TestAuthority;
use serde_json::{Value, json};
use std::time::Duration;

/// The codes that are told of something in namespace shop.
async fn codes(shell: &Shell, subject: &str) -> Result<Vec<String>> {
    let told = shell
        .told(&["why-not-injected", subject, "-n=shop", "-o=json"])
        .await?;
    let told: Value = serde_json::from_str(&told)?;
    let reasons = told["reasons"].as_array().context("reasons")?;
    for reason in reasons {
        let remedy = reason["remedy"].as_str().context("a remedy")?;
        ensure!(remedy.len() > 10, "{reason}");
    }
    let codes = reasons.iter().filter_map(|reason| reason["code"].as_str());
    Ok(codes.map(ToOwned::to_owned).collect())
}

fn deployment(name: &str, annotations: &Value) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": {"containers": [{"name": "web", "image": "web"}]},
            },
        },
    })
}

#[tokio::test]
async fn what_keeps_a_pod_from_its_proxy_is_told() -> Result<()> {
    let shell = Shell::new(Cluster::start(Options::default()).await?).await?;
    let shop = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "annotations": {"linkerd.io/injekt": "enabled"}},
    });
    shell.kubectl(APPLY, &shop.to_string()).await?;
    let web = deployment("web", &json!({}));
    shell.kubectl(APPLY, &web.to_string()).await?;

    ensure!(codes(&shell, "deploy/web").await? == ["not-registered", "no-control-plane"]);
    let nobody = shell
        .refused(&["why-not-injected", "web-0", "-n=shop"])
        .await?;
    ensure!(
        nobody.contains("there is no pod shop/web-0") && nobody.contains("deploy/NAME"),
        "{nobody}"
    );

    shell.pipe(&["install", "--crds"], APPLY).await?;
    shell.pipe(&["install"], APPLY).await?;
    // Nobody runs: the webhook has no certificate, and pods come without a proxy.
    let text = shell
        .told(&["why-not-injected", "deploy/web", "-n=shop"])
        .await?;
    let expected = "\
deployment shop/web gets no proxy:

1. linkerd-proxy-injector.linkerd.io has no caBundle, so the API server trusts no injector: \
                    pods are created without a proxy meanwhile (failurePolicy Ignore)
   to do: it is written by the holder of Lease ferrule-webhook-ca, or by cert-manager: see that \
                    they run, and their logs

2. namespace shop has the annotation linkerd.io/injekt, which nobody reads
   to do: did you mean linkerd.io/inject? kubectl annotate namespace shop \
                    linkerd.io/inject=enabled (or annotate the pod template), then kubectl rollout \
                    restart -n shop deployment/web
";
    ensure!(text == expected, "{text}");
    // The same by the name that it has among diagnostics.
    let args = ["dg", "why-not-injected", "deploy/web", "-n=shop"];
    ensure!(shell.told(&args).await? == expected);

    let annotate = ["annotate", "namespace", "shop", "linkerd.io/inject=enabled"];
    shell.kubectl(&annotate, "").await?;
    ensure!(codes(&shell, "deploy/web").await? == ["no-ca-bundle", "no-trust-anchors"]);
    let anchors = TestAuthority::new()?.anchors_pem();
    let roots = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "linkerd-identity-trust-roots", "namespace": "linkerd"},
        "data": {"ca-bundle.crt": anchors},
    });
    shell.kubectl(APPLY, &roots.to_string()).await?;
    ensure!(codes(&shell, "deploy/web").await? == ["no-ca-bundle"]);
    let label = [
        "label",
        "namespace",
        "shop",
        "config.linkerd.io/admission-webhooks=disabled",
    ];
    shell.kubectl(&label, "").await?;
    ensure!(codes(&shell, "deploy/web").await? == ["namespace-not-selected"]);

    // Pods that are refused are told of by their workload.
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": "shop"}, "spec": {"hard": {"pods": "0"}},
    });
    shell.kubectl(APPLY, &quota.to_string()).await?;
    let refused = deployment("refused", &json!({}));
    shell.kubectl(APPLY, &refused.to_string()).await?;
    let mut last = Vec::new();
    for _ in 0..300 {
        last = codes(&shell, "deploy/refused").await?;
        if last.iter().any(|code| code == "not-created") {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("that pods are refused is not told: {last:?}")
}
