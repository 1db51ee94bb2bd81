//! The world of one scenario: its stage, and streams from the processes that serve
//! it.

use super::expected::Message;
use anyhow::{Context as _, Error, Result, ensure};
use ferrule_proto::{inbound::Server, outbound::OutboundPolicy};
use ferrule_test_cluster::PATIENCE;
use ferrule_tests::{
    PolicyProxy,
    scenario::{Following, Stage, once_refused, once_told},
};
use futures::TryStreamExt as _;
use kube::api::DynamicObject;
use serde_json::Value;
use std::{
    ops::Deref,
    time::{Duration, SystemTime},
};
use tokio::time::{sleep, timeout};
use tonic::{Code, Status, Streaming};

/// What of the mesh all scenarios share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Of a process with the chart's defaults.
    pub(crate) chart: PolicyProxy,
    /// The same by its admin listener.
    pub(crate) admin: PolicyProxy,
    /// Of one with other flags.
    pub(crate) strict: PolicyProxy,
    /// Of one that requires identities by default.
    pub(crate) closed: PolicyProxy,
}

pub(crate) struct World {
    stage: Stage,
    shared: Shared,
    proxy: PolicyProxy,
}

impl Deref for World {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl World {
    pub(crate) fn new(stage: Stage, shared: Shared) -> Self {
        Self {
            stage,
            proxy: shared.chart.clone(),
            shared,
        }
    }

    /// One that is seen through a process with other flags.
    pub(crate) fn strict(mut self) -> Self {
        self.proxy = self.shared.strict.clone();
        self
    }

    /// One that is seen through a process that requires identities by default.
    pub(crate) fn closed(mut self) -> Self {
        self.proxy = self.shared.closed.clone();
        self
    }

    /// Creates them all in this order, but so soon that they are of one age.
    pub(crate) async fn apply_in_one_second(&self, objects: &[Value]) -> Result<()> {
        loop {
            next_second().await?;
            let mut created = Vec::new();
            for object in objects {
                let applied = self.apply(object.clone()).await?;
                created.push(applied.metadata.creation_timestamp);
            }
            if created.iter().all(|at| *at == created[0]) {
                return Ok(());
            }
            for object in objects {
                self.delete(object).await?;
            }
        }
    }

    /// Applies it as nobody has yet: objects that are made later are younger.
    pub(crate) async fn apply_later(&self, object: Value) -> Result<DynamicObject> {
        next_second().await?;
        self.apply(object).await
    }

    /// Applies it, and waits until it has a status: without effect it is silent by
    /// what it says.
    pub(crate) async fn apply_judged(&self, object: Value) -> Result<()> {
        self.apply(object.clone()).await?;
        self.judged(&object).await
    }

    /// Waits until it has a status.
    pub(crate) async fn judged(&self, object: &Value) -> Result<()> {
        let found = async {
            loop {
                let status = &self.find(object).await?.data["status"];
                if status["parents"][0].is_object() || status["conditions"][0].is_object() {
                    return anyhow::Ok(());
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, found).await.context("it has no status")?
    }

    /// The address of a Service, with a port.
    pub(crate) async fn service_addr(&self, service: Value, port: u16) -> Result<String> {
        let applied = self.apply(service).await?;
        let ip = applied.data["spec"]["clusterIP"].as_str();
        Ok(format!("{}:{port}", ip.unwrap_or_default()))
    }

    /// A WatchPort stream of pod `web`, once a fresh one is first told this.
    pub(crate) async fn web(&self, port: u32, first: Server) -> Result<Following<Server>> {
        self.port("$ns:web", port, first).await
    }

    /// The same of any workload. Whoever asks once is told it, too, and so are
    /// people.
    pub(crate) async fn port(
        &self,
        workload: &str,
        port: u32,
        first: Server,
    ) -> Result<Following<Server>> {
        let workload = self.fill(workload);
        let what = format!("{workload} {port}");
        let first = first.in_order();
        let stream = once_told(&what, first.clone(), async || {
            follow(self.proxy.watch_port(&workload, port).await)
        })
        .await?;
        let once = self.proxy.port(&workload, port).await?;
        ensure!(once.in_order() == first, "{what}: GetPort differs");
        Ok(stream)
    }

    pub(crate) async fn port_refused(&self, workload: &str, port: u32, code: Code) -> Result<()> {
        let workload = self.fill(workload);
        once_refused(&workload, code, "", async || {
            self.proxy.watch_port(&workload, port).await.map(drop)
        })
        .await?;
        let once = self.proxy.port(&workload, port).await;
        let once = once.err().map(|status| status.code());
        ensure!(once == Some(code), "{workload}: GetPort says {once:?}");
        Ok(())
    }

    /// A Watch stream of a client in the scenario's namespace, once a fresh one is
    /// first told this.
    pub(crate) async fn target(
        &self,
        target: &str,
        first: OutboundPolicy,
    ) -> Result<Following<OutboundPolicy>> {
        self.target_from("$ns", target, first).await
    }

    pub(crate) async fn target_from(
        &self,
        namespace: &str,
        target: &str,
        first: OutboundPolicy,
    ) -> Result<Following<OutboundPolicy>> {
        let target = self.fill(target);
        let workload = self.fill(&format!("{namespace}:client"));
        let stream = once_told(&target, first.clone(), async || {
            follow(self.proxy.watch_target(&workload, &target).await)
        })
        .await?;
        let once = self.proxy.target(&workload, &target).await?;
        ensure!(once == first, "{target}: Get differs: {once:#?}");
        Ok(stream)
    }

    pub(crate) async fn target_refused(&self, target: &str, code: Code) -> Result<()> {
        self.target_refused_to("$ns:client", target, code).await
    }

    pub(crate) async fn target_refused_to(
        &self,
        workload: &str,
        target: &str,
        code: Code,
    ) -> Result<()> {
        let (workload, target) = (self.fill(workload), self.fill(target));
        once_refused(&target, code, "", async || {
            self.proxy.watch_target(&workload, &target).await.map(drop)
        })
        .await
    }

    /// What people are told by the admin listener is what proxies are.
    pub(crate) async fn is_told_to_people(&self, port: u32, target: &str) -> Result<()> {
        let (web, client) = (self.fill("$ns:web"), self.fill("$ns:client"));
        let target = self.fill(target);
        let admin = &self.shared.admin;
        let server = (
            admin.port(&web, port).await?,
            self.proxy.port(&web, port).await?,
        );
        ensure!(server.0 == server.1, "{server:#?}");
        let policy = (
            admin.target(&client, &target).await?,
            self.proxy.target(&client, &target).await?,
        );
        ensure!(policy.0 == policy.1, "{policy:#?}");
        Ok(())
    }
}

/// Waits until the next second has begun: times of creation are whole ones.
async fn next_second() -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    sleep(Duration::from_secs(now.as_secs() + 1) - now + Duration::from_millis(10)).await;
    Ok(())
}

/// The messages of a stream, each of which a proxy must be able to use.
fn follow<M: Message>(stream: Result<Streaming<M>, Status>) -> Result<Following<M>, Status> {
    let messages = stream?.map_err(Error::from);
    let messages = messages.and_then(|message| async {
        message.accept()?;
        Ok(message.in_order())
    });
    Ok(Following::new(messages))
}
