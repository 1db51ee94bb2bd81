use super::workload::Kind;
use ferrule_identity::Census;
use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

/// What became of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// All pods are new, and trust the bundle.
    Finished,
    /// All pods are new, and do not.
    InVain,
    /// Its rollout did not end.
    Failed,
}

impl Outcome {
    pub(crate) const ALL: [Self; 3] = [Self::Finished, Self::InVain, Self::Failed];

    /// As metrics call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::InVain => "in_vain",
            Self::Failed => "failed",
        }
    }
}

/// A namespace, and the kind of the pods' owners.
type Group = (String, &'static str);

/// How many pods do not trust the bundle, and what is done about it. Only the replica
/// that leads has something to say.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    laggards: Mutex<BTreeMap<Group, u64>>,
    restarts: [AtomicU64; Outcome::ALL.len()],
    waiting: AtomicU64,
    stuck: AtomicBool,
}

impl Stats {
    /// Pods that do not trust the bundle, by namespace and kind of owner: one of the
    /// three that can be restarted, `replicaset`, `job`, `pod` for none, or `other`.
    pub(crate) fn laggards(&self) -> BTreeMap<Group, u64> {
        self.counts().clone()
    }

    /// Restarts by what became of them.
    pub(crate) fn restarts(&self, outcome: Outcome) -> u64 {
        self.restarts[outcome as usize].load(Relaxed)
    }

    /// Workloads that would be restarted if they could be now.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// Whether nothing is restarted because a rollout has failed.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Relaxed)
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.restarts[outcome as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn set_waiting(&self, count: u64) {
        self.waiting.store(count, Relaxed);
    }

    pub(super) fn set_stuck(&self, is_stuck: bool) {
        self.stuck.store(is_stuck, Relaxed);
    }

    pub(super) fn set_laggards(&self, census: &Census) {
        let mut counts = BTreeMap::<Group, u64>::new();
        for ((namespace, owner), pods) in &census.laggards {
            let group = (namespace.clone(), group(owner));
            *counts.entry(group).or_default() += *pods as u64;
        }
        *self.counts() = counts;
    }

    /// Somebody else leads, and says it.
    pub(super) fn clear(&self) {
        self.counts().clear();
        self.set_waiting(0);
        self.set_stuck(false);
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<Group, u64>> {
        self.laggards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// There are as many kinds of owners as people make.
fn group(owner: &str) -> &'static str {
    match (Kind::of_owner(owner), owner.split('/').next()) {
        (Some((kind, _)), _) => kind.lower_case(),
        (None, Some("replicaset")) => "replicaset",
        (None, Some("job")) => "job",
        (None, Some("pod")) => "pod",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_of_any_kind_are_a_few_groups() {
        let owners = ["deployment/a", "deployment/b", "rollout.argoproj.io/a"];
        let laggards = owners.map(|owner| (("shop".to_owned(), owner.to_owned()), 2));
        let stats = Stats::default();
        stats.set_laggards(&Census {
            pods: 6,
            laggards: laggards.into(),
        });
        let group = |kind| ("shop".to_owned(), kind);
        let expected = [(group("deployment"), 4), (group("other"), 2)];
        assert_eq!(stats.laggards(), expected.into());
        stats.clear();
        assert!(stats.laggards().is_empty());
    }
}
