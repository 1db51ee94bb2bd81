//! Who writes, of several replicas.

use crate::lease::Terms;
use clap::Args;
use ferrule_cli::lease_duration;
use std::time::Duration;

/// Who writes, of several replicas.
#[derive(Debug, Args)]
#[command(next_help_heading = "Leases")]
pub(crate) struct LeaseFlags {
    /// How long other replicas wait before they take over from one that is gone, in
    /// whole seconds, at least 3s. A replica that cannot renew its Lease ceases to
    /// write after two thirds of it
    #[arg(long, env = "FERRULE_LEASE_DURATION", value_name = "DURATION", default_value = "30s", value_parser = lease_duration)]
    pub(crate) lease_duration: Duration,

    /// The Deployment that Leases made here belong to: they go when it does [default:
    /// none]
    #[arg(long, env = "FERRULE_DEPLOYMENT", value_name = "NAME")]
    pub(crate) deployment: Option<String>,
}

impl LeaseFlags {
    /// What holds for the Leases in this namespace.
    pub(crate) fn terms(&self, namespace: &str) -> Terms {
        Terms {
            namespace: namespace.to_owned(),
            deployment: self.deployment.clone(),
            duration: self.lease_duration,
        }
    }
}
