//! Once the cluster is quiet, every stream has been told what a fresh one would
//! be, by this process and by one that has just started.

use crate::{
    history::{Cluster, Op, Question, histories},
    shapes,
    support::*,
};
use ferrule_cluster::object::Kind;
use ferrule_policy::{Acceptance, PolicySettings};
use ferrule_proto::{inbound::Server, outbound::OutboundPolicy};
use ferrule_test_history::config;
use proptest::prelude::*;
use tonic::{Code, Status};

enum Stream {
    Inbound(Client<Server>),
    Outbound(Client<OutboundPolicy>),
}

struct Open {
    question: Question,
    stream: Stream,
}

impl Open {
    async fn new(mesh: &mut TestMesh, question: Question) -> Result<Self, Status> {
        let stream = match question {
            Question::Pod { pod, port } => {
                let workload = format!("{NS}:pod{pod}");
                Stream::Inbound(mesh.watch_port(&workload, port.into()).await?)
            }
            Question::External { workload, port } => {
                let name = shapes::key(Kind::ExternalWorkload, workload).name;
                let workload = format!(r#"{{"ns":"{NS}","external_workload":"{name}"}}"#);
                Stream::Inbound(mesh.watch_port(&workload, port.into()).await?)
            }
            Question::Address {
                client,
                address,
                port,
            } => {
                let target = std::net::SocketAddr::new(ip(address), port).to_string();
                Stream::Outbound(mesh.watch_from(client, addr(&target)).await?)
            }
            Question::Service {
                client,
                service,
                port,
            } => {
                let target = authority(&format!("svc{service}.{NS}.svc:{port}"));
                Stream::Outbound(mesh.watch_from(client, target).await?)
            }
        };
        Ok(Self { question, stream })
    }

    fn read(&mut self) {
        match &mut self.stream {
            Stream::Inbound(client) => {
                client.read();
            }
            Stream::Outbound(client) => {
                client.read();
            }
        }
    }

    fn ended(&self) -> Option<Code> {
        match &self.stream {
            Stream::Inbound(client) => client.ended,
            Stream::Outbound(client) => client.ended,
        }
    }

    /// With its pod, or with what was said of an address outside of the cluster.
    fn may_end(&self) -> bool {
        !matches!(self.question, Question::Service { .. })
    }

    /// A port's stream ends with its pod; a target's keeps its policy where a
    /// fresh one is refused.
    fn agrees_with(&self, fresh: &Result<Open, Status>) -> Result<(), TestCaseError> {
        let question = self.question;
        match (&self.stream, fresh.as_ref().map(|fresh| &fresh.stream)) {
            (Stream::Inbound(open), Ok(Stream::Inbound(fresh))) => {
                prop_assert_eq!(&open.newest, &fresh.newest, "{:?}", question);
            }
            (Stream::Inbound(_), Err(status)) => {
                prop_assert!(false, "{:?} is open: {}", question, status);
            }
            (Stream::Outbound(open), Ok(Stream::Outbound(fresh))) => {
                prop_assert_eq!(&open.newest, &fresh.newest, "{:?}", question);
            }
            (Stream::Outbound(open), Err(status)) => {
                prop_assert!(open.newest.is_some(), "{:?} was told nothing", question);
                prop_assert_eq!(status.code(), Code::NotFound);
            }
            _ => unreachable!("the same question"),
        }
        Ok(())
    }
}

async fn check(acceptance: Acceptance, history: Vec<Op>) -> Result<(), TestCaseError> {
    let settings = PolicySettings {
        acceptance,
        ..PolicySettings::default()
    };
    let mut cluster = Cluster::new();
    let mut mesh = TestMesh::new(settings.clone());
    let mut clients: Vec<Open> = Vec::new();
    for op in &history {
        for event in cluster.happen(op) {
            mesh.feed(event);
        }
        match op {
            Op::Publish | Op::Settle => mesh.publish(),
            Op::Open(question) => {
                mesh.publish();
                clients.extend(Open::new(&mut mesh, *question).await.ok());
            }
            Op::Read(client) if !clients.is_empty() => {
                let at = client % clients.len();
                clients[at].read();
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

    let mut restarted = TestMesh::new(settings);
    for event in cluster.api.lists() {
        restarted.feed(event);
    }
    restarted.publish();

    for client in &mut clients {
        client.read();
        if let Some(code) = client.ended() {
            // The proxy asks again, and is then told what a fresh stream is.
            prop_assert!(client.may_end() && code == Code::Ok);
            continue;
        }
        for mesh in [&mut mesh, &mut restarted] {
            let mut fresh = Open::new(mesh, client.question).await;
            if let Ok(fresh) = &mut fresh {
                fresh.read();
            }
            client.agrees_with(&fresh)?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_stream_ends_up_with_what_a_fresh_one_is_told(
        acceptance in prop::sample::select(vec![Acceptance::Written, Acceptance::Computed]),
        history in histories(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("no I/O");
        runtime.block_on(check(acceptance, history))?;
    }
}

/// The property must be able to fail: a client that misses a message differs.
#[tokio::test]
async fn a_stream_that_missed_a_message_does_not_agree() {
    let mut mesh = TestMesh::new(PolicySettings::default());
    mesh.apply("svc0", service(&["10.96.0.1"]));
    let question = Question::Service {
        client: NS,
        service: 0,
        port: 80,
    };
    let mut behind = Open::new(&mut mesh, question).await.expect("open");
    behind.read();
    mesh.apply_in("", NS, namespace(Some("80")));
    let mut fresh = Open::new(&mut mesh, question).await;
    fresh.as_mut().expect("open").read();
    assert!(behind.agrees_with(&fresh).is_err());
    behind.read();
    assert!(behind.agrees_with(&fresh).is_ok());
}
