//! What the injector goes by.

use clap::Args;
use std::path::PathBuf;

/// Where the chart mounts ConfigMap `linkerd-config`.
const VALUES: &str = "/var/run/linkerd/config/values";

/// What the role proxy-injector goes by, beside the trust anchors.
#[derive(Debug, Args)]
#[command(next_help_heading = "Injector")]
pub(crate) struct InjectorFlags {
    /// The chart's values, YAML; followed [default: /var/run/linkerd/config/values]
    #[arg(long, env = "FERRULE_VALUES", value_name = "FILE")]
    values: Option<PathBuf>,
}

impl InjectorFlags {
    /// The file of the values.
    pub(crate) fn values(&self) -> PathBuf {
        self.values.clone().unwrap_or_else(|| VALUES.into())
    }
}
