use crate::object::{Kind, Object, ObjectKey};
use rustc_hash::FxHashSet;

/// Lists under way. The first list of a kind goes straight into the world, since
/// nobody is answered before it ends; of a later one only what differs is held
/// back until it is complete, and then applied in one batch with what is gone.
#[derive(Default)]
pub(super) struct Relists {
    kinds: [KindState; Kind::ALL.len()],
}

#[derive(Default)]
struct KindState {
    synced: bool,
    listed: bool,
    relist: Option<Relist>,
}

/// A list so far.
#[derive(Default)]
pub(super) struct Relist {
    /// Every key in it.
    pub(super) seen: FxHashSet<ObjectKey>,
    /// What came with another content than the world's.
    pub(super) held: Vec<(ObjectKey, Object)>,
}

impl Relists {
    pub(super) fn begin(&mut self, kind: Kind) {
        self.kinds[kind as usize].relist = Some(Relist::default());
    }

    /// Whether objects of the kind are held back now.
    pub(super) fn holds(&self, kind: Kind) -> bool {
        let state = &self.kinds[kind as usize];
        state.synced && state.relist.is_some()
    }

    /// The object, if it is to be applied now. `is_known` says whether the world
    /// has it with this very content.
    pub(super) fn admit(
        &mut self,
        key: ObjectKey,
        object: Object,
        is_known: bool,
    ) -> Option<(ObjectKey, Object)> {
        let state = &mut self.kinds[object.kind() as usize];
        let Some(relist) = &mut state.relist else {
            return Some((key, object));
        };
        let repeated = !relist.seen.insert(key.clone());
        if !state.synced {
            return Some((key, object));
        }
        // An object listed twice (a list that moved between pages): the later
        // sighting counts, also when it is what the world has.
        if repeated || !is_known {
            relist.held.push((key, object));
        }
        None
    }

    /// The object has gone while the list was under way.
    pub(super) fn forget(&mut self, kind: Kind, key: &ObjectKey) {
        if let Some(relist) = &mut self.kinds[kind as usize].relist
            && relist.seen.remove(key)
        {
            relist.held.retain(|(held, _)| held != key);
        }
    }

    pub(super) fn finish(&mut self, kind: Kind) -> Option<Relist> {
        let state = &mut self.kinds[kind as usize];
        state.synced = true;
        state.listed = true;
        state.relist.take()
    }

    pub(super) fn unavailable(&mut self, kind: Kind) {
        let state = &mut self.kinds[kind as usize];
        state.relist = None;
        state.synced |= !kind.is_required();
    }

    pub(super) fn is_synced(&self, kind: Kind) -> bool {
        self.kinds[kind as usize].synced
    }

    pub(super) fn is_listed(&self, kind: Kind) -> bool {
        self.kinds[kind as usize].listed
    }

    pub(super) fn all_synced(&self) -> bool {
        self.kinds.iter().all(|state| state.synced)
    }
}
