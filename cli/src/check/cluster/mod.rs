//! Whether a cluster's mesh is well.
//!
//! ```text
//!  table of rows ─> those of the mode ─> engine: rounds ─> outcomes ─> report
//!  (a file for each part)                 │ each round has one look at the cluster,
//!                                         ▼ which reads each thing once
//!                                        Look ─> API server
//! ```

mod cni;
mod config;
mod control_plane;
mod data_plane;
mod definitions;
mod engine;
mod existence;
mod identity;
mod kubernetes;
mod look;
mod objects;
mod pods;
mod presence;
mod reference;
mod report;
mod rights;
mod row;
mod settings;
mod setup;
mod table;
mod upkeep;
mod waiting;
mod webhooks;

pub(crate) use self::{
    definitions::own_names as own_definitions,
    identity::is_supported,
    look::{COMPONENT, CONFIG, CONTROL_PLANE},
};
pub use self::{reference::reference, rights::looked_at as rights};

use self::{
    look::{Look, Scope, Versions},
    report::{Report, Style},
    row::Mode,
};
use super::Output;
use crate::{
    Error,
    api_addr::ApiAddr,
    cluster::{ClusterFlags, ControlPlane},
    duration,
    output::Colours,
    progress::Progress,
    read,
};
use clap::Args;
use kube::Client;
use serde_json::Value;
use std::{rc::Rc, time::Duration};

const CNI_NAMESPACE: &str = "linkerd-cni";

/// A cluster that is looked at.
#[derive(Debug, Args)]
pub(super) struct ClusterCheck {
    /// Look whether an installation would succeed
    #[arg(long, conflicts_with_all = ["proxy", "crds", "manifests"])]
    pre: bool,

    /// Look at the definitions of kinds alone
    #[arg(long, conflicts_with_all = ["proxy", "manifests"])]
    crds: bool,

    /// Look at workloads and their proxies, too
    #[arg(long, conflicts_with = "manifests")]
    proxy: bool,

    /// With --proxy: look at the workloads of this namespace [default: all]
    #[arg(short, long, value_name = "NAME", conflicts_with = "manifests")]
    namespace: Option<String>,

    /// How long to wait for what may still come to be
    #[arg(long, value_name = "DURATION", default_value = "300s", value_parser = duration)]
    wait: Duration,

    /// With --pre: the CNI plugin is to be there
    #[arg(long, requires = "pre")]
    linkerd_cni_enabled: bool,

    /// The version that the control plane is to have [default: this command's]
    #[arg(long, value_name = "VERSION", conflicts_with = "manifests")]
    expected_version: Option<String>,

    /// The version that this command is taken to be
    #[arg(long, value_name = "VERSION", conflicts_with = "manifests")]
    cli_version_override: Option<String>,

    #[command(flatten)]
    control_plane: ControlPlane,

    /// The namespace of the CNI plugin
    #[arg(long, value_name = "NAME", default_value = CNI_NAMESPACE)]
    cni_namespace: String,

    /// The admin listener of an identity process, to see which issuer it signs with
    /// [default: identity's pods are asked by way of the API server]
    #[arg(long, env = "FERRULE_API_ADDR", value_name = "HOST:PORT")]
    api_addr: Option<ApiAddr>,

    /// Also say which checks were skipped, and why
    #[arg(long)]
    verbose: bool,

    #[command(flatten)]
    colours: Colours,

    #[command(flatten)]
    cluster: ClusterFlags,
}

/// What is found of a cluster, its workloads too, at one look; as `-o json` prints it.
pub(crate) async fn of_cluster(client: &Client, namespace: &str) -> Value {
    let rows = table::of(Mode::DataPlane, false);
    let scope = Rc::new(Scope {
        namespace: namespace.to_owned(),
        cni_namespace: CNI_NAMESPACE.to_owned(),
        data_plane: None,
        wants_cni: false,
        api_addr: None,
        versions: Versions::default(),
    });
    let look = || Ok(Look::new(client, &scope));
    let done = engine::run(&rows, look, Duration::ZERO, &mut Progress::new()).await;
    let style = Style::of_stdout(false, false);
    Report { done, style }.json()
}

impl ClusterCheck {
    fn mode(&self) -> Mode {
        match (self.pre, self.crds, self.proxy) {
            (true, ..) => Mode::Pre,
            (_, true, _) => Mode::Crds,
            (_, _, true) => Mode::DataPlane,
            _ => Mode::ControlPlane,
        }
    }

    /// Prints what is found.
    ///
    /// # Errors
    /// When it `fails` by the numbers of errors and warnings.
    pub(super) async fn run(
        self,
        output: Output,
        fails: impl Fn(usize, usize) -> bool,
    ) -> Result<(), Error> {
        let rows = table::of(self.mode(), self.linkerd_cni_enabled);
        let style = Style::of_stdout(self.colours.are_wanted(), self.verbose);
        let client = self.cluster.client().await;
        let scope = Rc::new(Scope {
            namespace: self.control_plane.namespace,
            cni_namespace: self.cni_namespace,
            data_plane: self.namespace,
            wants_cni: self.linkerd_cni_enabled,
            api_addr: self.api_addr,
            versions: Versions {
                expected: self.expected_version,
                command: self.cli_version_override,
            },
        });
        let look = || {
            let client = client.as_ref().map_err(Clone::clone)?;
            Ok(Look::new(client, &scope))
        };
        let mut progress = Progress::new();
        let done = engine::run(&rows, look, self.wait, &mut progress).await;
        let report = Report { done, style };
        report.print(output)?;
        let (errors, warnings) = (report.errors(), report.warnings());
        match fails(errors, warnings) {
            true => Err(Error::Unwell { errors, warnings }),
            false => Ok(()),
        }
    }
}
