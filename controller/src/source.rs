//! The source that the flags choose.

use crate::{
    api_client::{self, ApiRequests},
    flags::SourceFlags,
};
use anyhow::{Context as _, anyhow};
use ferrule_cluster::{
    Interner,
    source::{Kubernetes, Manifests, Sink, WatchStats},
};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Bookmarks come about every minute; a busy API server is late with one, and each silence
/// that is given up is warned of.
const SILENCE: Duration = Duration::from_secs(150);

/// Where the objects come from.
pub(crate) enum Source {
    Kubernetes(Kubernetes),
    Manifests(Manifests),
}

impl Source {
    /// Opens what the flags name. An API server that does not answer is no error:
    /// it is waited for.
    pub(crate) fn open(
        flags: &SourceFlags,
        client: Option<Client>,
        interner: Interner,
        stats: Arc<WatchStats>,
    ) -> anyhow::Result<Self> {
        if let Some(directory) = &flags.manifests {
            let manifests = Manifests::load(directory, interner, stats)
                .map_err(|error| anyhow!("--manifests: {error}"))?;
            return Ok(Source::Manifests(manifests));
        }
        let client = client.context("there is neither a cluster nor a directory")?;
        Ok(Source::Kubernetes(Kubernetes {
            client,
            interner,
            stats,
        }))
    }

    /// Sends changes until the token is cancelled.
    pub(crate) async fn run(self, sink: Sink, shutdown: CancellationToken) {
        match self {
            Source::Kubernetes(source) => source.run(sink, shutdown).await,
            Source::Manifests(source) => source.run(sink, shutdown).await,
        }
    }
}

/// A client of the cluster's API server; `None` where there is no cluster.
pub(crate) async fn client(
    flags: &SourceFlags,
    requests: &Arc<ApiRequests>,
) -> anyhow::Result<Option<Client>> {
    if flags.manifests.is_some() {
        return Ok(None);
    }
    let config = config(flags).await?;
    tracing::info!(cluster = %config.cluster_url, "using a cluster");
    Ok(Some(api_client::client(config, requests.clone())?))
}

/// A client for watches by `kube`'s own watcher, which finds out that a connection is
/// half open when it reads nothing for long; `None` where there is no cluster.
pub(crate) async fn watching_client(
    flags: &SourceFlags,
    requests: &Arc<ApiRequests>,
) -> anyhow::Result<Option<Client>> {
    if flags.manifests.is_some() {
        return Ok(None);
    }
    let mut config = config(flags).await?;
    config.read_timeout = Some(SILENCE);
    Ok(Some(api_client::client(config, requests.clone())?))
}

async fn config(flags: &SourceFlags) -> anyhow::Result<Config> {
    let options = KubeConfigOptions {
        context: flags.context.clone(),
        ..KubeConfigOptions::default()
    };
    // These errors have their causes in their text, so they are not chained.
    if let Some(file) = &flags.kubeconfig {
        let config = match Kubeconfig::read_from(file) {
            Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
            Err(error) => Err(error),
        };
        return config.map_err(|error| anyhow!("--kubeconfig {}: {error}", file.display()));
    }
    if let Some(context) = &flags.context {
        let config = Config::from_kubeconfig(&options).await;
        return config.map_err(|error| anyhow!("--context {context}: {error}"));
    }
    Config::infer().await.map_err(|error| {
        anyhow!(
            "there is no cluster to watch: {error}\n\
             Run in a pod, name a cluster with --kubeconfig FILE, or do without one: \
             ferrule serve --manifests DIR"
        )
    })
}
