//! `ferrule version`: of this command, of the control plane, and of proxies.

use crate::{
    Error, check,
    cluster::{ClusterFlags, ControlPlane},
    mesh_pod::MeshPods,
    output,
    read::{each, get, of},
};
use clap::Args;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{Api, Client, ResourceExt as _, api::ListParams};
use std::{collections::BTreeMap, fmt::Write as _, time::Duration};
use tokio::time::timeout;

const CLIENT: &str = env!("CARGO_PKG_VERSION");
/// How long a cluster may take that is perhaps not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints versions: of this command and of the control plane, if there is one.
#[derive(Debug, Args)]
pub struct Version {
    /// Only the versions themselves
    #[arg(long)]
    short: bool,

    /// Only of this command; no cluster is asked
    #[arg(long)]
    client: bool,

    /// Also of proxies
    #[arg(long, conflicts_with = "client")]
    proxy: bool,

    /// With --proxy: of this namespace [default: all]
    #[arg(short, long, value_name = "NAME", requires = "proxy")]
    namespace: Option<String>,

    #[command(flatten)]
    control_plane: ControlPlane,

    #[command(flatten)]
    cluster: ClusterFlags,
}

impl Version {
    /// Prints to standard output. That there is no control plane is no error.
    ///
    /// # Errors
    /// When nothing can be printed.
    pub async fn run(self) -> Result<(), Error> {
        let line = |what: &str, version: &str| match self.short {
            true => format!("{version}\n"),
            false => format!("{what}: {version}\n"),
        };
        let mut text = line("Client version", CLIENT);
        if !self.client {
            let found = timeout(PATIENCE, self.of_cluster()).await;
            let found = found.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
            match found {
                Ok((server, proxies)) => {
                    text += &line("Server version", &server);
                    for (version, count) in proxies {
                        let _ = match self.short {
                            true => writeln!(text, "{version}"),
                            false => writeln!(text, "Proxy version: {version} ({count} pods)"),
                        };
                    }
                }
                Err(reason) => {
                    text += &line("Server version", "unavailable");
                    output::note(&reason);
                }
            }
        }
        output::seen_enough(output::print_as_it_is(&text).map_err(Error::from))
    }

    /// The version of the control plane, and those of proxies with how many pods have them.
    async fn of_cluster(&self) -> Result<(String, BTreeMap<String, usize>), String> {
        let client = self.cluster.client().await?;
        let told = |error: Error| error.to_string();
        let namespace = &self.control_plane.namespace;
        let config = get::<ConfigMap>(of(&client, namespace), check::CONFIG).await;
        let config = config.map_err(|unread| told(unread.into()))?;
        let config =
            config.ok_or_else(|| format!("there is no control plane in namespace {namespace}"))?;
        let by = config.annotations().get("linkerd.io/created-by");
        let server = by.map_or("unknown", |by| {
            by.strip_prefix("ferrule/helm ").unwrap_or(by)
        });
        let proxies = match self.proxy {
            true => self.proxies(&client).await.map_err(told)?,
            false => BTreeMap::new(),
        };
        Ok((server.to_owned(), proxies))
    }

    async fn proxies(&self, client: &Client) -> Result<BTreeMap<String, usize>, Error> {
        let label = format!("{}={}", check::CONTROL_PLANE, self.control_plane.namespace);
        let api: Api<Pod> = match &self.namespace {
            Some(namespace) => of(client, namespace),
            None => Api::all(client.clone()),
        };
        let (mut pods, mut versions) = (MeshPods::default(), BTreeMap::new());
        each(api, ListParams::default().labels(&label), |pod: Pod| {
            if let Some(pod) = pods.read(&pod) {
                let version = pod.version().unwrap_or("unknown").to_owned();
                *versions.entry(version).or_default() += 1;
            }
        })
        .await?;
        Ok(versions)
    }
}
