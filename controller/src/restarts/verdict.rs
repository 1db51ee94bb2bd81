//! Whether a workload may be restarted now: a function of what is known of it.

use super::{
    budget::{self, Budget},
    opt_in::OptIn,
    workload::{Kind, Look as _, Progress, Rollout, Workload},
};
use kube::ResourceExt as _;

/// What is to be done about a workload whose pods do not trust the bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It may be restarted.
    Restart,
    /// It was, for this bundle.
    Restarted,
    /// Later, perhaps: why not now.
    Waits(String),
    /// A person has to: why.
    Refused(String),
}

/// What is decided about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) kind: Kind,
    pub(super) workload: &'a Workload,
    /// Who has said that it may be: somebody.
    pub(super) opt_in: OptIn,
    /// What its pods should trust.
    pub(super) bundle: &'a str,
    /// Whether its restart for that has failed before.
    pub(super) has_failed: bool,
    /// All of its namespace.
    pub(super) budgets: &'a [Budget],
}

impl Case<'_> {
    pub(super) fn judge(self) -> Verdict {
        let Self { kind, workload, .. } = self;
        let progress = workload.progress(kind);
        if workload.restarted_for() == Some(self.bundle) && progress == Progress::Complete {
            return Verdict::Restarted;
        }
        if let Some(reason) = self.refused() {
            return Verdict::Refused(reason);
        }
        if let Some(reason) = self.waits(progress) {
            return Verdict::Waits(reason);
        }
        Verdict::Restart
    }

    fn refused(self) -> Option<String> {
        let Self { kind, workload, .. } = self;
        if workload.is_injected_by_hand() {
            return Some("its proxy and what that trusts are in its pod template".to_owned());
        }
        if self.has_failed {
            return Some("the rollout of its last restart has failed and was undone".to_owned());
        }
        let wanted = workload.numbers(kind).wanted;
        match workload.rollout(kind) {
            Rollout::ByHand => Some("its strategy is that somebody rolls it out by hand".into()),
            Rollout::AllAway if wanted > 0 => {
                let pods = if wanted == 1 { "pod" } else { "pods" };
                Some(format!(
                    "its strategy would take its only {wanted} {pods} away at the same time"
                ))
            }
            // On its node each of them is the only one.
            Rollout::Away(1..) if kind == Kind::DaemonSet && self.opt_in != OptIn::ByWorkload => {
                Some(
                    "its strategy takes a node's pod away before there is another, so the \
                     namespace's annotation is not enough: annotate the DaemonSet itself, or let \
                     it surge"
                        .to_owned(),
                )
            }
            Rollout::Away(_) | Rollout::AllAway => None,
        }
    }

    fn waits(self, progress: Progress) -> Option<String> {
        let Self { kind, workload, .. } = self;
        if workload.spec.paused {
            return Some("it is paused".to_owned());
        }
        if workload.numbers(kind).wanted == 0 {
            return Some("it is scaled to nothing".to_owned());
        }
        match progress {
            Progress::Complete => {}
            Progress::Underway => {
                return Some("not all of its pods are up to date and ready".into());
            }
            Progress::Failed => return Some("its last rollout has failed".to_owned()),
        }
        let labels = workload.pod_labels();
        let full = self
            .budgets
            .iter()
            .find(|budget| budget::selects(budget, labels) && !budget::allows(budget))?;
        let name = full.name_any();
        Some(format!(
            "its PodDisruptionBudget {name} allows no disruption now"
        ))
    }
}

#[cfg(test)]
mod tests;
