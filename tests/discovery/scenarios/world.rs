//! The world of one scenario: its stage, and streams from the processes that serve
//! it.

use super::expected::Told;
use anyhow::Result;
use ferrule_proto::destination::DestinationProfile;
use ferrule_tests::{
    Proxy,
    scenario::{Stage, once_open, once_refused, once_told},
};
use futures::TryStreamExt as _;
use std::ops::Deref;
use tonic::{Code, Status};

pub(crate) use ferrule_tests::scenario::Following;

/// What of the mesh all scenarios share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Of a process with the specification's baseline.
    pub(crate) baseline: Proxy,
    /// Of one with the chart's defaults.
    pub(crate) chart: Proxy,
    /// Of one with the baseline, but for the upgrade to HTTP/2.
    pub(crate) no_upgrade: Proxy,
}

pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) shared: Shared,
}

impl Deref for World {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl World {
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

    /// The token of a client in the scenario's namespace on this node.
    pub(crate) fn on(&self, node: &str) -> String {
        format!(r#"{{"ns":"{}","nodeName":"{node}"}}"#, self.namespace())
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
    Ok(Following::new(stream))
}

async fn profile(proxy: &Proxy, path: &str) -> Result<Following<DestinationProfile>, Status> {
    let stream = proxy.profiles(path).await?;
    Ok(Following::new(stream.map_err(anyhow::Error::from)))
}
