//! Once the cluster is quiet, every stream has been told what a fresh one would
//! be, by this process and by one that has just started.

use crate::{
    history::{Cluster, Op, Question, histories},
    support::*,
};
use ferrule_cluster::object::{Kind, Object, ObjectKey};
use ferrule_destination::History;
use ferrule_proto::destination::DestinationProfile;
use ferrule_test_history::config;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use tonic::{Code, Status};

enum Asked {
    Get(Client),
    Profile(Box<ProfileClient>),
}

struct Open {
    question: Question,
    asked: Asked,
}

impl Open {
    async fn new(mesh: &mut TestMesh, question: &Question) -> Result<Self, Status> {
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
                Asked::Get(mesh.get_as(&path, &token).await?)
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
        Ok(Self {
            question: question.clone(),
            asked,
        })
    }

    async fn profile(mesh: &mut TestMesh, path: &str, namespace: &str) -> Result<Asked, Status> {
        let token = format!("{{\"ns\":\"{namespace}\"}}");
        let client = mesh.profile_as(path, &token).await?;
        Ok(Asked::Profile(Box::new(client)))
    }

    /// A stream that has read all that it is told.
    async fn fresh(mesh: &mut TestMesh, question: &Question) -> Result<Self, Status> {
        let mut fresh = Self::new(mesh, question).await?;
        fresh.read(mesh, usize::MAX).await;
        Ok(fresh)
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

    /// Whether it was told what a fresh stream is told. Where that one is refused, an
    /// open `Get` has no endpoints; what a profile is then, depends on why.
    async fn agrees_with(
        &self,
        fresh: &Result<Open, Status>,
        mesh: &mut TestMesh,
        cluster: &Cluster,
    ) -> Result<(), TestCaseError> {
        let question = &self.question;
        let (open, fresh) = match (&self.asked, fresh.as_ref().map(|fresh| &fresh.asked)) {
            (Asked::Get(open), Ok(Asked::Get(fresh))) => {
                prop_assert_eq!(&open.endpoints, &fresh.endpoints, "{:?}", question);
                return Ok(());
            }
            (Asked::Get(open), _) => {
                prop_assert!(
                    open.endpoints.is_empty(),
                    "{question:?}: {:?}",
                    open.addrs()
                );
                return Ok(());
            }
            (Asked::Profile(open), Ok(Asked::Profile(fresh))) => (&open.newest, Ok(&fresh.newest)),
            (Asked::Profile(open), Ok(Asked::Get(_))) => {
                return Err(TestCaseError::fail(format!("{:?}", open.newest)));
            }
            (Asked::Profile(open), Err(status)) => (&open.newest, Err(status)),
        };
        match (open, fresh) {
            (open, Ok(Some(fresh))) => {
                prop_assert_eq!(open.as_ref(), Some(fresh), "{:?}", question);
            }
            // Who knew the workload before it could not be reached any more has
            // been told that it is not known.
            (open, Ok(None)) => {
                let right = open.as_ref().is_none_or(is_bare);
                prop_assert!(right, "{question:?}: {open:?}");
            }
            (open, Err(status)) => {
                let right = match (status.code(), question) {
                    (Code::FailedPrecondition, _) => {
                        let told = open.as_ref();
                        told.is_some_and(|told| is_bare(told) || cluster.claims(told))
                    }
                    (Code::NotFound | Code::Unknown, Question::Hostname { .. }) => {
                        return match open.as_ref().and_then(address_of) {
                            None => Ok(()),
                            Some(last) => self.agrees_with_address(last, mesh, cluster).await,
                        };
                    }
                    // The Service is gone, or has become an external name.
                    (Code::Unknown | Code::InvalidArgument, _) => {
                        open.as_ref().is_some_and(|told| {
                            told.endpoint.is_none() && !told.fully_qualified_name.is_empty()
                        })
                    }
                    _ => false,
                };
                prop_assert!(right, "{question:?}: {open:?}, refused with {status:?}");
            }
        }
        Ok(())
    }

    /// Whether it was told, of the address that its hostname had last, what whoever
    /// asks for that address is told.
    async fn agrees_with_address(
        &self,
        last: SocketAddr,
        mesh: &mut TestMesh,
        cluster: &Cluster,
    ) -> Result<(), TestCaseError> {
        let IpAddr::V4(ip) = last.ip() else {
            return Err(TestCaseError::fail(format!(
                "{last} is no pod's first address"
            )));
        };
        let address = Open {
            question: Question::Address {
                address: ip.octets()[3],
                port: last.port(),
                client: "",
            },
            asked: match &self.asked {
                Asked::Profile(open) => Asked::Profile(Box::new(open.told())),
                Asked::Get(_) => unreachable!("only profiles are asked so"),
            },
        };
        let fresh = Open::fresh(mesh, &address.question).await;
        Box::pin(address.agrees_with(&fresh, mesh, cluster)).await
    }
}

fn address_of(profile: &DestinationProfile) -> Option<SocketAddr> {
    profile.endpoint.as_ref()?.addr?.try_into().ok()
}

fn is_bare(profile: &DestinationProfile) -> bool {
    profile.endpoint.as_ref().is_some_and(|endpoint| {
        endpoint.metric_labels.is_empty()
            && endpoint.tls_identity.is_none()
            && endpoint.protocol_hint.is_none()
    })
}

impl Cluster {
    /// Whether what is told is there and claims the address that it is told of.
    fn claims(&self, told: &DestinationProfile) -> bool {
        if *told == DestinationProfile::default() {
            // Of a Service without the port: any may be.
            return true;
        }
        let Some((endpoint, address)) = told.endpoint.as_ref().zip(address_of(told)) else {
            let name = told.fully_qualified_name.split('.').next();
            let name = ObjectKey::new(NS, name.unwrap_or_default());
            return self.api.get(Kind::Service, &name).is_some();
        };
        let labelled = |label: &str, kind| {
            let name = endpoint.metric_labels.get(label)?;
            self.api.get(kind, &ObjectKey::new(NS, &**name))
        };
        match (
            labelled("pod", Kind::Pod),
            labelled("external_workload", Kind::ExternalWorkload),
        ) {
            (Some(Object::Pod(pod)), _) => pod.ips.contains(&address.ip()),
            (_, Some(Object::ExternalWorkload(workload))) => workload.ips.contains(&address.ip()),
            _ => false,
        }
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
            let fresh = Open::fresh(mesh, &client.question).await;
            client.agrees_with(&fresh, mesh, &cluster).await?;
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
    let fresh = Open::fresh(&mut mesh, &question).await;
    let cluster = Cluster::new();
    assert!(
        behind
            .agrees_with(&fresh, &mut mesh, &cluster)
            .await
            .is_err()
    );
}
