//! Is it stale? `/debug/state` for a Service, and `ferrule diagnostics staleness`
//! for everything, against a cluster whose changes do not arrive.

use crate::shop::Shop;
use anyhow::{Context as _, ensure};
use ferrule_test_cluster::{Cluster, Component, Options, eventually};
use ferrule_tests::{Ferrule, Printed, Relay, TestProxy};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Duration};
use tempfile::TempDir;

/// A cluster, and a Ferrule whose way there can be cut.
struct Cut {
    cluster: Cluster,
    relay: Relay,
    ferrule: Ferrule,
    kubeconfig: PathBuf,
    _folder: TempDir,
}

impl Cut {
    async fn open(cluster: Cluster) -> anyhow::Result<Self> {
        let folder = TempDir::new()?;
        let mut config = kube::config::Kubeconfig::read_from(cluster.kubeconfig())?;
        let named = config.clusters.first_mut().context("a cluster")?;
        let entry = named.cluster.as_mut().context("a cluster")?;
        let server = entry.server.as_deref().context("a server")?;
        let addr = server.trim_start_matches("https://").parse()?;
        let relay = Relay::to(addr).await?;
        entry.server = Some(format!("https://{}", relay.addr()));
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, serde_json::to_string(&config)?)?;
        let ferrule = Ferrule::start(&file).await?;
        ferrule.ready().await?;
        Ok(Self {
            kubeconfig: cluster.kubeconfig().to_owned(),
            cluster,
            relay,
            ferrule,
            _folder: folder,
        })
    }

    async fn staleness(&self, args: &[&str]) -> anyhow::Result<Printed> {
        let kubeconfig = self.kubeconfig.to_str().context("UTF-8")?;
        let mut all = vec!["staleness", "--kubeconfig", kubeconfig];
        all.extend(args);
        self.ferrule.diagnostics(&all).await
    }

    /// The report of a kind.
    async fn kind(&self, kind: &str) -> anyhow::Result<(Option<i32>, Value)> {
        // A busy machine is late, and not stale.
        let args = ["--kind", kind, "--grace", "15s", "-o", "json"];
        let printed = self.staleness(&args).await?;
        let report: Value =
            serde_json::from_str(&printed.stdout).with_context(|| format!("{printed:?}"))?;
        Ok((printed.code, report[0].clone()))
    }
}

#[tokio::test]
async fn what_does_not_arrive_is_found_and_what_is_on_its_way_is_not() -> anyhow::Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    cluster.node("a", None).await?;
    let _kubelet = cluster.kubelet(None, &["a"]).await?;
    let shop = Shop::open(&cluster.client()?, "default", 2).await?;
    let mut cut = Cut::open(cluster).await?;
    let proxy = TestProxy::builder("web")
        .destination(cut.ferrule.destination(), "")
        .context(r#"{"ns":"default","nodeName":"a","pod":"web-0"}"#)
        .start()
        .await?;
    let web = proxy.endpoints(&shop.authority(80));
    web.until("two endpoints", |set| set.len() == 2).await?;

    // Every kind agrees, those without a CRD too.
    let printed = cut.staleness(&[]).await?;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(
        printed.stdout.contains("the API server does not serve it"),
        "{printed:?}"
    );
    let (code, pods) = cut.kind("Pod").await?;
    assert_eq!(code, Some(0), "{pods}");
    assert_eq!((&pods["apiServer"], &pods["index"]), (&json!(2), &json!(2)));

    // While it goes up and down, nothing is stale: it arrives.
    for replicas in [4, 2, 3] {
        shop.scale(replicas).await?;
        let (code, pods) = cut.kind("Pod").await?;
        assert_eq!(code, Some(0), "{pods}");
    }
    web.until("three endpoints", |set| set.len() == 3).await?;

    // One stream, and what it was told.
    let state = eventually("all is told", async || {
        let state = cut.ferrule.json("/debug/state?service=default/web").await?;
        let view = &state["endpoints"][0];
        let count = view["endpoints"].as_array().map(Vec::len);
        let is_told = count == Some(3) && view["streams"]["streams"][0]["behindBy"] == 0;
        Ok(is_told.then_some(state))
    })
    .await?;
    let view = &state["endpoints"][0];
    assert_eq!(state["exists"], true, "{state}");
    assert_eq!(
        view["endpoints"].as_array().map(Vec::len),
        Some(3),
        "{state}"
    );
    let told = &view["streams"]["streams"][0];
    assert_eq!(told["client"]["pod"], "web-0", "{state}");
    assert_eq!(told["behindBy"], 0, "{state}");
    assert_eq!(told["version"], view["version"], "{state}");
    let peer: std::net::SocketAddr = serde_json::from_value(told["peer"].clone())?;
    assert!(peer.ip().is_loopback(), "{state}");
    assert!(
        told["openedSecondsAgo"].as_f64() >= told["lastSentSecondsAgo"].as_f64(),
        "{state}"
    );

    // The same for people.
    let printed = cut.ferrule.diagnostics(&["state", "default/web"]).await?;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let rows: Vec<Vec<_>> = printed
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let has = |start: &[&str]| rows.iter().any(|row| row.starts_with(start));
    assert!(
        has(&["service", "default/web"]) && has(&["exists", "yes"]),
        "{printed:?}"
    );
    assert!(printed.stdout.contains("default/web-0"), "{printed:?}");
    let printed = cut.ferrule.diagnostics(&["state"]).await?;
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert!(printed.stdout.contains("\nready "), "{printed:?}");
    let pods = printed.stdout.lines().find(|line| line.starts_with("Pod "));
    assert!(
        pods.is_some_and(|line| line.contains(" yes ")),
        "{printed:?}"
    );
    let printed = cut
        .ferrule
        .diagnostics(&["state", "default/web", "-o", "json"])
        .await?;
    let state: serde_json::Value = serde_json::from_str(&printed.stdout)?;
    assert_eq!(state["service"], "default/web", "{state}");

    // The way to the API server is cut without a word.
    cut.relay.freeze();
    shop.scale(5).await?;
    let found = async {
        loop {
            let (code, pods) = cut.kind("Pod").await?;
            if pods["stale"].as_array().map(Vec::len) == Some(2) {
                return anyhow::Ok((code, pods));
            }
        }
    };
    let (code, pods) = tokio::time::timeout(Duration::from_secs(60), found).await??;
    assert_eq!(code, Some(1), "{pods}");
    let stale = &pods["stale"][0];
    assert_eq!(stale["difference"], "not in the index", "{pods}");
    assert!(
        stale["object"]
            .as_str()
            .is_some_and(|key| key.starts_with("default/web-"))
    );
    assert!(stale["resourceVersion"].is_string(), "{pods}");
    assert!(stale["writtenSecondsAgo"].is_u64(), "{pods}");
    let printed = cut.staleness(&["--grace=1s"]).await?;
    assert_eq!(printed.code, Some(1), "{printed:?}");
    for told in ["EndpointSlice", "differs", "not in the index"] {
        assert!(printed.stdout.contains(told), "{told}: {printed:?}");
    }
    assert!(
        printed.stderr.contains("out of date for longer than 1s"),
        "{printed:?}"
    );

    // What was held back arrives, and all is well.
    cut.relay.thaw();
    web.until("five endpoints", |set| set.len() == 5).await?;
    let (code, pods) = cut.kind("Pod").await?;
    assert_eq!(code, Some(0), "{pods}");

    // Without an API server there is nothing to compare with.
    cut.cluster.kill(Component::ApiServer);
    let printed = cut.staleness(&[]).await?;
    assert_eq!(printed.code, Some(1));
    ensure!(
        printed.stderr.contains("cannot list services"),
        "{printed:?}"
    );
    Ok(())
}
