//! How the files are doing.

use arc_swap::ArcSwapOption;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What became of changes of some files since the start, written by who follows
/// them, such as [`IdentityFiles`](crate::IdentityFiles), and read by anyone.
#[derive(Debug, Default)]
pub struct FilesStatus {
    reloads: AtomicU64,
    failures: AtomicU64,
    last_error: ArcSwapOption<String>,
}

impl FilesStatus {
    /// How often what changed files hold came into force.
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Relaxed)
    }

    /// How often changed files were not usable; files that stay as they are count
    /// once.
    pub fn failures(&self) -> u64 {
        self.failures.load(Relaxed)
    }

    /// What is wrong with the files now, if something is. The last that was good
    /// is in force then, so the process stays ready.
    pub fn last_error(&self) -> Option<Arc<String>> {
        self.last_error.load_full()
    }

    /// Changed files came into force.
    pub fn reloaded(&self) {
        self.reloads.fetch_add(1, Relaxed);
    }

    /// Changed files are not usable.
    pub fn failed(&self, error: String) {
        self.failures.fetch_add(1, Relaxed);
        self.last_error.store(Some(Arc::new(error)));
    }

    /// They are again.
    pub fn recovered(&self) {
        self.last_error.store(None);
    }
}
