//! `ferrule uninstall`: what is to be deleted.

use super::{
    InstallError, Place,
    installed::RELEASE,
    inventory::{Item, Kinds},
    rendered::{Output, Rendered},
};
use crate::{
    Error, check, output,
    read::{all, each},
};
use clap::Args;
use ferrule_identity::{ANCHOR_SECRET, ISSUER_SECRET, TRUST_ROOTS};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

const EXAMPLES: &str = "\
It is all that has the label of the control plane, wherever it came from: also what
older versions left behind. The namespace is among it if nothing else is in it. The
definitions of kinds stay unless --crds says otherwise, since every policy and profile
would go with them; the Gateway API's always stay.

Examples:
  ferrule uninstall | kubectl delete -f -
  ferrule uninstall --keep-certificates | kubectl delete -f -";

/// What certificates of a mesh are kept in.
const CERTIFICATES: [(&str, &str); 3] = [
    ("Secret", ANCHOR_SECRET),
    ("Secret", ISSUER_SECRET),
    ("ConfigMap", TRUST_ROOTS),
];
const GATEWAY: &str = "gateway.networking.k8s.io";
/// What Kubernetes puts into every namespace.
const EVERYWHERE: [(&str, &str); 2] = [
    ("ConfigMap", "kube-root-ca.crt"),
    ("ServiceAccount", "default"),
];
/// How many of several things are named.
const NAMED: usize = 5;

/// Prints what a control plane consists of, for kubectl delete.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Uninstall {
    /// Also the definitions of kinds, and with them every object of these kinds
    #[arg(long)]
    crds: bool,

    /// Not the trust anchors and the issuer: a mesh of the same name can be installed again
    #[arg(long)]
    keep_certificates: bool,

    /// Though workloads have proxies, or extensions are installed, or Helm owns it
    #[arg(short, long)]
    force: bool,

    /// How to print the manifests
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,

    #[command(flatten)]
    place: Place,
}

impl Uninstall {
    /// Prints manifests to standard output; what stays, and why, to standard error.
    ///
    /// # Errors
    /// If something still needs the control plane, and when the cluster cannot be read.
    pub async fn run(self) -> Result<(), Error> {
        let client = self.place.client().await?;
        let namespace = &self.place.control_plane.namespace;
        if !self.force {
            is_unused(&client, namespace).await?;
        }
        let kinds = Kinds::of(&client).await?;
        let mut ours = kinds.labelled(namespace).await?;
        if !self.force
            && let Some(release) = ours.iter().find_map(|item| item.annotations.get(RELEASE))
        {
            Err(InstallError::NotOurs {
                namespace: namespace.clone(),
                by: format!("a release of Helm, {release}"),
                remedy: format!("helm uninstall --namespace {namespace} {release}"),
            })?;
        }
        ours.retain(|item| self.takes(item));
        let held = self.namespace(&client, &kinds, &ours).await?;
        if !held {
            ours.retain(|item| item.kind != "Namespace");
        }
        if ours.is_empty() {
            output::note(&format!(
                "nothing has the label {}={namespace}",
                check::CONTROL_PLANE
            ));
        }
        let mut manifests = Rendered::default();
        for item in &ours {
            manifests.put_after(item.manifest());
        }
        output::seen_enough(manifests.print(self.output).map_err(Error::from))
    }

    fn takes(&self, item: &Item) -> bool {
        if item.is_definition() {
            return self.crds && !item.name.ends_with(GATEWAY);
        }
        let is_certificate = CERTIFICATES
            .iter()
            .any(|(kind, name)| item.kind == *kind && item.name == *name);
        !(is_certificate && self.keep_certificates)
    }

    /// Whether the namespace goes, too: it is the control plane's, and nothing stays in it.
    async fn namespace(
        &self,
        client: &Client,
        kinds: &Kinds,
        ours: &[Item],
    ) -> Result<bool, Error> {
        let name = &self.place.control_plane.namespace;
        if !ours
            .iter()
            .any(|item| item.kind == "Namespace" && item.name == *name)
        {
            return Ok(false);
        }
        let mut stays: Vec<_> = kinds.within(name).await?;
        stays.retain(|item| {
            let is_usual = EVERYWHERE
                .iter()
                .any(|(kind, name)| item.kind == *kind && item.name == *name);
            !is_usual && !ours.iter().any(|one| one.is(&item.manifest()))
        });
        let mut stays: Vec<_> = stays.iter().map(Item::full_name).collect();
        each(
            Api::namespaced(client.clone(), name),
            ListParams::default(),
            |pod: Pod| {
                let is_alone = pod.metadata.owner_references.is_none();
                stays.extend(is_alone.then(|| format!("Pod {name}/{}", pod.name_any())));
            },
        )
        .await?;
        if !stays.is_empty() {
            let what = named(&stays);
            output::note(&format!(
                "note: namespace {name} stays, since there is more in it: {what}"
            ));
        }
        Ok(stays.is_empty())
    }
}

/// Nothing needs the control plane.
async fn is_unused(client: &Client, namespace: &str) -> Result<(), Error> {
    let label = format!("{}={namespace},!{}", check::CONTROL_PLANE, check::COMPONENT);
    let name = |pod: Pod| format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
    let params = ListParams::default().labels(&label);
    let pods = all(Api::all(client.clone()), params, name).await?;
    if !pods.is_empty() {
        Err(InstallError::InUse {
            what: format!(
                "{} pods have a proxy of this control plane: {}",
                pods.len(),
                named(&pods)
            ),
            remedy: "take it out first (linkerd.io/inject: disabled on their namespaces or \
                     workloads, then kubectl rollout restart)"
                .to_owned(),
        })?;
    }
    let params = ListParams::default().labels("linkerd.io/extension");
    let extensions = all(Api::all(client.clone()), params, |found: Namespace| {
        found.name_any()
    })
    .await?;
    if !extensions.is_empty() {
        Err(InstallError::InUse {
            what: format!(
                "extensions are installed in namespaces {}",
                named(&extensions)
            ),
            remedy: "uninstall them first".to_owned(),
        })?;
    }
    Ok(())
}

fn named(all: &[String]) -> String {
    let first = all.iter().take(NAMED).map(String::as_str);
    let mut text = first.collect::<Vec<_>>().join(", ");
    if all.len() > NAMED {
        text += &format!(" and {} more", all.len() - NAMED);
    }
    text
}
