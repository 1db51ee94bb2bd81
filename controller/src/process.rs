//! What runs in this process, for those who report on it.

use crate::{
    api_client::ApiRequests,
    flags::Role,
    identity::Identity,
    injection::Injection,
    lease::Leadership,
    mesh_tls::{Handshakes, OwnCertificate},
    restarts, status, traces,
    webhooks::Webhooks,
};
use ferrule_cluster::{
    Interner,
    grpc::{Calls, Methods, Server},
    index::IndexStats,
    source::WatchStats,
};
use ferrule_destination::DestinationServer;
use ferrule_policy::{InboundServer, OutboundServer, Outbox};
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
    roles: Vec<Role>,
    /// Destination and policy; they share an index.
    pub(crate) discovery: Option<Discovery>,
    pub(crate) identity: Option<Identity>,
    /// What puts proxies into pods.
    pub(crate) injection: Option<Arc<Injection>>,
    /// What the API server was asked, where there is one.
    pub(crate) api_requests: Option<Arc<ApiRequests>>,
    /// Its own certificates, for the listeners that speak mesh TLS.
    pub(crate) certificates: Vec<Arc<OwnCertificate>>,
    /// How TLS goes at each of those.
    pub(crate) handshakes: Vec<(Role, Arc<Handshakes>)>,
    /// What API servers ask before they store an object.
    pub(crate) webhooks: Option<Arc<Webhooks>>,
    /// Whether it is the replica that writes, for each thing that one replica writes.
    pub(crate) leases: Vec<Leadership>,
    /// What the status writer did; all zero where there is none.
    pub(crate) status_writes: Arc<status::Stats>,
    /// What became of workloads that do not trust all trust anchors; likewise.
    pub(crate) restarts: Arc<restarts::Stats>,
    /// What became of the traces of its own work, where there are any.
    pub(crate) traces: Option<Arc<traces::Stats>>,
    draining: AtomicBool,
}

/// What proxies are told, from one index.
pub(crate) struct Discovery {
    /// Whether what is known comes from a cluster, rather than from manifests.
    pub(crate) has_cluster: bool,
    /// The suffix of Services' names.
    pub(crate) cluster_domain: String,
    pub(crate) interner: Interner,
    pub(crate) index: Arc<IndexStats>,
    pub(crate) watches: Arc<WatchStats>,
    pub(crate) destinations: Arc<ferrule_destination::Registry>,
    pub(crate) policies: Arc<ferrule_policy::Registry>,
    /// The statuses that are to be written, where they are.
    pub(crate) outbox: Option<Arc<Outbox>>,
    pub(crate) destination: DestinationServer,
    pub(crate) inbound: InboundServer,
    pub(crate) outbound: OutboundServer,
    pub(crate) questions: mpsc::Sender<ferrule_destination::Request>,
    pub(crate) policy_questions: mpsc::Sender<ferrule_policy::Request>,
}

impl Process {
    /// One that is to have these roles; its parts come later.
    pub(crate) fn new(roles: &[Role]) -> Self {
        Self {
            started: Instant::now(),
            started_at: SystemTime::now(),
            roles: roles.to_vec(),
            discovery: None,
            identity: None,
            injection: None,
            api_requests: None,
            certificates: Vec::new(),
            handshakes: Vec::new(),
            webhooks: None,
            leases: Vec::new(),
            status_writes: Arc::default(),
            restarts: Arc::default(),
            traces: None,
            draining: AtomicBool::new(false),
        }
    }

    /// Whether it has this role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// The calls of each method that is served here, with the role that serves it.
    pub(crate) fn calls(&self) -> Vec<(Role, Arc<Calls>)> {
        fn of<M: Methods>(role: Role, api: &Server<M>) -> impl Iterator<Item = (Role, Arc<Calls>)> {
            api.calls().map(move |calls| (role, calls.clone()))
        }
        let mut calls = Vec::new();
        if let Some(discovery) = &self.discovery {
            calls.extend(of(Role::Destination, &discovery.destination));
            calls.extend(of(Role::Policy, &discovery.inbound));
            calls.extend(of(Role::Policy, &discovery.outbound));
        }
        if let Some(identity) = &self.identity {
            calls.extend(of(Role::Identity, &identity.api));
        }
        calls
    }

    /// From now on the process is not ready, and never again will be.
    pub(crate) fn begin_drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the process is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether the index, if there is one, answers. It does from the first moment,
    /// synced or not.
    pub(crate) async fn is_alive(&self) -> bool {
        match &self.discovery {
            Some(discovery) => discovery
                .ask(ferrule_destination::Request::Ping)
                .await
                .is_some(),
            None => true,
        }
    }
}

impl Discovery {
    /// Puts a question to the index; `None` if it does not answer in time.
    pub(crate) async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> ferrule_destination::Request,
    ) -> Option<T> {
        ask(&self.questions, question).await
    }

    /// The same of what policies are about.
    pub(crate) async fn ask_policies<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<T>) -> ferrule_policy::Request,
    ) -> Option<T> {
        ask(&self.policy_questions, question).await
    }
}

async fn ask<T, Q>(
    index: &mpsc::Sender<Q>,
    question: impl FnOnce(oneshot::Sender<T>) -> Q,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    let answered = async {
        index.send(question(reply)).await.ok()?;
        answer.await.ok()
    };
    tokio::time::timeout(LIVE_WITHIN, answered).await.ok()?
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
