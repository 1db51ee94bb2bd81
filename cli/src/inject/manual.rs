//! What whole proxies in manifests are made from: the cluster's values and trust
//! anchors, or files.

use crate::{
    Error, check,
    cluster::{ClusterFlags, ControlPlane},
    credential_names::CredentialNames,
};
use clap::Args;
use ferrule_identity::TRUST_ROOTS_KEY;
use ferrule_proxy_injector::{Injector, TrustAnchors, Values};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use std::{fs, path::PathBuf};

/// Where the control plane keeps its values.
const CONFIG: (&str, &str) = (check::CONFIG, "values");

/// Whether whole proxies are put into manifests, and what they are made from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Whole proxies")]
pub(super) struct ManualFlags {
    /// Put the proxy itself into the manifest
    #[arg(long)]
    pub(super) manual: bool,

    /// Do not ask the cluster; what --values does not say has its default
    #[arg(long)]
    ignore_cluster: bool,

    /// The chart's values, instead of those in the cluster's ConfigMap linkerd-config
    #[arg(long, value_name = "FILE", requires = "manual")]
    values: Option<PathBuf>,

    /// Trust anchors (PEM), instead of those in the cluster's ConfigMap
    /// linkerd-identity-trust-roots, or what the values call it
    #[arg(long, value_name = "FILE", requires = "manual")]
    trust_anchors: Option<PathBuf>,

    #[command(flatten)]
    control_plane: ControlPlane,

    #[command(flatten)]
    cluster: ClusterFlags,
}

impl ManualFlags {
    /// What makes proxies; `None` where manifests are only annotated.
    pub(super) async fn injector(&self, ingress: bool) -> Result<Option<Injector>, Error> {
        if !self.manual {
            return Ok(None);
        }
        let client = self.client().await?;
        let client = client.as_ref();
        let values = self.text(self.values.as_ref(), client, CONFIG).await?;
        let values = values.unwrap_or_default();
        let trust_roots = CredentialNames::of_text(&values).trust_roots;
        let (mut values, problems) = Values::parse(&values)?;
        for problem in problems {
            crate::output::note(&format!("warning: {problem}"));
        }
        values.proxy.ingress |= ingress;
        let anchors = self
            .text(
                self.trust_anchors.as_ref(),
                client,
                (&trust_roots, TRUST_ROOTS_KEY),
            )
            .await?;
        let trust_anchors = TrustAnchors::new(anchors.ok_or(Error::NoTrustAnchors)?);
        Ok(Some(Injector {
            values,
            trust_anchors,
            control_plane_namespace: self.control_plane.namespace.clone(),
            created_by: concat!("ferrule/cli ", env!("CARGO_PKG_VERSION")).to_owned(),
        }))
    }

    /// Whom to ask for what no file says, if anybody.
    async fn client(&self) -> Result<Option<Client>, Error> {
        if self.ignore_cluster || self.values.is_some() && self.trust_anchors.is_some() {
            return Ok(None);
        }
        let client = self.cluster.client().await;
        client
            .map(Some)
            .map_err(|reason| self.unread(CONFIG.0, reason))
    }

    fn unread(&self, name: &str, reason: String) -> Error {
        Error::Cluster {
            what: format!("{}/{name}", self.control_plane.namespace),
            reason,
        }
    }

    /// A file, else an entry of a ConfigMap of the control plane; `None` where the
    /// cluster is not to be asked.
    async fn text(
        &self,
        file: Option<&PathBuf>,
        client: Option<&Client>,
        (name, key): (&str, &str),
    ) -> Result<Option<String>, Error> {
        if let Some(file) = file {
            let text = fs::read_to_string(file).map_err(|error| Error::Unreadable {
                name: file.display().to_string(),
                reason: error.to_string(),
            })?;
            return Ok(Some(text));
        }
        let Some(client) = client else {
            return Ok(None);
        };
        let failed = |reason: String| self.unread(name, reason);
        let maps = Api::<ConfigMap>::namespaced(client.clone(), &self.control_plane.namespace);
        let map = maps
            .get(name)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let entry = map.data.and_then(|mut data| data.remove(key));
        let entry = entry.ok_or_else(|| failed(format!("it has no {key}")))?;
        Ok(Some(entry))
    }
}
