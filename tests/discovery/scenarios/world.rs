//! The world of one scenario: a namespace and a network of its own in the cluster
//! that all share, and streams from the one process that serves them.

use super::expected::Told;
use anyhow::{Context as _, Result, bail, ensure};
use ferrule_proto::destination::DestinationProfile;
use ferrule_tests::Proxy;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use std::{fmt::Debug, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

/// For anything that must come.
const PATIENCE: Duration = Duration::from_secs(30);
/// For a stream to tell what it has to tell at once.
const FIRST: Duration = Duration::from_millis(500);
/// For nothing to come.
const SILENCE: Duration = Duration::from_millis(300);

/// What of the mesh all scenarios share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    /// Of a process with the specification's baseline.
    pub(crate) baseline: Proxy,
    /// Of one with the chart's defaults.
    pub(crate) chart: Proxy,
    /// Of one with the baseline, but for the upgrade to HTTP/2.
    pub(crate) no_upgrade: Proxy,
}

pub(crate) struct World {
    shared: Shared,
    namespace: String,
    /// Its third octet, so that no two scenarios share an address.
    network: u8,
}

impl World {
    pub(crate) async fn create(shared: Shared, network: u8) -> Result<Self> {
        let world = Self {
            shared,
            namespace: format!("ns-{network}"),
            network,
        };
        world.create_namespace(&world.namespace).await?;
        Ok(world)
    }

    /// One that is seen through a process with the chart's defaults.
    pub(crate) fn with_the_charts_defaults(mut self) -> Self {
        self.shared.baseline = self.shared.chart.clone();
        self
    }

    /// One that is seen through a process that does not upgrade to HTTP/2.
    pub(crate) fn without_upgrade(mut self) -> Self {
        self.shared.baseline = self.shared.no_upgrade.clone();
        self
    }

    /// Another namespace. It goes with the cluster, as all of them do.
    pub(crate) async fn other_namespace(&self) -> Result<String> {
        let name = format!("other-{}", self.network);
        self.create_namespace(&name).await?;
        Ok(name)
    }

    async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.apply(namespace).await?;
        // Pods cannot be created before, and the controller takes its time.
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": name},
        });
        self.apply(account).await.map(drop)
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The names of a scenario made this world's: `$ns`, 10.0.0.0/24 and fd00::/64.
    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("$ns", &self.namespace)
            .replace("10.0.0.", &format!("10.77.{}.", self.network))
            .replace("fd00::", &format!("fd77:{:x}::", self.network))
    }

    /// Makes an object what is said, status included, whether or not it is there.
    pub(crate) async fn apply(&self, object: Value) -> Result<DynamicObject> {
        let text = self.fill(&object.to_string());
        let mut object: Value = serde_json::from_str(&text)?;
        let status = object.as_object_mut().and_then(|one| one.remove("status"));
        let (api, name) = self.api_of(&object)?;
        let params = PatchParams::apply("scenarios").force();
        let applied = api
            .patch(&name, &params, &Patch::Apply(&object))
            .await
            .with_context(|| format!("applying {text}"))?;
        if let Some(status) = status {
            let patch = Patch::Merge(json!({"status": status}));
            api.patch_status(&name, &PatchParams::default(), &patch)
                .await
                .with_context(|| format!("the status in {text}"))?;
        }
        Ok(applied)
    }

    pub(crate) async fn apply_all(&self, objects: impl IntoIterator<Item = Value>) -> Result<()> {
        for object in objects {
            self.apply(object).await?;
        }
        Ok(())
    }

    pub(crate) async fn delete(&self, object: &Value) -> Result<()> {
        let object: Value = serde_json::from_str(&self.fill(&object.to_string()))?;
        let (api, name) = self.api_of(&object)?;
        // No kubelet says that a pod has ended.
        let params = DeleteParams::default().grace_period(0);
        api.delete(&name, &params)
            .await
            .with_context(|| format!("deleting {name}"))?;
        Ok(())
    }

    fn api_of(&self, object: &Value) -> Result<(Api<DynamicObject>, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let (group, version) = version.split_once('/').unwrap_or(("", &version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind));
        let client = self.shared.client.clone();
        let api = match (&*kind, &object["metadata"]["namespace"]) {
            ("Namespace", _) => Api::all_with(client, &resource),
            (_, Value::String(namespace)) => Api::namespaced_with(client, namespace, &resource),
            _ => Api::namespaced_with(client, &self.namespace, &resource),
        };
        Ok((api, text(&object["metadata"]["name"])))
    }

    /// The token of a client in the scenario's namespace on this node.
    pub(crate) fn on(&self, node: &str) -> String {
        format!(r#"{{"ns":"{}","nodeName":"{node}"}}"#, self.namespace)
    }

    /// A Get stream, once a fresh one is first told this.
    pub(crate) async fn get(&self, path: &str, first: Told) -> Result<Following<Told>> {
        self.get_as("", path, first).await
    }

    pub(crate) async fn get_as(
        &self,
        token: &str,
        path: &str,
        first: Told,
    ) -> Result<Following<Told>> {
        let path = self.fill(path);
        let proxy = self.shared.baseline.clone().with_context(token);
        once_told(&path, first, async || get(&proxy, &path).await).await
    }

    /// A Get stream that is told nothing at first. What was applied last need not
    /// have been seen by then: what comes next must show that it changed nothing.
    pub(crate) async fn silent(&self, token: &str, path: &str) -> Result<Following<Told>> {
        let path = self.fill(path);
        let proxy = self.shared.baseline.clone().with_context(token);
        let mut stream = once_open(&path, async || get(&proxy, &path).await).await?;
        stream.is_silent().await?;
        Ok(stream)
    }

    /// A GetProfile stream, once a fresh one is first told this.
    pub(crate) async fn profile(
        &self,
        path: &str,
        first: DestinationProfile,
    ) -> Result<Following<DestinationProfile>> {
        self.profile_as("", path, first).await
    }

    pub(crate) async fn profile_as(
        &self,
        token: &str,
        path: &str,
        first: DestinationProfile,
    ) -> Result<Following<DestinationProfile>> {
        let path = self.fill(path);
        let proxy = self.shared.baseline.clone().with_context(token);
        once_told(&path, first, async || profile(&proxy, &path).await).await
    }

    /// A GetProfile stream that is told nothing at first.
    pub(crate) async fn silent_profile(&self, path: &str) -> Result<Following<DestinationProfile>> {
        let path = self.fill(path);
        let proxy = self.shared.baseline.clone().with_context("");
        let mut stream = once_open(&path, async || profile(&proxy, &path).await).await?;
        stream.is_silent().await?;
        Ok(stream)
    }

    /// Get is refused in these words, before any headers.
    pub(crate) async fn get_refused(&self, path: &str, code: Code, words: &str) -> Result<()> {
        let (path, words) = (self.fill(path), self.fill(words));
        let proxy = self.shared.baseline.clone().with_context("");
        once_refused(&path, code, &words, async || {
            get(&proxy, &path).await.map(drop)
        })
        .await
    }

    /// GetProfile is, in words that begin like this.
    pub(crate) async fn profile_refused(&self, path: &str, code: Code, words: &str) -> Result<()> {
        let (path, words) = (self.fill(path), self.fill(words));
        let proxy = self.shared.baseline.clone().with_context("");
        once_refused(&path, code, &words, async || {
            profile(&proxy, &path).await.map(drop)
        })
        .await
    }
}

async fn get(proxy: &Proxy, path: &str) -> Result<Following<Told>, Status> {
    let stream = proxy.updates(path).await?;
    let stream = stream.map_err(anyhow::Error::from);
    let stream = stream.and_then(|update| async { Told::try_from(update) });
    Ok(Following(stream.boxed()))
}

async fn profile(proxy: &Proxy, path: &str) -> Result<Following<DestinationProfile>, Status> {
    let stream = proxy.profiles(path).await?;
    Ok(Following(stream.map_err(anyhow::Error::from).boxed()))
}

/// Opens streams until one is first told what is wanted: the objects arrive when
/// their watches bring them.
async fn once_told<T: Debug + PartialEq>(
    path: &str,
    wanted: T,
    open: impl AsyncFn() -> Result<Following<T>, Status>,
) -> Result<Following<T>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = match open().await {
            Err(status) => format!("{status:?}"),
            Ok(mut stream) => match timeout(FIRST, stream.next()).await {
                Err(_) => "silence".to_owned(),
                Ok(told) => match told? {
                    told if told == wanted => return Ok(stream),
                    told => format!("{told:#?}"),
                },
            },
        };
        if Instant::now() > deadline {
            bail!("{path}: wanted {wanted:#?}\nbut told {told}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn once_open<T>(
    path: &str,
    open: impl AsyncFn() -> Result<Following<T>, Status>,
) -> Result<Following<T>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match open().await {
            Ok(stream) => return Ok(stream),
            Err(status) => ensure!(Instant::now() < deadline, "{path}: {status:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn once_refused(
    path: &str,
    code: Code,
    words: &str,
    ask: impl AsyncFn() -> Result<(), Status>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        match &answer {
            Err(status) if status.code() == code && status.message().starts_with(words) => {
                return Ok(());
            }
            _ => ensure!(
                Instant::now() < deadline,
                "{path}: wanted {code:?} {words:?}, but {answer:?}"
            ),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// A stream whose messages are looked at one by one.
pub(crate) struct Following<T>(BoxStream<'static, Result<T>>);

impl<T: Debug + PartialEq> Following<T> {
    async fn next(&mut self) -> Result<T> {
        self.0.next().await.context("the stream ended")?
    }

    /// The next message is this one.
    pub(crate) async fn tells(&mut self, wanted: T) -> Result<()> {
        let told = timeout(PATIENCE, self.next()).await;
        let told = told.with_context(|| format!("nothing came, but wanted {wanted:#?}"))??;
        ensure!(told == wanted, "wanted {wanted:#?}\nbut told {told:#?}");
        Ok(())
    }

    /// Nothing comes for a while, and the stream stays open.
    pub(crate) async fn is_silent(&mut self) -> Result<()> {
        match timeout(SILENCE, self.next()).await {
            Err(_) => Ok(()),
            Ok(told) => bail!("wanted silence, but told {:#?}", told?),
        }
    }
}
