//! What docs/takeover.md tells people to type.

use super::linkerd::Charts;
use crate::helm::{ask, root};
use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Binary::*, Cluster};

/// Runs Helm as the section says, in order; `linkerd-edge/` is where these charts are.
pub(super) async fn follow(cluster: &Cluster, section: &str, charts: &Charts) -> Result<()> {
    let mut followed = 0;
    for command in commands(section)? {
        let Some(args) = command.strip_prefix("helm ") else {
            continue;
        };
        let control_plane = charts.control_plane.display().to_string();
        let crds = charts.crds.display().to_string();
        let args = args
            .replace("linkerd-edge/linkerd-control-plane", &control_plane)
            .replace("linkerd-edge/linkerd-crds", &crds);
        let args: Vec<_> = args.split_whitespace().collect();
        ask(cluster, Helm, &args).await?;
        followed += 1;
    }
    ensure!(followed == 2, "{section} upgrades both releases");
    Ok(())
}

/// The lines of the first listing under a heading.
fn commands(section: &str) -> Result<Vec<String>> {
    let guide = std::fs::read_to_string(root().join("docs/takeover.md"))?;
    let heading = format!("\n## {section}\n");
    let (_, text) = guide.split_once(&heading).context(heading)?;
    let (_, listing) = text
        .split_once("\n```sh needs=yours\n")
        .context("a listing")?;
    let (listing, _) = listing.split_once("\n```\n").context("its end")?;
    Ok(listing.lines().map(str::to_owned).collect())
}
