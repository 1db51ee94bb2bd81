//! Proxies of a workload, and the objects that they are told about.

use super::replicas::{REPLICAS, Replicas};
use crate::{helm::apply, processes::Pods};
use anyhow::{Context as _, Result, ensure};
use ferrule_proto::{destination::DestinationProfile, inbound, outbound};
use ferrule_test_cluster::PATIENCE;
use ferrule_tests::{
    Certificate, CertifyFailure, Describe, EndpointSet, Failure, StreamFailure, TestProxy,
    Transport, Watched,
};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use serde_json::json;
use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

const NAME: &str = "default.shop.serviceaccount.identity.linkerd.cluster.local";
const IDENTITY: &str = "linkerd-identity.linkerd.serviceaccount.identity.linkerd.cluster.local";
const DESTINATION: &str =
    "linkerd-destination.linkerd.serviceaccount.identity.linkerd.cluster.local";
const PORT: u16 = 8080;

/// A proxy with a stream of each kind.
pub(super) struct Workload {
    _proxy: TestProxy,
    certificate: Watched<Certificate, CertifyFailure>,
    endpoints: Watched<EndpointSet, StreamFailure>,
    profile: Watched<DestinationProfile, StreamFailure>,
    inbound: Watched<inbound::Server, StreamFailure>,
    outbound: Watched<outbound::OutboundPolicy, StreamFailure>,
}

/// Makes the Service, its pod and its Server.
pub(super) async fn create(replicas: &Replicas) -> Result<()> {
    let cluster = &replicas.cluster;
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": PORT}]},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web-0", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [{
            "name": "web", "image": "web", "ports": [{"containerPort": PORT}],
        }]},
    });
    apply(cluster, &[service, pod]).await?;
    change(replicas, 0).await
}

/// Every kind of stream has something else to tell after this; `number` is at most 250.
pub(super) async fn change(replicas: &Replicas, number: u8) -> Result<()> {
    let opaque = number % 2 == 1;
    let ports = if opaque { "80" } else { "" };
    let protocol = if opaque { "opaque" } else { "HTTP/1" };
    let objects = [
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {
                "name": "web", "namespace": "shop",
                "annotations": {"config.linkerd.io/opaque-ports": ports},
            },
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": PORT}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "web-1", "namespace": "shop",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address(number)], "conditions": {"ready": true}}],
            "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        }),
        json!({
            "apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "web"}}, "port": PORT,
                "proxyProtocol": protocol,
            },
        }),
    ];
    // A validator that has just been killed may be asked; whoever applies tries again.
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = apply(&replicas.cluster, &objects).await {
        ensure!(Instant::now() < deadline, "{error:#}");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

fn address(number: u8) -> String {
    format!("10.128.77.{}", number + 1)
}

impl Workload {
    /// Certified, and with everything told that there is.
    pub(super) async fn start(replicas: &Replicas) -> Result<Self> {
        let pods = Pods::new(&replicas.cluster, replicas.folder.path())?;
        let token = pods
            .token_in("shop", "default", &["identity.l5d.io"])
            .await?;
        let anchors = replicas.folder.path().join("linkerd-identity-trust-roots");
        let services: Api<Service> = Api::namespaced(replicas.cluster.client()?, "shop");
        let web = services
            .get("web")
            .await?
            .spec
            .and_then(|spec| spec.cluster_ip);
        let web = format!("{}:80", web.context("an address")?);
        let proxy = TestProxy::builder(NAME)
            .identity(replicas.identity.addr(), IDENTITY)
            .destination(replicas.destination.addr(), DESTINATION)
            .policy(replicas.policy.addr(), DESTINATION)
            .transport(Transport::MeshTls)
            .token_file(pods.write("workload-token", &token)?)
            .trust_anchors(std::fs::read_to_string(anchors)?)
            .workload("{\"ns\":\"shop\",\"pod\":\"web-0\"}")
            .context("{\"ns\":\"shop\",\"pod\":\"web-0\"}")
            .inbound_ports([PORT])
            .refresh(Duration::from_millis(300), Duration::from_secs(15))
            .connect_timeout(Duration::from_secs(10))
            .backoff(Duration::from_millis(100), Duration::from_secs(1))
            .start()
            .await?;
        let workload = Self {
            certificate: proxy.certificate(),
            endpoints: proxy.endpoints("web.shop.svc.cluster.local:80"),
            profile: proxy.profile(&web),
            inbound: proxy.inbound(PORT),
            outbound: proxy.outbound(web.parse()?),
            _proxy: proxy,
        };
        workload.certificate.first().await?;
        Ok(workload)
    }

    /// Waits until all streams tell what was made so by [`change`].
    pub(super) async fn is_told(&self, number: u8) -> Result<()> {
        let opaque = number % 2 == 1;
        let address = address(number).parse()?;
        let what = format!("change {number}");
        let endpoints = self.endpoints.until(&what, |set| {
            let mut addresses = set.keys().map(SocketAddr::ip);
            addresses.next() == Some(address) && addresses.next().is_none()
        });
        endpoints.await?;
        let profile = |profile: &DestinationProfile| profile.opaque_protocol == opaque;
        self.profile.until(&what, profile).await?;
        let inbound = self.inbound.until(&what, |server| {
            use inbound::proxy_protocol::Kind;
            let kind = server
                .protocol
                .as_ref()
                .and_then(|protocol| protocol.kind.as_ref());
            matches!(kind, Some(Kind::Opaque(_))) == opaque
        });
        inbound.await?;
        let outbound = self.outbound.until(&what, |policy| {
            use outbound::proxy_protocol::Kind;
            let kind = policy
                .protocol
                .as_ref()
                .and_then(|protocol| protocol.kind.as_ref());
            matches!(kind, Some(Kind::Opaque(_))) == opaque
        });
        outbound.await?;
        self.is_certified()
    }

    /// Its certificate has not expired meanwhile.
    fn is_certified(&self) -> Result<()> {
        let seen = self.certificate.seen();
        let held = seen.value.context("a certificate")?;
        let now = SystemTime::now();
        ensure!(
            held.valid_until() > now,
            "it was not renewed: {:?}",
            seen.failure
        );
        Ok(())
    }

    /// How often it was certified.
    pub(super) fn certified(&self) -> usize {
        self.certificate.seen().messages
    }
}

/// How proxies fare while replicas come and go that drain.
pub(super) struct Interruptions {
    streams: JoinSet<Result<Vec<Duration>>>,
    certificates: Vec<(Watched<Certificate, CertifyFailure>, usize)>,
    end: CancellationToken,
}

impl Interruptions {
    /// From now on, for these.
    pub(super) fn begin(workloads: &[Workload]) -> Self {
        let end = CancellationToken::new();
        let (mut streams, mut certificates) = (JoinSet::new(), Vec::new());
        for workload in workloads {
            streams.spawn(interruptions(workload.endpoints.clone(), end.clone()));
            streams.spawn(interruptions(workload.profile.clone(), end.clone()));
            streams.spawn(interruptions(workload.inbound.clone(), end.clone()));
            streams.spawn(interruptions(workload.outbound.clone(), end.clone()));
            let certificate = workload.certificate.clone();
            let failures = certificate.seen().failures;
            certificates.push((certificate, failures));
        }
        Self {
            streams,
            certificates,
            end,
        }
    }

    /// How long each stream that ended had nothing to tell.
    ///
    /// # Errors
    /// If one could not be opened anew at the second attempt, or certificates were refused
    /// more often than replicas went.
    pub(super) async fn end(self) -> Result<Vec<Duration>> {
        self.end.cancel();
        for (certificate, failures) in self.certificates {
            // As of streams: once for each replica that goes.
            let seen = certificate.seen();
            ensure!(seen.failures <= failures + REPLICAS, "{}", seen.describe());
        }
        let each = self.streams.join_all().await;
        let each = each.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(each.concat())
    }
}

/// How long a stream had nothing to tell each time that it ended.
async fn interruptions<T: Describe, E: Failure>(
    mut stream: Watched<T, E>,
    end: CancellationToken,
) -> Result<Vec<Duration>> {
    let first = stream.seen();
    let mut failures = first.failures;
    let (mut ended, mut lasted) = (None, Vec::new());
    while let Some(true) = end.run_until_cancelled(stream.changed()).await {
        let seen = stream.seen();
        if seen.failures > failures {
            failures = seen.failures;
            ended.get_or_insert_with(Instant::now);
        }
        if seen.failure.is_none()
            && let Some(ended) = ended.take()
        {
            lasted.push(ended.elapsed());
        }
    }
    // A call that is refused fails and does not count as one. It may be on a connection that
    // is being ended, of which neither side knows that of the other: once, not again.
    let last = stream.seen();
    let (calls, ends) = (last.calls - first.calls, last.failures - first.failures);
    ensure!(
        ends <= 2 * calls,
        "{} was refused again and again: {}",
        stream.subject(),
        last.describe()
    );
    Ok(lasted)
}
