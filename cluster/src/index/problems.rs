use crate::{
    object::{Kind, ObjectKey},
    source::Event,
};
use rustc_hash::FxHashMap;

/// What in which objects could not be read: each is said once, not with every
/// status update of the object. Bounded by the objects that have problems.
#[derive(Default)]
pub(super) struct Problems(FxHashMap<(Kind, ObjectKey), Vec<String>>);

impl Problems {
    pub(super) fn report(&mut self, event: &Event) {
        match event {
            Event::Applied {
                key,
                object,
                problems,
            } => self.compare(object.kind(), key, problems),
            Event::Deleted(kind, key) if !self.0.is_empty() => {
                self.0.remove(&(*kind, key.clone()));
            }
            _ => {}
        }
    }

    fn compare(&mut self, kind: Kind, key: &ObjectKey, problems: &[String]) {
        if problems.is_empty() && self.0.is_empty() {
            return;
        }
        let at = (kind, key.clone());
        if problems.is_empty() {
            if self.0.remove(&at).is_some() {
                tracing::info!(%kind, object = %key, "can be read whole again");
            }
        } else if self.0.get(&at).is_none_or(|known| known != problems) {
            for problem in problems {
                tracing::warn!(%kind, object = %key, "{problem}");
            }
            self.0.insert(at, problems.to_vec());
        }
    }
}
