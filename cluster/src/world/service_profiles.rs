use super::Changes;
use crate::object::{ObjectKey, ServiceProfile};
use rustc_hash::FxHashMap;

/// The ServiceProfiles. One that is edited into something that cannot be told
/// stays what it was, for streams that are open and for new ones alike; one that
/// has never been anything else counts as absent.
#[derive(Default)]
pub(super) struct ServiceProfiles(FxHashMap<ObjectKey, Option<ServiceProfile>>);

impl ServiceProfiles {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn keys(&self) -> Vec<ObjectKey> {
        self.0.keys().cloned().collect()
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<&ServiceProfile> {
        self.0.get(key)?.as_ref()
    }

    /// As [`get`](Self::get), but `Some(None)` for one that has never been told.
    pub(super) fn newest(&self, key: &ObjectKey) -> Option<&Option<ServiceProfile>> {
        self.0.get(key)
    }

    pub(super) fn apply(
        &mut self,
        key: ObjectKey,
        profile: Option<ServiceProfile>,
        changes: &mut Changes,
    ) {
        if profile.is_none() {
            self.0.entry(key).or_default();
        } else if self.0.get(&key) != Some(&profile) {
            changes.service_profiles.insert(key.clone());
            self.0.insert(key, profile);
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey, changes: &mut Changes) {
        if self.0.remove(key).flatten().is_some() {
            changes.service_profiles.insert(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::RetryBudget;

    fn with_ratio(ratio: f32) -> ServiceProfile {
        ServiceProfile {
            retry_budget: Some(RetryBudget {
                ratio,
                min_per_second: 1,
                ttl: Default::default(),
            }),
            ..ServiceProfile::default()
        }
    }

    #[test]
    fn what_cannot_be_told_leaves_the_last_version_that_could_in_force() {
        let mut profiles = ServiceProfiles::default();
        let key = ObjectKey::new("ns", "web");
        let mut apply = |profile: Option<ServiceProfile>| {
            let mut changes = Changes::default();
            profiles.apply(key.clone(), profile, &mut changes);
            (!changes.is_empty(), profiles.get(&key).cloned())
        };
        let (old, new) = (Some(with_ratio(1.0)), Some(with_ratio(2.0)));
        assert_eq!(apply(None), (false, None));
        assert_eq!(apply(old.clone()), (true, old.clone()));
        assert_eq!(apply(old.clone()), (false, old.clone()));
        assert_eq!(apply(None), (false, old));
        assert_eq!(apply(new.clone()), (true, new));
        let mut changes = Changes::default();
        profiles.remove(&key, &mut changes);
        assert!(changes.service_profiles.contains(&key));
        assert_eq!((profiles.get(&key), profiles.count()), (None, 0));
    }
}
