//! What runs in this process, for those who report on it.

use ferrule_cluster::{Interner, index::IndexStats, source::WatchStats, stream::Streams};
use ferrule_destination::{DestinationServer, Registry, Request};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};
use tokio::sync::{mpsc, oneshot};

/// How long the index may take to answer before it counts as stuck (operations.md
/// 9.2).
const LIVE_WITHIN: Duration = Duration::from_secs(1);

/// The parts of the process and where it stands. Everything here is read without
/// asking the index, except for the questions.
pub(crate) struct Process {
    pub(crate) started: Instant,
    pub(crate) started_at: SystemTime,
    pub(crate) interner: Interner,
    pub(crate) registry: Arc<Registry>,
    pub(crate) index: Arc<IndexStats>,
    pub(crate) watches: Arc<WatchStats>,
    pub(crate) destination: DestinationServer,
    questions: mpsc::Sender<Request>,
    draining: AtomicBool,
}

impl Process {
    pub(crate) fn new(
        interner: Interner,
        registry: Arc<Registry>,
        index: Arc<IndexStats>,
        watches: Arc<WatchStats>,
        destination: DestinationServer,
        questions: mpsc::Sender<Request>,
    ) -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            interner,
            registry,
            index,
            watches,
            destination,
            questions,
            draining: AtomicBool::new(false),
        }
    }

    /// The open streams by the name of their method.
    pub(crate) fn streams(&self) -> [(&'static str, &Arc<Streams>); 2] {
        [
            ("Get", &self.registry.gets),
            ("GetProfile", &self.registry.get_profiles),
        ]
    }

    /// From now on the process is not ready, and never again will be.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the process is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether the index answers. It does from the first moment, synced or not.
    pub(crate) async fn is_alive(&self) -> bool {
        self.ask(Request::Ping).await.is_some()
    }

    /// Puts a question to the index; `None` if it does not answer in time.
    pub(crate) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        let answered = async {
            self.questions.send(question(reply)).await.ok()?;
            answer.await.ok()
        };
        tokio::time::timeout(LIVE_WITHIN, answered).await.ok()?
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

/// How long ago a time in milliseconds since 1970 was; `None` for never.
pub(crate) fn age(millis: u64) -> Option<Duration> {
    let then = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    // A clock that was put back makes it zero.
    (millis > 0).then(|| then.elapsed().unwrap_or_default())
}
