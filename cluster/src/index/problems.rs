use crate::{
    object::{Kind, ObjectKey},
    source::Event,
};
use rustc_hash::FxHashMap;

/// What in which objects could not be read: each is said once, not with every
/// status update of the object. Bounded by the objects that have problems.
#[derive(Default)]
pub(super) struct Problems(FxHashMap<(Kind, ObjectKey), Known>);

struct Known {
    problems: Vec<String>,
    /// A list is under way that has not named the object.
    unlisted: bool,
}

impl Problems {
    pub(super) fn report(&mut self, event: &Event) {
        match event {
            Event::Applied {
                key,
                object,
                problems,
            } => self.compare(object.kind(), key, problems),
            _ if self.0.is_empty() => {}
            Event::Deleted(kind, key) => {
                self.0.remove(&(*kind, key.clone()));
            }
            Event::Relisting(kind) => {
                let of_kind = self.0.iter_mut().filter(|((of, _), _)| of == kind);
                of_kind.for_each(|(_, known)| known.unlisted = true);
            }
            Event::Synced(kind) => self
                .0
                .retain(|(of, _), known| of != kind || !known.unlisted),
            Event::Unavailable(..) => {}
            Event::Traced(traced) => self.report(&traced.event),
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
            return;
        }
        if self
            .0
            .get(&at)
            .is_none_or(|known| known.problems != problems)
        {
            for problem in problems {
                tracing::warn!(%kind, object = %key, "{problem}");
            }
        }
        let known = Known {
            problems: problems.to_vec(),
            unlisted: false,
        };
        self.0.insert(at, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::{Namespace, Object};

    fn applied(name: &str, problems: &[&str]) -> Event {
        Event::Applied {
            key: ObjectKey::new("", name),
            object: Object::Namespace(Namespace { opaque_ports: None }),
            problems: problems.iter().map(|&problem| problem.to_owned()).collect(),
        }
    }

    #[test]
    fn what_has_gone_is_forgotten_also_when_a_list_says_so() {
        let mut problems = Problems::default();
        for name in ["a", "b", "c"] {
            problems.report(&applied(name, &["bad"]));
        }
        problems.report(&Event::Deleted(Kind::Namespace, ObjectKey::new("", "a")));
        problems.report(&Event::Relisting(Kind::Namespace));
        problems.report(&applied("b", &["bad"]));
        problems.report(&Event::Synced(Kind::Namespace));
        assert_eq!(problems.0.len(), 1);
        problems.report(&applied("b", &[]));
        assert!(problems.0.is_empty());
    }
}
