//! How it stands with workloads that want to be restarted for another trust anchor: as who
//! restarts them writes it down, and people read it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The Lease of the replica that restarts workloads.
pub const RESTARTS_LEASE: &str = "ferrule-restarts";
/// On that Lease: a list of [`RestartStanding`]s as JSON.
pub const RESTART_STANDINGS: &str = "ferrule.io/restart-standings";

/// How it stands with one workload whose pods do not trust all that is published, and for
/// which somebody wants a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartStanding {
    /// Where it is.
    pub namespace: String,
    /// Such as `deployment/web`.
    pub owner: String,
    /// What is done about it.
    pub state: RestartState,
    /// Why, if there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// What is done about a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartState {
    /// It is restarted as soon as it can be.
    Waits,
    /// It is being restarted.
    Restarting,
    /// It was restarted, and its rollout has failed: all others wait.
    Stuck,
    /// A person has to restart it.
    Refused,
    /// It was restarted, and its new pods are no better.
    InVain,
}

impl fmt::Display for RestartStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            RestartState::Waits => "waits",
            RestartState::Restarting => "is being restarted",
            RestartState::Stuck => "its rollout has failed",
            RestartState::Refused => "is not restarted",
            RestartState::InVain => "was restarted in vain",
        })?;
        match &self.because {
            Some(because) => write!(f, ": {because}"),
            None => Ok(()),
        }
    }
}
