//! The roles work with the rights of the chart, need all of them, and are refused
//! nothing: told by the API server's own audit log.

use crate::{
    helm::{NAMESPACE, apply, ask, pipe, render},
    running::{Instead, Running, WEBHOOK_CA, leads, serve_the_webhooks, until},
    unknown::ask_for_what_nobody_knows,
};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster, PATIENCE, eventually};
use ferrule_tests::crds;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

/// An event about a workload is counted up after this long, ten seconds, and not before.
const EVENT_AGAIN: Duration = Duration::from_secs(12);

#[tokio::test]
async fn every_role_works_with_the_rights_of_the_chart_and_needs_all_of_them() -> Result<()> {
    let values = [
        "--set=identity.trustAnchorRotation.restartWorkloads=true",
        // A rotation waits for the leaves that there can be.
        "--set=identity.trustAnchorRotation.unconfirmedIssuance=3s",
        "--set=identity.issuer.issuanceLifetime=20s",
        "--set=identity.issuer.clockSkewAllowance=1s",
    ];
    let instead = Instead {
        destination: ["--restart-interval=0s", "--restart-settle=3s"]
            .map(ToOwned::to_owned)
            .to_vec(),
        ..Instead::default()
    };
    let running = Running::start(TempDir::new()?, &values, instead).await?;
    leads(&running.injector, WEBHOOK_CA).await?;
    serve_the_webhooks(&running).await?;
    inject(&running).await?;
    let told = Instant::now();
    discover(&running).await?;
    refuse(&running).await?;
    write_statuses(&running).await?;
    ask_for_what_nobody_knows(&running).await?;
    mend_the_authority(&running, "linkerd-proxy-injector").await?;
    rotate(&running).await?;
    rotate_the_anchor(&running).await?;
    // The same event again, later: it is counted up.
    sleep(EVENT_AGAIN.saturating_sub(told.elapsed())).await;
    let scale = [
        "scale",
        "--namespace=shop",
        "--replicas=2",
        "deployment/web",
    ];
    ask(&running.cluster, Kubectl, &scale).await?;
    let again = "--output=jsonpath={.items[?(@.reason==\"Injected\")].count}";
    until(
        &running.cluster,
        &["events", "--namespace=shop", again],
        |counts| {
            counts
                .split(' ')
                .any(|count| count != "1" && !count.is_empty())
        },
    )
    .await?;
    // Its Lease is free, and the other component's replica takes it.
    running.injector.terminate()?;
    leads(&running.destination, WEBHOOK_CA).await?;
    mend_the_authority(&running, "linkerd-destination").await?;
    nothing_differs(&running.cluster, &values).await?;
    let (grants, asked) = running.end().await?;
    let unused = grants.iter().filter(|grant| grant.used(&asked) == 0);
    let unused: Vec<_> = unused.map(ToString::to_string).collect();
    ensure!(
        unused.is_empty(),
        "these rights are for nothing: {unused:#?}"
    );
    Ok(())
}

pub(crate) async fn inject(running: &Running) -> Result<()> {
    let cluster = &running.cluster;
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "shop", "annotations": {"linkerd.io/inject": "enabled"}},
    });
    apply(cluster, &[namespace]).await?;
    let create = [
        "create",
        "deployment",
        "web",
        "--image=web",
        "--port=80",
        "--namespace=shop",
    ];
    ask(cluster, Kubectl, &create).await?;
    let expose = [
        "expose",
        "deployment",
        "web",
        "--port=80",
        "--namespace=shop",
    ];
    ask(cluster, Kubectl, &expose).await?;
    let names = "--output=jsonpath={.items[*].spec.initContainers[*].name}";
    // The API server hears of the webhook's endpoints when it does, and makes pods without
    // until then: others follow them.
    eventually("a pod with a proxy", async || {
        let get = ["get", "pods", "--namespace=shop", names];
        if ask(cluster, Kubectl, &get).await?.contains("linkerd-proxy") {
            return Ok(Some(()));
        }
        let delete = [
            "delete",
            "pods",
            "--all",
            "--namespace=shop",
            "--grace-period=0",
            "--force",
        ];
        ask(cluster, Kubectl, &delete).await?;
        sleep(Duration::from_millis(500)).await;
        Ok(None)
    })
    .await
}

async fn discover(running: &Running) -> Result<()> {
    let _kubelet = running.cluster.kubelet(Some("shop"), &["n1"]).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let asked = ["endpoints", "web.shop.svc.cluster.local:80"];
        let printed = running.destination.diagnostics(&asked).await?;
        if printed.stdout.contains("web.shop") {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{printed:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Nothing is refused unless the webhook is reached: the failure policy is Ignore.
async fn refuse(running: &Running) -> Result<()> {
    for (object, told) in [
        (
            json!({
                "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
                "metadata": {"name": "web.shop.svc.cluster.local", "namespace": "shop"},
                "spec": {"routes": [{
                    "name": "all", "timeout": "5", "condition": {"pathRegex": "/.*"},
                }]},
            }),
            "linkerd-sp-validator.linkerd.io",
        ),
        (
            json!({
                "apiVersion": "policy.linkerd.io/v1alpha1", "kind": "NetworkAuthentication",
                "metadata": {"name": "n", "namespace": "shop"},
                "spec": {"networks": [{"cidr": "10.0.0.0/8", "except": ["11.0.0.0/8"]}]},
            }),
            "linkerd-policy-validator.linkerd.io",
        ),
    ] {
        let create = ["create", "--dry-run=server", "--filename=-"];
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = pipe(&running.cluster, &create, &object.to_string()).await?;
            if answer.stderr.contains(told) {
                break;
            }
            ensure!(Instant::now() < deadline, "{told} lets it in: {answer:?}");
            sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

/// A route of each kind, a rate limit and an EgressNetwork, until all say something.
pub(crate) async fn write_statuses(running: &Running) -> Result<()> {
    let object = |group_version: &str, kind: &str, spec: Value| {
        json!({
            "apiVersion": group_version, "kind": kind,
            "metadata": {"name": "web", "namespace": "shop"}, "spec": spec,
        })
    };
    let policy = "policy.linkerd.io/v1beta3";
    let alpha = "policy.linkerd.io/v1alpha1";
    let server = json!({"podSelector": {}, "port": 80, "proxyProtocol": "HTTP/1"});
    let limit = json!({
        "targetRef": {"group": "policy.linkerd.io", "kind": "Server", "name": "web"},
        "total": {"requestsPerSecond": 10},
    });
    let mut objects = vec![
        object(policy, "Server", server),
        object(alpha, "HTTPLocalRateLimitPolicy", limit),
        object(alpha, "EgressNetwork", json!({"trafficPolicy": "Allow"})),
    ];
    let mut written = vec![
        "httplocalratelimitpolicies.policy.linkerd.io".to_owned(),
        "egressnetworks.policy.linkerd.io".to_owned(),
    ];
    for (group, kind) in [
        ("policy.linkerd.io", "HTTPRoute"),
        ("gateway.networking.k8s.io", "HTTPRoute"),
        ("gateway.networking.k8s.io", "GRPCRoute"),
        ("gateway.networking.k8s.io", "TLSRoute"),
        ("gateway.networking.k8s.io", "TCPRoute"),
    ] {
        let resource = crds::resource(group, kind)?;
        let mut spec = json!({
            "parentRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80}],
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        });
        if kind == "TLSRoute" {
            spec["hostnames"] = json!(["web.example.com"]);
        }
        objects.push(object(&resource.api_version, kind, spec));
        written.push(format!("{}.{group}", resource.plural));
    }
    apply(&running.cluster, &objects).await?;
    for kind in written {
        let status = ["--namespace=shop", "--output=jsonpath={.items[*].status}"];
        let args = [&[kind.as_str()][..], &status].concat();
        until(&running.cluster, &args, |status| {
            status.contains("Accepted")
        })
        .await?;
    }
    Ok(())
}

/// The replica that leads makes everything anew that is removed or spoilt.
async fn mend_the_authority(running: &Running, who: &str) -> Result<()> {
    let cluster = &running.cluster;
    let secret = format!("secret/{WEBHOOK_CA}");
    let key = "--output=jsonpath={.data.ca\\.key}";
    let in_namespace = ["--namespace", NAMESPACE];
    let has_key = [
        &[secret.as_str(), "--ignore-not-found", key][..],
        &in_namespace,
    ]
    .concat();
    let delete = [&["delete", &secret][..], &in_namespace].concat();
    ask(cluster, Kubectl, &delete).await?;
    until(cluster, &has_key, |key| !key.is_empty())
        .await
        .with_context(|| format!("{who} makes the Secret"))?;
    let spoil = [
        "patch",
        &secret,
        "--type=merge",
        "--patch={\"data\":{\"ca.key\":null}}",
    ];
    ask(cluster, Kubectl, &[&spoil[..], &in_namespace].concat()).await?;
    until(cluster, &has_key, |key| !key.is_empty())
        .await
        .with_context(|| format!("{who} mends the Secret"))?;
    for configuration in [
        "mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config",
        "validatingwebhookconfigurations/linkerd-sp-validator-webhook-config",
        "validatingwebhookconfigurations/linkerd-policy-validator-webhook-config",
    ] {
        let remove = "[{\"op\":\"remove\",\"path\":\"/webhooks/0/clientConfig/caBundle\"}]";
        let patch = format!("--patch={remove}");
        let remove = ["patch", configuration, "--type=json", &patch];
        ask(cluster, Kubectl, &remove).await?;
        let bundle = "--output=jsonpath={.webhooks[0].clientConfig.caBundle}";
        until(cluster, &[configuration, bundle], |bundle| {
            !bundle.is_empty()
        })
        .await
        .with_context(|| format!("{who} writes caBundle of {configuration}"))?;
    }
    Ok(())
}

/// Another issuer, told by an Event, and a bundle that somebody has spoilt.
pub(crate) async fn rotate(running: &Running) -> Result<()> {
    let cluster = &running.cluster;
    let in_namespace = ["--namespace", NAMESPACE];
    let ask_for_one = [
        "annotate",
        "secret/linkerd-identity-issuer",
        "ferrule.io/rotate-issuer=now",
    ];
    ask(
        cluster,
        Kubectl,
        &[&ask_for_one[..], &in_namespace].concat(),
    )
    .await?;
    let reasons = "--output=jsonpath={.items[*].reason}";
    let events = [&["events", reasons][..], &in_namespace].concat();
    until(cluster, &events, |reasons| {
        reasons.contains("IssuerUpdated")
    })
    .await?;
    let spoil = [
        "patch",
        "configmap/linkerd-identity-trust-roots",
        "--type=merge",
        "--patch={\"data\":{\"ca-bundle.crt\":\"spoilt\"}}",
    ];
    ask(cluster, Kubectl, &[&spoil[..], &in_namespace].concat()).await?;
    let bundle = "--output=jsonpath={.data.ca-bundle\\.crt}";
    let roots = "configmap/linkerd-identity-trust-roots";
    let bundle = [&[roots, bundle][..], &in_namespace].concat();
    until(cluster, &bundle, |bundle| {
        bundle.contains("BEGIN CERTIFICATE")
    })
    .await
}

/// Another trust anchor, for which workloads of all kinds are restarted that want it.
async fn rotate_the_anchor(running: &Running) -> Result<()> {
    let cluster = &running.cluster;
    let _kubelet = cluster.kubelet(Some("shop"), &["n1"]).await?;
    let workload = |kind: &str, more: Value| {
        let name = kind.to_lowercase();
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": kind,
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "web", "image": "web"}]},
                },
            },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            object["spec"][key] = value.clone();
        }
        object
    };
    let surge = json!({"maxSurge": 1, "maxUnavailable": 0});
    let workloads = [
        workload("StatefulSet", json!({"replicas": 2})),
        workload(
            "DaemonSet",
            json!({"updateStrategy": {"rollingUpdate": surge}}),
        ),
    ];
    apply(cluster, &workloads).await?;
    for (kind, field, count) in [
        ("statefulset/statefulset", "availableReplicas", "2"),
        ("daemonset/daemonset", "numberAvailable", "1"),
        ("deployment/web", "availableReplicas", "1"),
    ] {
        let output = format!("--output=jsonpath={{.status.{field}}}");
        let args = [kind, "--namespace=shop", &output];
        until(cluster, &args, |available| available == count).await?;
    }
    let opt_in = [
        "annotate",
        "namespace/shop",
        "ferrule.io/restart-for-trust-anchor=enabled",
    ];
    ask(cluster, Kubectl, &opt_in).await?;
    let in_namespace = ["--namespace", NAMESPACE];
    let rotate = [
        "annotate",
        "secret/ferrule-trust-anchor",
        "ferrule.io/rotate-trust-anchor=now",
    ];
    ask(cluster, Kubectl, &[&rotate[..], &in_namespace].concat()).await?;
    let roots = "linkerd-identity-trust-roots";
    let map = format!("configmap/{roots}");
    let bundle = "--output=jsonpath={.data.ca-bundle\\.crt}";
    let bundle = [&[map.as_str(), bundle][..], &in_namespace].concat();
    let both = |text: &str| text.matches("BEGIN CERTIFICATE").count() == 2;
    until(cluster, &bundle, both).await?;
    // As the injector's kubelet would.
    let text = ask(cluster, Kubectl, &[&["get"], &bundle[..]].concat()).await?;
    std::fs::write(running.folder.path().join(roots), text)?;
    let restarted = |scrape: &ferrule_tests::Scrape| {
        let finished = [("result", "finished")];
        scrape.sum("trust_anchor_restarts_total", &finished) == Some(3.0)
    };
    let told = "three workloads are restarted, and their pods trust the new anchor";
    running.destination.scraped(told, restarted).await?;
    let reasons = "--output=jsonpath={.items[*].reason}";
    until(
        cluster,
        &["events", "--namespace=shop", reasons],
        |reasons| reasons.contains("RestartedForTrustAnchor"),
    )
    .await?;
    // Nothing is in its way then, with leaves that are short.
    let one = |text: &str| text.matches("BEGIN CERTIFICATE").count() == 1;
    until(cluster, &bundle, one).await
}

/// What the processes have written is in no field of the chart: applying it again would
/// change nothing.
async fn nothing_differs(cluster: &Cluster, helm: &[&str]) -> Result<()> {
    let manifests = render(helm).await?;
    let diff = ["diff", "--server-side", "--filename=-"];
    let diff = pipe(cluster, &diff, &manifests).await?.succeeded(&diff)?;
    ensure!(diff.is_empty(), "{diff}");
    Ok(())
}
