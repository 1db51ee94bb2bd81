//! A mesh of one namespace: identity processes, and proxies that they certify.

use anyhow::{Context as _, Result, ensure};
use ferrule_test_cluster::{Cluster, PATIENCE, TestNamespace, eventually};
use ferrule_tests::{Ferrule, TestProxy};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{ConfigMap, Event, Pod, Secret, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

pub(crate) const ISSUER: &str = "linkerd-identity-issuer";
pub(crate) const ANCHOR: &str = "ferrule-trust-anchor";
pub(crate) const ROOTS: &str = "linkerd-identity-trust-roots";

/// Where everything of a test is: the control plane's namespace.
pub(crate) struct Mesh {
    kubeconfig: PathBuf,
    pub(crate) namespace: TestNamespace,
    pub(crate) client: Client,
    pub(crate) folder: tempfile::TempDir,
}

impl Mesh {
    pub(crate) async fn new(name: &str) -> Result<Self> {
        Self::on(Cluster::shared().await?, name).await
    }

    /// The same on a cluster of one's own.
    pub(crate) async fn on(cluster: &Cluster, name: &str) -> Result<Self> {
        Ok(Self {
            kubeconfig: cluster.kubeconfig().to_owned(),
            namespace: cluster.namespace(name).await?,
            client: cluster.client()?,
            folder: tempfile::tempdir()?,
        })
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    pub(crate) fn config_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    /// An identity process; certificates last twelve seconds.
    pub(crate) async fn identity(&self, flags: &[&str]) -> Result<Ferrule> {
        self.identity_as(&self.kubeconfig, flags).await
    }

    /// The same, as somebody else, or by another way. Flags that are given count instead of
    /// the usual ones.
    pub(crate) async fn identity_as(&self, kubeconfig: &Path, flags: &[&str]) -> Result<Ferrule> {
        let namespace = format!("--control-plane-namespace={}", self.namespace.name());
        let own = [
            "--roles=identity",
            "--identity-addr=127.0.0.1:0",
            "--identity-issuance-lifetime=12s",
            "--identity-clock-skew-allowance=1s",
            "--lease-duration=9s",
            "--drain-delay=0s",
            &namespace,
        ];
        let name = |flag: &str| flag.split('=').next().map(str::to_owned);
        let given: Vec<_> = flags.iter().map(|flag| name(flag)).collect();
        let own = own.iter().filter(|own| !given.contains(&name(own)));
        let flags: Vec<_> = own.chain(flags).copied().collect();
        Ferrule::start_with(kubeconfig, &flags).await
    }

    /// A token of the namespace's default account, in a file.
    pub(crate) async fn token_file(&self) -> Result<PathBuf> {
        let path = self.folder.path().join("token");
        std::fs::write(&path, self.token(&["identity.l5d.io"]).await?)?;
        Ok(path)
    }

    /// A token of the same account for the API server.
    pub(crate) async fn api_token(&self) -> Result<String> {
        self.token(&[]).await
    }

    async fn token(&self, audiences: &[&str]) -> Result<String> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audiences.iter().map(ToString::to_string).collect(),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> =
            Api::namespaced(self.client.clone(), self.namespace.name());
        let params = PostParams::default();
        let token = accounts.create_token_request("default", &params, &request);
        Ok(token.await?.status.context("a token")?.token)
    }

    /// The name of the proxies here.
    pub(crate) fn name(&self) -> String {
        let namespace = self.namespace.name();
        format!("default.{namespace}.serviceaccount.identity.{namespace}.cluster.local")
    }

    /// A proxy that trusts `anchors` and is certified by `identity`.
    pub(crate) async fn proxy(&self, identity: &Ferrule, anchors: &str) -> Result<TestProxy> {
        self.proxy_at(identity.address_of("identity").await?, anchors)
            .await
    }

    /// The same for whoever is at an address. It renews long before it has to, so that
    /// what the tests are about is all that may cost it its certificate: not a machine that
    /// is busy.
    pub(crate) async fn proxy_at(&self, identity: SocketAddr, anchors: &str) -> Result<TestProxy> {
        let proxy = TestProxy::builder(&self.name())
            .identity(identity, &self.name())
            .token_file(self.token_file().await?)
            .trust_anchors(anchors)
            .refresh(Duration::from_millis(500), Duration::from_secs(2))
            .start()
            .await?;
        let certificate = proxy.certificate();
        certificate.until("there is one", |_| true).await?;
        Ok(proxy)
    }

    /// A workload as the API server knows it: a pod that was injected with this bundle.
    pub(crate) async fn pod(&self, name: &str, anchors: &str) -> Result<()> {
        let namespace = self.namespace.name();
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"linkerd.io/control-plane-ns": namespace}},
            "spec": {
                "containers": [
                    {"name": "web", "image": "web"},
                    {"name": "linkerd-proxy", "image": "proxy", "env": [
                        {"name": "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS", "value": anchors}]},
                ],
            },
        }))?;
        self.pods().create(&PostParams::default(), &pod).await?;
        Ok(())
    }

    /// Takes it away.
    pub(crate) async fn gone(&self, name: &str) -> Result<()> {
        let params = DeleteParams::default().grace_period(0);
        self.pods().delete(name, &params).await?;
        Ok(())
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }

    /// As `ferrule identity rotate issuer` does.
    pub(crate) async fn ask_for_another_issuer(&self) -> Result<()> {
        let patch = json!({"metadata": {"annotations": {"ferrule.io/rotate-issuer": "now"}}});
        let (secrets, params) = (self.secrets(), PatchParams::default());
        secrets.patch(ISSUER, &params, &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Waits for an Event about the issuer, for this reason.
    pub(crate) async fn event(&self, reason: &str) -> Result<()> {
        let told = async || Ok(self.events(reason).await?.into_iter().next());
        eventually(reason, told).await.map(drop)
    }

    /// The Events about the issuer for this reason, as they are now.
    pub(crate) async fn events(&self, reason: &str) -> Result<Vec<Event>> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), self.namespace.name());
        let fields = format!("reason={reason},involvedObject.name=linkerd-identity");
        let told = events.list(&ListParams::default().fields(&fields)).await?;
        Ok(told.items)
    }

    /// The published bundle, once it is there.
    pub(crate) async fn anchors(&self) -> Result<String> {
        let published = eventually("a bundle", async || {
            let bundle = self.config_maps().get_opt(ROOTS).await?;
            Ok(bundle.and_then(|bundle| bundle.data?.remove("ca-bundle.crt")))
        });
        published.await
    }

    /// A part of the issuer's Secret, once it is there.
    pub(crate) async fn issuer(&self, key: &str) -> Result<String> {
        let part = eventually("an issuer", async || {
            let secret = self.secrets().get_opt(ISSUER).await?;
            Ok(secret.and_then(|secret| secret.data?.remove(key)))
        });
        Ok(String::from_utf8(part.await?.0)?)
    }
}

/// Proxies that shake hands with each other all the time.
pub(crate) struct Traffic {
    proxies: Vec<Arc<TestProxy>>,
    done: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Result<()>>,
}

impl Traffic {
    pub(crate) fn begin(proxies: Vec<TestProxy>) -> Self {
        let proxies: Vec<_> = proxies.into_iter().map(Arc::new).collect();
        let done = Arc::<AtomicUsize>::default();
        let (all, count) = (proxies.clone(), done.clone());
        let task = tokio::spawn(async move {
            loop {
                for client in &all {
                    for server in &all {
                        client.handshake(server).await?;
                        count.fetch_add(1, Relaxed);
                    }
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        Self {
            proxies,
            done,
            task,
        }
    }

    /// The same once all are certified by this issuer.
    pub(crate) async fn begin_when(proxies: Vec<TestProxy>, issuer_pem: &str) -> Result<Self> {
        for proxy in &proxies {
            until_under(proxy, issuer_pem).await?;
        }
        let traffic = Self::begin(proxies);
        let begun = async || Ok((traffic.done.load(Relaxed) > 0).then_some(()));
        eventually("a handshake", begun).await?;
        Ok(traffic)
    }

    /// Waits until every proxy has a certificate under this issuer.
    pub(crate) async fn is_under(&self, issuer_pem: &str) -> Result<()> {
        for proxy in &self.proxies {
            until_under(proxy, issuer_pem).await?;
        }
        Ok(())
    }

    /// Lets all of them shake hands with another, both ways.
    pub(crate) async fn meets(&self, other: &TestProxy) -> Result<()> {
        for proxy in &self.proxies {
            proxy.handshake(other).await?;
            other.handshake(proxy).await?;
        }
        Ok(())
    }

    /// Ends it; not one handshake may have failed.
    pub(crate) async fn end(self) -> Result<usize> {
        if self.task.is_finished() {
            self.task.await??;
            anyhow::bail!("the traffic has ended by itself");
        }
        self.task.abort();
        let done = self.done.load(Relaxed);
        ensure!(done > 0, "nobody shook hands");
        Ok(done)
    }
}

/// Waits until a proxy has a certificate under this issuer.
pub(crate) async fn until_under(proxy: &TestProxy, issuer_pem: &str) -> Result<()> {
    let issuer = der(issuer_pem)?;
    let certificate = proxy.certificate();
    let wait = certificate.until("it is under the issuer", |certificate| {
        certificate
            .chain()
            .get(1)
            .is_some_and(|held| **held == *issuer)
    });
    timeout(PATIENCE, wait).await??;
    Ok(())
}

/// The first certificate in a PEM text.
pub(crate) fn der(pem: &str) -> Result<Vec<u8>> {
    use rustls_pki_types::{CertificateDer, pem::PemObject as _};
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes());
    Ok(certificate
        .map_err(|error| anyhow::anyhow!("{error}"))?
        .to_vec())
}
