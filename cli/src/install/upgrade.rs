//! `ferrule upgrade`: the control plane that there is, by this version's chart.

use super::{
    Chart, ControlPlaneFlags, Helm, InstallError, Output, Place, Rendered, Renderer, Starts,
    ValueFlags, complete, gates,
    held::Held,
    installed::{Installed, Source},
    print,
};
use crate::{Error, output};
use clap::Args;
use ferrule_identity::{TRUST_ROOTS, TRUST_ROOTS_KEY, TrustAnchors};
use serde_json::json;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
It keeps the values that were given to `install` and to `upgrade` before, and takes this
version's defaults for the rest; flags come on top. The trust anchors and the issuer
stay as they are in the cluster, unless new ones are given: then it is refused what
running workloads would not trust. `ferrule prune` says what is to go afterwards.

With --from-manifests no cluster is asked: what only it can tell is not looked at.

Examples:
  ferrule upgrade --crds | kubectl apply -f -
  ferrule upgrade | kubectl apply -f -
  ferrule upgrade --set controllerReplicas=3 | kubectl apply -f -
  ferrule upgrade --from-manifests installed.yaml > new.yaml";

/// Prints the control plane that there is, as this version has it, for kubectl apply.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Upgrade {
    /// Print the definitions of kinds, which come first
    #[arg(long)]
    crds: bool,

    /// Read what is installed from manifests: a file, a directory with *.yaml, *.yml and
    /// *.json files below it, or - for standard input
    #[arg(long, value_name = "FILE|DIR|-")]
    from_manifests: Option<PathBuf>,

    /// Though the issuer is not good, or running workloads would not trust what it signs
    #[arg(long)]
    force: bool,

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

impl Upgrade {
    /// Prints manifests to standard output, and what changes of certificates to standard
    /// error.
    ///
    /// # Errors
    /// When there is nothing to upgrade, and when manifests cannot be rendered or should
    /// not be applied.
    pub async fn run(self, helm: Helm, starts: Starts) -> Result<(), Error> {
        let held = self.held().await?;
        let renderer = self.place.renderer(helm, held.client()).await?;
        let namespace = &self.place.control_plane.namespace;
        if self.crds {
            let rendered = definitions(&held, &renderer, &self.values).await?;
            if let Some(client) = held.client() {
                gates::stored_versions(client, &rendered).await?;
            }
            return print(&rendered, self.output);
        }
        if let Some(client) = held.client() {
            gates::definitions(client).await?;
        }
        let pod_security = held.pod_security(namespace).await?;
        let installed = Installed::read(held, namespace).await?;
        let mut rendered = rendered(&installed, &renderer, &self.flags, &self.values).await?;
        let values = rendered.values()?;
        gates::values(&values)?;
        gates::processes(&rendered, starts)?;
        if Source::of(&installed.values) == Source::External {
            gates::issuer_is_looked_at(&values)?;
        }
        let published = installed.published().await?;
        if !self.force {
            gates::is_the_same_mesh(&installed.values, &values)?;
        }
        let judged = gates::Brought::judge(&rendered, namespace, &values, published.as_deref());
        let brought = match judged {
            // An issuer that has expired must not keep anybody from upgrading.
            Err(error) if self.force => {
                output::note(&format!("warning: {error}"));
                None
            }
            judged => judged?,
        };
        tell_changes(published.as_deref(), &rendered);
        if let Some(client) = installed.client() {
            if let Some(brought) = brought.filter(|_| !self.force) {
                brought.is_trusted(client, namespace).await?;
            }
            gates::nodes(client, &values).await?;
        }
        complete(&mut rendered, namespace, &values, pod_security.as_deref());
        print(&rendered, self.output)
    }

    /// Where what is installed is.
    async fn held(&self) -> Result<Held, Error> {
        let Some(path) = &self.from_manifests else {
            return Ok(Held::Cluster(self.place.client().await?));
        };
        if path == Path::new("-") && self.values.reads_standard_input() {
            Err(InstallError::File {
                flag: "--from-manifests",
                name: "-".to_owned(),
                reason: "--values is to be read from standard input, too".to_owned(),
            })?;
        }
        Held::manifests(path)
    }
}

/// What runs, by this version's chart and with further values.
pub(super) async fn rendered(
    installed: &Installed,
    renderer: &Renderer,
    flags: &ControlPlaneFlags,
    values: &ValueFlags,
) -> Result<Rendered, Error> {
    let kept = renderer.values("kept", &installed.kept().await?)?;
    let mut args: Vec<OsString> = vec!["--values".into(), kept.into()];
    args.extend(flags.args(renderer)?);
    args.extend(values.args());
    Ok(renderer.render(Chart::ControlPlane, &args)?)
}

/// The definitions; the kind that is an option is kept where it is.
async fn definitions(
    held: &Held,
    renderer: &Renderer,
    values: &ValueFlags,
) -> Result<Rendered, Error> {
    let found = held.definition("links.multicluster.linkerd.io").await?;
    let is_ours = found.is_some_and(|found| {
        let annotations = found.metadata.annotations.unwrap_or_default();
        let by = annotations.get("linkerd.io/created-by");
        by.is_some_and(|by| by.starts_with("ferrule/"))
    });
    let kept = renderer.values("kept", &json!({"installLink": is_ours}))?;
    let mut args: Vec<OsString> = vec!["--values".into(), kept.into()];
    args.extend(values.args());
    Ok(renderer.render(Chart::Definitions, &args)?)
}

/// Says which trust anchors come and go.
fn tell_changes(published: Option<&str>, rendered: &Rendered) {
    let new = rendered.find("ConfigMap", TRUST_ROOTS);
    let new = new.and_then(|map| map["data"][TRUST_ROOTS_KEY].as_str());
    let read = |pem: Option<&str>| TrustAnchors::from_pem(pem?.as_bytes()).ok();
    let (Some(old), Some(new)) = (read(published), read(new)) else {
        return;
    };
    let told = |from: &TrustAnchors, other: &TrustAnchors, what: &str| {
        let all = from.certificates().iter();
        for anchor in all.filter(|anchor| !other.contains(anchor)) {
            let subject = anchor.subject();
            output::note(&format!("warning: trust anchor {subject} {what}"));
        }
    };
    told(
        &new,
        &old,
        "is new: workloads trust it once they are restarted",
    );
    told(
        &old,
        &new,
        "goes: what is signed under it is refused from now on",
    );
}
