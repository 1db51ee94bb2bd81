use crate::object::{Labels, Name, PodTemplate};
use rustc_hash::FxHashSet;
use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Shares equal strings, label sets and pod templates between objects.
///
/// Cheap to clone; every source has the same one. Entries that nothing but the
/// interner holds are given back by [`sweep`](Self::sweep), so a cluster whose
/// pods come and go for a year does not grow it.
#[derive(Clone, Default)]
pub struct Interner(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    names: FxHashSet<Name>,
    labels: FxHashSet<Arc<Labels>>,
    templates: FxHashSet<Arc<PodTemplate>>,
}

impl Interner {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The shared copy of `text`.
    pub fn name(&self, text: &str) -> Name {
        let mut entries = self.lock();
        if let Some(name) = entries.names.get(text) {
            return name.clone();
        }
        let name = Name::from(text);
        entries.names.insert(name.clone());
        name
    }

    /// The shared copy of `labels`.
    pub fn labels(&self, labels: Labels) -> Arc<Labels> {
        shared(&mut self.lock().labels, labels)
    }

    /// The shared copy of `template`.
    pub fn template(&self, template: PodTemplate) -> Arc<PodTemplate> {
        shared(&mut self.lock().templates, template)
    }

    /// Drops what is no longer used by any object.
    pub fn sweep(&self) {
        let mut entries = self.lock();
        // Names last: the others hold them.
        sweep(&mut entries.templates);
        sweep(&mut entries.labels);
        sweep(&mut entries.names);
    }

    /// How many names and templates are held.
    pub fn len(&self) -> (usize, usize) {
        let entries = self.lock();
        (entries.names.len(), entries.templates.len())
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn shared<T: Eq + Hash>(set: &mut FxHashSet<Arc<T>>, value: T) -> Arc<T> {
    if let Some(shared) = set.get(&value) {
        return shared.clone();
    }
    let shared = Arc::new(value);
    set.insert(shared.clone());
    shared
}

fn sweep<T: ?Sized + Eq + Hash>(set: &mut FxHashSet<Arc<T>>) {
    set.retain(|entry| Arc::strong_count(entry) > 1);
    if set.capacity() > 4 * set.len().max(64) {
        set.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_allocation_and_unused_ones_are_dropped() {
        let interner = Interner::new();
        let a = interner.name("web");
        let b = interner.name("web");
        assert!(Arc::ptr_eq(&a, &b));
        drop(interner.name("gone"));
        drop(interner.template(PodTemplate {
            service_account: interner.name("only-of-a-template"),
            ..PodTemplate::default()
        }));
        interner.sweep();
        assert_eq!(interner.len(), (1, 0));
    }
}
