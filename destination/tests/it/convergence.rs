//! Once the cluster is quiet, every stream has been told what a fresh one would
//! be, by this process and by one that has just started.

use crate::{
    history::{Cluster, Op, Question, histories},
    support::*,
};
use ferrule_cluster::object::ObjectKey;
use ferrule_destination::History;
use ferrule_test_history::config;
use proptest::prelude::*;

enum Asked {
    Get(Client),
    Profile(Box<ProfileClient>),
}

struct Open {
    question: Question,
    asked: Asked,
}

impl Open {
    /// `None` where it is refused.
    async fn new(mesh: &mut TestMesh, question: &Question) -> Option<Self> {
        let asked = match question {
            Question::Get {
                service,
                port,
                hostname,
                node,
            } => {
                let hostname = hostname.map(|n| format!("h{n}.")).unwrap_or_default();
                let path = format!("{hostname}svc{service}.ns.svc.cluster.local:{port}");
                let token = format!("{{\"nodeName\":\"n{node}\"}}");
                Asked::Get(mesh.get_as(&path, &token).await.ok()?)
            }
            Question::Profile {
                service,
                port,
                client,
            } => {
                let path = format!("svc{service}.ns.svc.cluster.local:{port}");
                Self::profile(mesh, &path, client).await?
            }
            Question::Hostname { service, pod, port } => {
                let path = format!("h{pod}.svc{service}.ns.svc.cluster.local:{port}");
                Self::profile(mesh, &path, "").await?
            }
            Question::Address {
                address,
                port,
                client,
            } => Self::profile(mesh, &format!("10.0.0.{address}:{port}"), client).await?,
            Question::ClusterIp {
                service,
                port,
                client,
            } => Self::profile(mesh, &format!("10.96.0.{service}:{port}"), client).await?,
        };
        Some(Self {
            question: question.clone(),
            asked,
        })
    }

    async fn profile(mesh: &mut TestMesh, path: &str, namespace: &str) -> Option<Asked> {
        let token = format!("{{\"ns\":\"{namespace}\"}}");
        let client = mesh.profile_as(path, &token).await.ok()?;
        Some(Asked::Profile(Box::new(client)))
    }

    async fn read(&mut self, mesh: &mut TestMesh, count: usize) {
        match &mut self.asked {
            Asked::Get(client) => {
                for _ in 0..count {
                    if mesh.read_one(client).await.is_none() {
                        return;
                    }
                }
            }
            Asked::Profile(client) => {
                mesh.read_profiles(client).await;
            }
        }
    }

    /// Where a fresh stream is refused or told nothing, an open one that has no
    /// endpoints or keeps its profile is right.
    fn agrees_with(&self, fresh: Option<&Open>) -> Result<(), TestCaseError> {
        match (&self.asked, fresh.map(|fresh| &fresh.asked)) {
            (Asked::Get(open), Some(Asked::Get(fresh))) => {
                prop_assert_eq!(&open.endpoints, &fresh.endpoints, "{:?}", self.question);
            }
            (Asked::Get(open), _) => {
                prop_assert!(
                    open.endpoints.is_empty(),
                    "{:?}: {:?}",
                    self.question,
                    open.addrs()
                );
            }
            (Asked::Profile(open), Some(Asked::Profile(fresh))) if fresh.newest.is_some() => {
                prop_assert_eq!(&open.newest, &fresh.newest, "{:?}", self.question);
            }
            (Asked::Profile(_), _) => {}
        }
        Ok(())
    }
}

/// Nodes are there from the start: a client's zone is read once (D25).
fn with_nodes(history: History) -> TestMesh {
    let mut mesh = TestMesh::keeping(baseline(), history);
    mesh.apply_in("", "n0", node("zone-0"));
    mesh.apply_in("", "n1", node("zone-1"));
    mesh
}

async fn check(history: Vec<Op>, forgetful: bool) -> Result<(), TestCaseError> {
    let mut cluster = Cluster::new();
    // With hardly any past, streams that are behind take the longest way.
    let kept = History {
        deltas: 2,
        bytes: 600,
        gone: 1,
    };
    let mut mesh = with_nodes(if forgetful { kept } else { History::default() });
    let mut clients: Vec<Open> = Vec::new();
    for op in &history {
        for event in cluster.happen(op) {
            mesh.feed(event);
        }
        match op {
            Op::Publish => mesh.publish(),
            Op::Open(question) => {
                mesh.publish();
                clients.extend(Open::new(&mut mesh, question).await);
            }
            Op::Read(client, count) if !clients.is_empty() => {
                let at = client % clients.len();
                clients[at].read(&mut mesh, *count).await;
            }
            Op::Close(client) if !clients.is_empty() => {
                clients.swap_remove(client % clients.len());
            }
            _ => {}
        }
    }
    for event in cluster.api.rest() {
        mesh.feed(event);
    }
    mesh.publish();

    let mut restarted = with_nodes(History::default());
    for event in cluster.api.lists() {
        restarted.feed(event);
    }
    restarted.publish();

    for client in &mut clients {
        client.read(&mut mesh, usize::MAX).await;
        let mut meshes = vec![&mut mesh];
        if !(cluster.has_untellable_profile() && matches!(client.asked, Asked::Profile(_))) {
            meshes.push(&mut restarted);
        }
        for mesh in meshes {
            let mut fresh = Open::new(mesh, &client.question).await;
            if let Some(fresh) = &mut fresh {
                fresh.read(mesh, usize::MAX).await;
            }
            client.agrees_with(fresh.as_ref())?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_stream_ends_up_with_what_a_fresh_one_is_told(
        history in histories(),
        forgetful in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("no I/O");
        runtime.block_on(check(history, forgetful))?;
    }
}

/// The property must be able to fail: a client that misses a message differs.
#[tokio::test]
async fn a_stream_that_missed_a_message_does_not_agree() {
    let mut mesh = with_nodes(History::default());
    mesh.apply("svc0", service());
    mesh.apply("pod0", meshed("10.0.0.1"));
    let question = Question::Get {
        service: 0,
        port: 80,
        hostname: None,
        node: 3,
    };
    let behind = Open::new(&mut mesh, &question).await.expect("open");
    mesh.feed(applied(
        ObjectKey::new(NS, "slice0"),
        slice("svc0", [endpoint("pod0", "10.0.0.1")]).into(),
    ));
    mesh.publish();
    let mut fresh = Open::new(&mut mesh, &question).await.expect("open");
    fresh.read(&mut mesh, usize::MAX).await;
    assert!(behind.agrees_with(Some(&fresh)).is_err());
}
