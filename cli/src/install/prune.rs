//! `ferrule prune`: what the cluster has of the control plane, and this version does not.

use super::{
    ControlPlaneFlags, Helm, Output, Place, ValueFlags, complete,
    held::Held,
    installed::Installed,
    inventory::{Item, Kinds},
    print,
    rendered::Rendered,
    upgrade,
};
use crate::{Error, output};
use clap::Args;
use ferrule_identity::MANAGED_BY;

const EXAMPLES: &str = "\
That is what has the label of the control plane and is not what `ferrule upgrade` with
the same flags prints: what a value has switched off, and what older versions had.
Definitions of kinds, trust anchors and issuers are never among it.

Examples:
  ferrule upgrade --set podMonitor.enabled=false | kubectl apply -f -
  ferrule prune | kubectl delete -f -";

/// What outlives the chart that made it.
const KEPT: (&str, &str) = ("helm.sh/resource-policy", "keep");

/// Prints what the control plane has left behind, for kubectl delete.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Prune {
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

impl Prune {
    /// Prints manifests to standard output.
    ///
    /// # Errors
    /// When there is no control plane, or it cannot be read or rendered.
    pub async fn run(self, helm: Helm) -> Result<(), Error> {
        let client = self.place.client().await?;
        let renderer = self.place.renderer(helm, Some(&client)).await?;
        let namespace = &self.place.control_plane.namespace;
        let installed = Installed::read(Held::Cluster(client.clone()), namespace).await?;
        let mut wanted =
            upgrade::rendered(&installed, &renderer, &self.flags, &self.values).await?;
        let values = wanted.values()?;
        complete(&mut wanted, namespace, &values, None);
        let found = Kinds::of(&client).await?.labelled(namespace).await?;
        let mut gone = Rendered::default();
        for item in found.iter().filter(|item| is_over(item, &wanted)) {
            output::note(&item.full_name());
            gone.put_after(item.manifest());
        }
        if gone.objects().is_empty() {
            output::note("nothing is left over");
        }
        print(&gone, self.output)
    }
}

/// Whether something is left over.
fn is_over(item: &Item, wanted: &Rendered) -> bool {
    let has = |labels: &std::collections::BTreeMap<String, String>, (key, value): (&str, &str)| {
        labels.get(key).is_some_and(|of| of == value)
    };
    let is_kept = item.is_definition()
        || has(&item.annotations, KEPT)
        // What it makes as it runs.
        || has(&item.labels, MANAGED_BY)
        || item.kind == "Lease";
    !is_kept && !wanted.objects().iter().any(|object| item.is(object))
}
