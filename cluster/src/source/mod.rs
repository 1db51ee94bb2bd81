//! Where changes of the cluster come from: the Kubernetes API or a directory
//! of manifests. Nothing behind a source knows which one it is.

mod changes;
pub mod kubernetes;
pub mod manifests;
mod stats;
mod wire;

pub use self::{
    changes::DirectoryChanges,
    kubernetes::Kubernetes,
    manifests::{LoadError, Manifests},
    stats::{ErrorReason, KindStats, Problem, WatchStats},
};

pub(crate) use self::stats::unix_millis;

use crate::{
    object::{Kind, Object, ObjectKey},
    trace::Place,
};
use tokio::sync::mpsc;

/// One typed change, in the order in which the source learnt of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A full list of this kind begins; what it does not name until
    /// [`Synced`](Event::Synced) is gone. A list that breaks off is followed by
    /// another `Relisting` and has no effect.
    Relisting(Kind),
    /// The object is there, with this content.
    Applied {
        /// Where.
        key: ObjectKey,
        /// What the mesh reads of it.
        object: Object,
        /// What in it could not be read, each said as to a user; the rest of the
        /// object holds.
        problems: Vec<String>,
    },
    /// The object is gone.
    Deleted(Kind, ObjectKey),
    /// The list begun by [`Relisting`](Event::Relisting) is complete.
    Synced(Kind),
    /// The kind cannot be watched now: its CRD is absent or it is forbidden. A
    /// kind that was never listed counts as synced and empty unless it
    /// [is required](Kind::is_required); one that was listed keeps what it had.
    Unavailable(Kind, String),
    /// One of the others, of a trace that goes on in the index. Only of changes that
    /// are recorded ([`trace`](crate::trace)), which is seldom.
    Traced(Box<Traced>),
}

/// A change and the place of its cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Traced {
    /// Where its trace goes on.
    pub place: Place,
    /// The change.
    pub event: Event,
}

/// How many events may wait between the sources and the index. A source that
/// runs ahead of the index waits.
pub const CHANNEL_CAPACITY: usize = 1024;

/// The sources' end of the channel into an index.
pub type Sink = mpsc::Sender<Event>;
