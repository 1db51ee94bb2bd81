//! Leases that are lost, an API server that goes, and one that is slow.

use crate::objects::*;
use anyhow::ensure;
use ferrule_test_cluster::{Cluster, Component, Options};
use ferrule_tests::Ferrule;
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, coordination::v1::Lease},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use rcgen::generate_simple_self_signed;
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpListener;

/// Longer than a leader needs to notice anything with a Lease of three seconds.
const LONG: Duration = Duration::from_secs(3);

async fn begin() -> anyhow::Result<(Cluster, Objects, Ferrule)> {
    let cluster = Cluster::start(Options::default()).await?;
    let client = cluster.client()?;
    install(&client).await?;
    let flags = ["--patch-timeout-ms=300"];
    let ferrule = start(cluster.kubeconfig(), &flags).await?;
    ferrule.ready().await?;
    leads(&ferrule, true).await?;
    let objects = Objects::of(&client, "default");
    objects.service("web").await?;
    objects.route(HTTP, "r", &[web()]).await?;
    objects.until(HTTP, "r", &ACCEPTED).await?;
    Ok((cluster, objects, ferrule))
}

#[tokio::test]
async fn who_does_not_lead_writes_nothing_until_it_leads_again() -> anyhow::Result<()> {
    let (mut cluster, objects, ferrule) = begin().await?;
    let leases: Api<Lease> = Api::namespaced(cluster.client()?, "default");
    let claim = async |holder: Option<&str>| -> anyhow::Result<()> {
        let spec = json!({"spec": {"holderIdentity": holder, "leaseDurationSeconds": 600}});
        let params = PatchParams::default();
        let patch = Patch::Merge(&spec);
        leases
            .patch("policy-controller-write", &params, &patch)
            .await?;
        Ok(())
    };
    // Linkerd's own controller, say.
    claim(Some("somebody else")).await?;
    leads(&ferrule, false).await?;
    objects.delete(SERVICE, "web").await?;
    ferrule
        .scraped("it waits", |scrape| {
            scrape.sum("resource_status_pending", &[]) == Some(1.0)
        })
        .await?;
    tokio::time::sleep(LONG).await;
    objects.until(HTTP, "r", &ACCEPTED).await?;
    claim(None).await?;
    let gone = ["web !Accepted=NoMatchingParent !ResolvedRefs=BackendNotFound"];
    objects.until(HTTP, "r", &gone).await?;
    leads(&ferrule, true).await?;

    // An outage, by silence and by a closed port.
    cluster.pause(Component::ApiServer)?;
    leads(&ferrule, false).await?;
    cluster.resume(Component::ApiServer)?;
    objects.service("web").await?;
    objects.until(HTTP, "r", &ACCEPTED).await?;
    cluster.kill(Component::ApiServer);
    leads(&ferrule, false).await?;
    cluster.restart(Component::ApiServer).await?;
    objects.delete(SERVICE, "web").await?;
    objects.until(HTTP, "r", &gone).await?;
    nothing_waits(&ferrule).await
}

#[tokio::test]
async fn an_api_server_that_is_slow_with_one_kind_holds_up_no_other() -> anyhow::Result<()> {
    let (cluster, objects, ferrule) = begin().await?;
    // It asks somebody who takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}/", silent.local_addr()?);
    let ca = generate_simple_self_signed(["localhost".to_owned()])?
        .cert
        .pem();
    let configuration = json!({
        "metadata": {"name": "slow"},
        "webhooks": [{
            "name": "slow.example.com",
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 30,
            "clientConfig": {"url": url, "caBundle": ByteString(ca.into_bytes())},
            "rules": [{
                "operations": ["UPDATE"], "apiGroups": ["gateway.networking.k8s.io"],
                "apiVersions": ["*"], "resources": ["httproutes/status"],
            }],
        }],
    });
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(cluster.client()?);
    let configuration = serde_json::from_value(configuration)?;
    let params = PostParams::default();
    configurations.create(&params, &configuration).await?;
    // Until the API server has heard of it, statuses are written as before.
    let mut number = 0;
    let stuck = loop {
        number += 1;
        let name = format!("r{number}");
        objects.route(HTTP, &name, &[web()]).await?;
        objects.route(GRPC, &name, &[web()]).await?;
        objects.until(GRPC, &name, &ACCEPTED).await?;
        let scrape = ferrule.scrape().await?;
        if scrape.sum("resource_status_patch_timeouts_total", &[]) > Some(0.0) {
            break name;
        }
    };
    ferrule.logged("does not answer in time").await?;
    ensure!(ferrule.is_ready().await?, "proxies notice nothing");
    leads(&ferrule, true).await?;
    let params = DeleteParams::default();
    configurations.delete("slow", &params).await?;
    let conflicted = ["web !Accepted=RouteReasonConflicted ResolvedRefs"];
    objects.until(HTTP, &stuck, &conflicted).await?;
    nothing_waits(&ferrule).await
}
