//! Restarts of workloads that do not trust all trust anchors.

use clap::Args;
use ferrule_cli::duration;
use ferrule_identity::TRUST_ROOTS;
use std::time::Duration;

/// Restarts of workloads that do not trust all trust anchors.
#[derive(Debug, Args)]
#[command(next_help_heading = "Restarts")]
pub(crate) struct RestartFlags {
    /// Restart workloads whose proxies do not trust all that is published, one at a time,
    /// where they or their namespaces have the annotation
    /// ferrule.io/restart-for-trust-anchor: enabled. With the role destination, in a
    /// cluster
    #[arg(
        long,
        env = "FERRULE_RESTART_WORKLOADS",
        value_name = "BOOL",
        default_value_t = false,
        num_args = 0..=1,
        default_missing_value = "true",
        action = clap::ArgAction::Set
    )]
    pub(crate) restart_workloads: bool,

    /// How long to wait between the end of a restart and the next
    #[arg(long, env = "FERRULE_RESTART_INTERVAL", value_name = "DURATION", default_value = "30s", value_parser = duration)]
    pub(crate) restart_interval: Duration,

    /// How long trust anchors must have been published before anything is restarted for
    /// them: the injector's file is as old as kubelets let it be, a minute or two
    #[arg(long, env = "FERRULE_RESTART_SETTLE", value_name = "DURATION", default_value = "3m", value_parser = duration)]
    pub(crate) restart_settle: Duration,

    /// The ConfigMap in the control plane's namespace that the trust anchors are
    /// published in
    #[arg(long, env = "FERRULE_TRUST_ROOTS_CONFIG_MAP", value_name = "NAME", default_value = TRUST_ROOTS)]
    pub(crate) trust_roots_config_map: String,
}
