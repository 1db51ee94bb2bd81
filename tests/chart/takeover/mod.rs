//! Ferrule takes over from a Linkerd, and Linkerd from Ferrule, by the commands of
//! docs/takeover.md: what users have stays, and nobody notices.

mod admissions;
mod guide;
mod linkerd;
mod objects;
mod reach;
mod release;

pub(crate) use self::admissions::{Admissions, By, shop};

use self::admissions::lead_to;

use self::{
    linkerd::{Charts, Injector, LEASE, NeverTwo, Writer},
    objects::{FERRULES, LINKERDS, Snapshot, only},
};
use crate::{
    helm::{NAMESPACE, apply},
    processes::Pods,
    running::{Instead, Running, host, leads},
};
use anyhow::Result;
use ferrule_test_cluster::{Cluster, Options};
use ferrule_tests::{Ferrule, TestAuthority, TestProxy};
use serde_json::json;
use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;

/// What a user of Linkerd gave Helm, and where its files are.
struct User {
    values: String,
    /// Flags of processes, for what kubelets would mount.
    instead: Vec<String>,
    anchors: String,
}

impl User {
    fn new(folder: &Path) -> Result<Self> {
        let authority = TestAuthority::new()?;
        let write = |name: &str, text: &str| -> Result<String> {
            let path = folder.join(name);
            std::fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let (issuer, key) = (authority.issuer_pem(), authority.issuer_key_pem());
        let values = json!({
            // A pod that nobody injects is not created.
            "webhookFailurePolicy": "Fail",
            "identityTrustAnchorsPEM": authority.anchors_pem(),
            "identity": {"issuer": {"tls": {"crtPEM": issuer, "keyPEM": key}}},
        });
        write("crt.pem", &issuer)?;
        write("key.pem", &key)?;
        let anchors = write("brought.pem", &authority.anchors_pem())?;
        Ok(Self {
            values: format!("--values={}", write("values.json", &values.to_string())?),
            instead: vec![
                format!("--issuer-dir={}", folder.display()),
                format!("--trust-anchors={anchors}"),
            ],
            anchors: authority.anchors_pem(),
        })
    }

    fn instead(&self) -> Instead {
        // Whoever holds a Lease keeps it for as long as it says; ours are short.
        let short = "--lease-duration=6s".to_owned();
        Instead {
            identity: self.instead.clone(),
            injector: vec![short.clone()],
            destination: vec![short],
        }
    }

    /// A proxy of a workload, certified by this identity.
    async fn proxy(&self, pods: &Pods<'_>, identity: &Ferrule) -> Result<TestProxy> {
        let account = "linkerd-destination";
        let name = format!("{account}.{NAMESPACE}.serviceaccount.identity.linkerd.cluster.local");
        let server = "linkerd-identity.linkerd.serviceaccount.identity.linkerd.cluster.local";
        let token = pods.token(account, &["identity.l5d.io"]).await?;
        let proxy = TestProxy::builder(&name)
            .identity(identity.address_of("identity").await?, server)
            .transport(ferrule_tests::Transport::MeshTls)
            .token_file(pods.write("proxy-token", &token)?)
            .trust_anchors(&*self.anchors)
            .start()
            .await?;
        proxy.certificate().first().await?;
        Ok(proxy)
    }
}

/// Where API servers reach the injector's webhook.
async fn webhook_of(injector: &Ferrule) -> Result<SocketAddr> {
    let port = injector.address_of("webhooks").await?.port();
    Ok((host()?, port).into())
}

#[tokio::test]
async fn nobody_notices_that_ferrule_takes_over_and_that_linkerd_comes_back() -> Result<()> {
    let folder = TempDir::new()?;
    let user = User::new(folder.path())?;
    let charts = Charts::new(folder.path()).await?;
    let cluster = Cluster::start(Options::default()).await?;
    charts.install_crds(&cluster).await?;
    apply(&cluster, &[shop()]).await?;
    // Before there are validators, of which none answers here.
    objects::create(&cluster).await?;
    // As Helm 3 does, by which most were installed.
    let client_side = [&*user.values, "--server-side=false"];
    charts.install_control_plane(&cluster, &client_side).await?;
    let linkerd = Injector::start(&cluster).await?;
    lead_to(&cluster, &[linkerd.addr]).await?;
    let admissions = Admissions::begin(&cluster, Duration::ZERO).await?;
    only(&cluster, &LINKERDS, true).await?;
    let writer = Arc::new(Writer::start(&cluster)?);
    writer.leading().await?;

    // A workload that was certified before.
    let before = {
        let pods = Pods::new(&cluster, folder.path())?;
        let mut flags = user.instead.clone();
        flags.extend(["--mesh-tls=always", "--identity-addr=127.0.0.1:0"].map(str::to_owned));
        flags.extend(["--roles=identity".to_owned()]);
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let identity = Ferrule::start_with(cluster.kubeconfig(), &flags).await?;
        identity.ready().await?;
        user.proxy(&pods, &identity).await?
    };
    let first = Snapshot::of(&cluster).await?;

    guide::follow(&cluster, "The take-over", &charts).await?;
    // Its pods serve, until one of Ferrule is ready.
    admissions.go_on(By::Linkerd).await?;
    let running = Running::on(cluster, folder, user.instead()).await?;
    let two = NeverTwo::watch(writer.clone(), running.destination.admin_addr());
    let ferrule = webhook_of(&running.injector).await?;
    lead_to(&running.cluster, &[linkerd.addr, ferrule]).await?;
    admissions.go_on(By::Either).await?;
    lead_to(&running.cluster, &[ferrule]).await?;
    admissions.go_on(By::Ferrule).await?;
    drop(linkerd);
    writer.end();
    leads(&running.destination, LEASE).await?;
    two.end()?;

    Snapshot::of(&running.cluster).await?.is(&first)?;
    only(&running.cluster, &LINKERDS, false).await?;
    only(&running.cluster, &FERRULES, true).await?;
    let pods = Pods::new(&running.cluster, running.folder.path())?;
    let after = user.proxy(&pods, &running.identity).await?;
    before.handshake(&after).await?;
    after.handshake(&before).await?;
    go_back(running, &charts, &user, admissions, &first, &before).await
}

async fn go_back(
    running: Running,
    charts: &Charts,
    user: &User,
    admissions: Admissions,
    first: &Snapshot,
    before: &TestProxy,
) -> Result<()> {
    let cluster = &running.cluster;
    let pods = Pods::new(cluster, running.folder.path())?;
    guide::follow(cluster, "Going back", charts).await?;
    // Its own pods are not ready yet.
    admissions.go_on(By::Ferrule).await?;
    running
        .injector
        .logged("answering with its certificate")
        .await?;
    let linkerd = Injector::start(cluster).await?;
    let ferrule = webhook_of(&running.injector).await?;
    lead_to(cluster, &[ferrule, linkerd.addr]).await?;
    admissions.go_on(By::Either).await?;
    let writer = Arc::new(Writer::start(cluster)?);
    let two = NeverTwo::watch(writer.clone(), running.destination.admin_addr());
    lead_to(cluster, &[linkerd.addr]).await?;
    admissions.go_on(By::Either).await?;
    let last = user.proxy(&pods, &running.identity).await?;
    for process in [&running.injector, &running.destination, &running.identity] {
        process.terminate()?;
    }
    writer.leading().await?;
    two.end()?;
    admissions.go_on(By::Linkerd).await?;
    Snapshot::of(cluster).await?.is(first)?;
    only(cluster, &LINKERDS, true).await?;
    only(cluster, &FERRULES, false).await?;
    before.handshake(&last).await?;
    let injected = admissions.end()?;
    println!("{injected} pods were created");
    Ok(())
}
