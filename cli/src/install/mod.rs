//! `ferrule install`, `upgrade`, `prune` and `uninstall`: what a cluster is to have, or is
//! to have no more, for kubectl.
//!
//! ```text
//!  charts in the binary ─┐
//!  flags ────────────────┴─> helm template ─> Rendered ─> gates ─> standard output
//!    ▲                                           │
//!  Installed: what is kept of what runs          └─> Kinds::labelled, less these ─> prune
//! ```
//!
//! Nothing is printed before all of it is known to be good: what is piped into kubectl is
//! whole, or empty.

mod error;
mod forms;
mod gates;
mod held;
mod helm;
mod installed;
mod inventory;
mod overrides;
mod processes;
mod prune;
mod rendered;
mod uninstall;
mod upgrade;
mod values;

pub use self::{
    error::InstallError, helm::Helm, processes::Starts, prune::Prune, uninstall::Uninstall,
    upgrade::Upgrade,
};

pub(crate) use self::installed::Source;

use self::{
    held::{Held, POD_SECURITY},
    helm::{Chart, Renderer},
    rendered::{Output, Rendered},
    values::{ControlPlaneFlags, ValueFlags},
};
use crate::{
    Error,
    cluster::{ClusterFlags, ControlPlane, failed},
    output,
};
use clap::Args;
use kube::Client;
use serde_json::{Value, json};

const EXAMPLES: &str = "\
The charts are in this binary; `helm` on PATH renders them. Before anything is printed
it is made sure that none is installed, that the kinds are defined, that values mean
something, and that proxies accept what the issuer signs.

Examples:
  ferrule install --crds | kubectl apply -f -
  ferrule install | kubectl apply -f -
  ferrule install --ha --set controllerImage=registry.example/ferrule | kubectl apply -f -
  ferrule install --identity-trust-anchors-file ca.crt \\
      --identity-issuer-certificate-file issuer.crt --identity-issuer-key-file issuer.key";

/// Prints a control plane for kubectl apply.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Install {
    /// Print the definitions of kinds, which come first
    #[arg(long)]
    crds: bool,

    /// Ask no cluster: what only it can tell is not looked at
    #[arg(long)]
    ignore_cluster: bool,

    /// How to print the manifests
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,

    #[command(flatten)]
    flags: ControlPlaneFlags,

    #[command(flatten)]
    values: ValueFlags,

    #[command(flatten)]
    place: Place,
}

/// Which control plane is meant.
#[derive(Debug, Args)]
struct Place {
    #[command(flatten)]
    control_plane: ControlPlane,

    #[command(flatten)]
    cluster: ClusterFlags,
}

impl Place {
    async fn client(&self) -> Result<Client, Error> {
        self.cluster.api_server().await
    }

    /// What renders for it; for the version that the API server has, if one is asked.
    async fn renderer(&self, helm: Helm, client: Option<&Client>) -> Result<Renderer, Error> {
        let version = match client {
            Some(client) => {
                let info = client.apiserver_version().await;
                Some(info.map_err(failed("get /version"))?.git_version)
            }
            None => None,
        };
        Ok(Renderer::new(helm, &self.control_plane.namespace, version)?)
    }
}

impl Install {
    /// Prints manifests to standard output, and how long certificates last to standard
    /// error.
    ///
    /// # Errors
    /// When they cannot be rendered, or should not be applied.
    pub async fn run(self, helm: Helm, starts: Starts) -> Result<(), Error> {
        let client = match self.ignore_cluster {
            true => None,
            false => Some(self.place.client().await?),
        };
        let namespace = &self.place.control_plane.namespace;
        let renderer = self.place.renderer(helm, client.as_ref()).await?;
        if self.crds {
            let rendered = renderer.render(Chart::Definitions, &self.values.args())?;
            if let Some(client) = &client {
                gates::stored_versions(client, &rendered).await?;
            }
            return print(&rendered, self.output);
        }
        if let Some(client) = &client {
            installed::none_yet(client, namespace).await?;
            gates::definitions(client).await?;
        }
        let mut args = self.flags.args(&renderer)?;
        args.extend(self.values.args());
        let mut rendered = renderer.render(Chart::ControlPlane, &args)?;
        let values = rendered.values()?;
        gates::values(&values)?;
        gates::processes(&rendered, starts)?;
        gates::issuer_is_looked_at(&values)?;
        gates::Brought::judge(&rendered, namespace, &values, None)?;
        let mut pod_security = None;
        if let Some(client) = client {
            gates::nodes(&client, &values).await?;
            pod_security = Held::Cluster(client).pod_security(namespace).await?;
        }
        complete(&mut rendered, namespace, &values, pod_security.as_deref());
        print(&rendered, self.output)
    }
}

/// Adds what is not in the chart, since Helm keeps it in its own way. `pod_security` is which
/// pods the namespace lets in already: while Linkerd's may come back that is not for us to
/// narrow.
fn complete(rendered: &mut Rendered, namespace: &str, values: &Value, pod_security: Option<&str>) {
    rendered.put_before(json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {
            "name": namespace,
            "annotations": {"linkerd.io/inject": "disabled"},
            "labels": {
                "linkerd.io/is-control-plane": "true",
                "linkerd.io/control-plane-ns": namespace,
                "config.linkerd.io/admission-webhooks": "disabled",
                POD_SECURITY: pod_security.unwrap_or("restricted"),
            },
        },
    }));
    let overrides = overrides::overrides(values);
    rendered.put_after(overrides::secret(namespace, &overrides));
}

fn print(rendered: &Rendered, output: Output) -> Result<(), Error> {
    output::seen_enough(rendered.print(output).map_err(Error::from))
}
