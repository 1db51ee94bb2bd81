//! `ferrule check`: whether a mesh is well, or manifests would be stored and understood.

mod cluster;
mod manifests;

pub(crate) use self::cluster::{
    COMPONENT, CONFIG, CONTROL_PLANE, is_supported, of_cluster, own_definitions,
};
pub use self::cluster::{reference, rights};

use self::{cluster::ClusterCheck, manifests::Manifests};
use crate::{Error, output};
use clap::Args;

const EXAMPLES: &str = "\
Without --manifests it asks the API server, before an installation (--pre) or after
it; it only reads, but for dry runs, and what the user may not read is skipped with a
warning. With --manifests it looks at files as the webhooks and the mesh will,
without a cluster. Errors are exit code 1; what each check means and what to do is in
docs/checks.md.

Examples:
  ferrule check --pre
  ferrule check
  ferrule check --proxy -n shop
  ferrule check -o json --wait 0s --fail-on-warning
  ferrule check --manifests deploy/
  kustomize build . | ferrule check --manifests -";

/// Looks for what is wrong with a cluster's mesh, or with manifests.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    #[command(flatten)]
    manifests: Manifests,

    #[command(flatten)]
    cluster: ClusterCheck,

    /// How to print what is found
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,

    /// Exit with 2 where there are warnings and no errors
    #[arg(long)]
    fail_on_warning: bool,
}

/// How what is found is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// All of it for people: each check, or a line for each problem of manifests
    #[default]
    Table,
    /// Only what is wrong
    Short,
    /// All of it for programs
    Json,
}

impl Check {
    /// Prints to standard output what is found; what is waited for is noted on standard
    /// error.
    ///
    /// # Errors
    /// When something cannot be read, and when there are errors; also when there are
    /// warnings, if so asked.
    pub async fn run(self) -> Result<(), Error> {
        let fails =
            |errors: usize, warnings: usize| errors > 0 || (self.fail_on_warning && warnings > 0);
        output::seen_enough(if self.manifests.are_meant() {
            self.manifests.run(self.output, fails)
        } else {
            self.cluster.run(self.output, fails).await
        })
    }
}
