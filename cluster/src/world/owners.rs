use crate::object::{Kind, Name, ObjectKey, Owner, OwnerRef};
use rustc_hash::FxHashMap;

/// The owners of ReplicaSets and Jobs.
#[derive(Default)]
pub(super) struct Owners {
    replica_sets: FxHashMap<ObjectKey, Owner>,
    jobs: FxHashMap<ObjectKey, Owner>,
}

/// The workload that a pod is counted under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload<'w> {
    /// The kind as the API spells it (`Deployment`); `Pod` for a pod on its own.
    pub kind: &'w str,
    /// The name.
    pub name: &'w Name,
}

impl Owners {
    fn of(&self, kind: Kind) -> &FxHashMap<ObjectKey, Owner> {
        match kind {
            Kind::Job => &self.jobs,
            _ => &self.replica_sets,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut FxHashMap<ObjectKey, Owner> {
        match kind {
            Kind::Job => &mut self.jobs,
            _ => &mut self.replica_sets,
        }
    }

    /// Whether that says anything new.
    pub(super) fn apply(&mut self, kind: Kind, key: ObjectKey, owner: Owner) -> bool {
        let owners = self.of_mut(kind);
        let changed = owners.get(&key) != Some(&owner);
        owners.insert(key, owner);
        changed
    }

    pub(super) fn remove(&mut self, kind: Kind, key: &ObjectKey) -> bool {
        self.of_mut(kind).remove(key).is_some()
    }

    pub(super) fn get(&self, kind: Kind, key: &ObjectKey) -> Option<&Owner> {
        self.of(kind).get(key)
    }

    pub(super) fn count(&self, kind: Kind) -> usize {
        self.of(kind).len()
    }

    pub(super) fn keys(&self, kind: Kind) -> Vec<ObjectKey> {
        self.of(kind).keys().cloned().collect()
    }

    /// destination.md section 5.2: through a Job to its one owner, through a
    /// ReplicaSet only to kinds that are known to make them.
    pub(super) fn workload<'w>(&'w self, pod: &'w ObjectKey, owner: &'w Owner) -> Workload<'w> {
        let Owner::One(OwnerRef { kind, name }) = owner else {
            return Workload {
                kind: "Pod",
                name: &pod.name,
            };
        };
        let parent = |owners: &'w FxHashMap<ObjectKey, Owner>| {
            let key = ObjectKey::new(pod.namespace.clone(), name.clone());
            match owners.get(&key) {
                Some(Owner::One(parent)) => Some(parent),
                _ => None,
            }
        };
        let above = match &**kind {
            "Job" => parent(&self.jobs),
            "ReplicaSet" => parent(&self.replica_sets).filter(|parent| {
                matches!(
                    &*parent.kind,
                    "Job" | "StatefulSet" | "DaemonSet" | "Deployment"
                )
            }),
            _ => None,
        };
        match above {
            Some(OwnerRef { kind, name }) => Workload { kind, name },
            None => Workload { kind, name },
        }
    }
}
