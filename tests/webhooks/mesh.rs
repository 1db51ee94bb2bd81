//! An injector that an API server calls.

use crate::{
    account,
    objects::{Objects, create, is_injected, pod},
};
use anyhow::ensure;
use ferrule_test_cluster::{Cluster, Options, PATIENCE};
use ferrule_tests::Ferrule;
use kube::Client;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::PathBuf, time::Duration};
use tempfile::TempDir;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep},
};

/// One at a time in the shared cluster: the configuration has one name.
static ONE: Mutex<()> = Mutex::const_new(());

pub(crate) const CONFIGURATIONS: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
pub(crate) const CONFIGURATION: &str = "linkerd-proxy-injector-webhook-config";
pub(crate) const SECRET: &str = "/api/v1/namespaces/linkerd/secrets/ferrule-webhook-ca";

/// A control plane's files, and who it is.
pub(crate) struct Setup {
    pub(crate) objects: Objects,
    pub(crate) files: TempDir,
    kubeconfig: PathBuf,
    /// Others wait in the shared cluster,
    _one: Option<MutexGuard<'static, ()>>,
    /// or are not in this one.
    _own: Option<Cluster>,
}

impl Setup {
    /// In the shared cluster, alone, without a configuration.
    pub(crate) async fn new() -> anyhow::Result<Self> {
        let one = ONE.lock().await;
        let mut setup = Self::of(Cluster::shared().await?).await?;
        setup._one = Some(one);
        Ok(setup)
    }

    /// In a cluster of its own: for who takes long, as nobody has to wait.
    pub(crate) async fn apart() -> anyhow::Result<Self> {
        let cluster = Cluster::start(Options::default()).await?;
        let mut setup = Self::of(&cluster).await?;
        setup._own = Some(cluster);
        Ok(setup)
    }

    async fn of(cluster: &Cluster) -> anyhow::Result<Self> {
        let client = cluster.client()?;
        let objects = Objects(client.clone());
        let closed = json!({"config.linkerd.io/admission-webhooks": "disabled"});
        objects.namespace("linkerd", &json!({}), &closed).await?;
        let path = format!("{CONFIGURATIONS}/{CONFIGURATION}");
        objects.delete(&path).await?;
        objects.delete(SECRET).await?;
        let files = TempDir::new()?;
        let kubeconfig = account::kubeconfig(cluster, &client, files.path()).await?;
        let setup = Self {
            objects,
            files,
            kubeconfig,
            _one: None,
            _own: None,
        };
        setup.write("values", "{}")?;
        setup.write("anchors.pem", &certificate()?)?;
        Ok(setup)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.objects.0
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(std::fs::write(self.files.path().join(name), text)?)
    }

    /// Another replica of the injector.
    pub(crate) async fn replica(&self, further: &[&str]) -> anyhow::Result<Ferrule> {
        let file = |name: &str| self.files.path().join(name).display().to_string();
        let values = format!("--values={}", file("values"));
        let anchors = format!("--trust-anchors={}", file("anchors.pem"));
        let mut flags = vec![
            "--roles=proxy-injector",
            "--webhook-addr=127.0.0.1:0",
            "--webhook-names=127.0.0.1",
            "--lease-duration=9s",
            &values,
            &anchors,
        ];
        flags.extend(further);
        Ferrule::start_with(&self.kubeconfig, &flags).await
    }

    /// Registers webhooks at these addresses, which must answer, as the chart does.
    pub(crate) async fn register(&self, addrs: &[SocketAddr]) -> anyhow::Result<()> {
        let webhooks = addrs.iter().enumerate().map(|(number, addr)| {
            json!({
                "name": format!("linkerd-proxy-injector{number}.linkerd.io"),
                "clientConfig": {"url": format!("https://{addr}/inject")},
                "rules": [{
                    "operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"],
                    "resources": ["pods", "services"], "scope": "Namespaced",
                }],
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1", "v1beta1"],
                "timeoutSeconds": 10,
                "namespaceSelector": {"matchExpressions": [
                    {
                        "key": "config.linkerd.io/admission-webhooks",
                        "operator": "NotIn", "values": ["disabled"],
                    },
                    {
                        "key": "kubernetes.io/metadata.name",
                        "operator": "NotIn", "values": ["kube-system", "cert-manager"],
                    },
                ]},
                "objectSelector": {"matchExpressions": [
                    {"key": "linkerd.io/control-plane-component", "operator": "DoesNotExist"},
                    {"key": "linkerd.io/cni-resource", "operator": "DoesNotExist"},
                ]},
            })
        });
        let configuration = json!({
            "metadata": {"name": CONFIGURATION},
            "webhooks": webhooks.collect::<Value>(),
        });
        create(self.client(), CONFIGURATIONS, &configuration).await?;
        Ok(())
    }

    /// Registers these instead of what was registered.
    pub(crate) async fn reregister(&self, addrs: &[SocketAddr]) -> anyhow::Result<()> {
        let path = format!("{CONFIGURATIONS}/{CONFIGURATION}");
        self.objects.delete(&path).await?;
        self.register(addrs).await
    }

    /// Waits until pods of a namespace come out injected.
    pub(crate) async fn until_injected(&self) -> anyhow::Result<()> {
        let enabled = json!({"linkerd.io/inject": "enabled"});
        self.objects
            .namespace("canary", &enabled, &json!({}))
            .await?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.dry_run("canary", &pod("web", &json!({}))).await?;
            if answer.status.is_success() && is_injected(&answer.object) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{}", answer.object);
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// What an API server would make of a pod.
    pub(crate) async fn dry_run(
        &self,
        namespace: &str,
        pod: &Value,
    ) -> anyhow::Result<crate::objects::Answer> {
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        crate::objects::ask(self.client(), "POST", &path, "application/json", pod).await
    }

    /// `caBundle` of the first webhook.
    pub(crate) async fn bundle(&self) -> anyhow::Result<Option<String>> {
        let path = format!("{CONFIGURATIONS}/{CONFIGURATION}");
        let found = self.objects.get(&path).await?.stored()?.object;
        let bundle = found["webhooks"][0]["clientConfig"]["caBundle"].as_str();
        Ok(bundle.map(ToOwned::to_owned))
    }
}

/// An injector that is called.
pub(crate) struct Mesh {
    pub(crate) setup: Setup,
    pub(crate) ferrule: Ferrule,
}

impl Mesh {
    /// With a certificate of its own, ready, and called for every pod.
    pub(crate) async fn start(further: &[&str]) -> anyhow::Result<Self> {
        let setup = Setup::new().await?;
        let ferrule = setup.replica(further).await?;
        setup
            .register(&[ferrule.address_of("webhooks").await?])
            .await?;
        ferrule.ready().await?;
        setup.until_injected().await?;
        Ok(Self { setup, ferrule })
    }
}

/// A certificate that proxies might trust, PEM.
pub(crate) fn certificate() -> anyhow::Result<String> {
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    Ok(authority.pem())
}
