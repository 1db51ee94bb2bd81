//! The Kubernetes API as a source: one watch for each kind.
//!
//! What happens when things go wrong:
//!
//! | what | then |
//! |---|---|
//! | the API server is away | tried again after 100-200 ms, then up to twice as long each time, at most every 2.5-5 s: one that comes back is seen within seconds; meanwhile the last state holds |
//! | a watch ends (the server ends each within 290 s) | resumed from the last resourceVersion, no list |
//! | 410, the resourceVersion is too old | a new list |
//! | the server is older than what was seen (a restored etcd) | found out when a watch resumes; a new list |
//! | nothing is heard of a watch for 90 s (bookmarks come each minute) | the connection is given up as half-open and the watch resumed |
//! | no answer to a request within 30 s (watch) or 65 s (list) | the request has failed |
//! | 404, and the kind has other versions | the next one is tried at once: an older mesh serves older ones |
//! | 403 | said once and as [`Event::Unavailable`], tried again |
//! | 404 | the same, but after a while tried only once in 30-60 s, and when what the server serves has changed, which is asked for every 2.5-5 s, once for all kinds |
//! | what is told in protobuf cannot be read | said, and the kind is watched in JSON |
//! | an object is broken | its problems are reported with it, or it is skipped; the others go on |

mod backoff;
mod failure;
mod protobuf;
mod served;
mod transport;
mod truth;
mod watch;

pub use self::truth::{Listed, list};

use self::served::Served;
use super::{Event, Sink, WatchStats};
use crate::{Interner, object::Kind};
use kube::Client;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The Kubernetes API as a source.
pub struct Kubernetes {
    /// How the API server is reached.
    pub client: Client,
    /// Shared with the index.
    pub interner: Interner,
    /// What is told of the watches.
    pub stats: Arc<WatchStats>,
}

impl Kubernetes {
    /// Watches every [`Kind`] until the sink closes or
    /// `shutdown` is cancelled. It never fails: see the table above.
    ///
    /// # Panics
    /// If the conversion of an object does: a watch that is silently gone would
    /// be worse.
    pub async fn run(self, sink: Sink, shutdown: CancellationToken) {
        let mut watches = JoinSet::new();
        let served = Served::new(self.client.clone());
        for kind in Kind::ALL {
            self.spawn(kind, &mut watches, &sink, &served);
        }
        drop(sink);
        let ended = async {
            while let Some(watch) = watches.join_next().await {
                if let Err(error) = watch
                    && let Ok(panic) = error.try_into_panic()
                {
                    std::panic::resume_unwind(panic);
                }
            }
        };
        // Dropping the set ends the watches.
        let ended = shutdown.run_until_cancelled(ended);
        tokio::select! {
            _ = ended => {}
            () = served.run() => {}
        }
    }

    fn spawn(&self, kind: Kind, watches: &mut JoinSet<()>, sink: &Sink, served: &Arc<Served>) {
        let watch = watch::Watch::new(
            kind,
            self.client.clone(),
            self.interner.clone(),
            self.stats.clone(),
            sink.clone(),
            served.arrivals(),
        );
        watches.spawn(watch.run());
    }
}

/// The sink is closed: nobody listens.
struct Closed;

async fn send(sink: &Sink, event: Event) -> Result<(), Closed> {
    sink.send(event).await.map_err(|_| Closed)
}

#[cfg(test)]
mod tests;
