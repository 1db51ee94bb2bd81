//! A process of three roles, a Service with endpoints, and a workload with a token.

use anyhow::{Context as _, Result, ensure};
use ferrule_proto::identity::{CertifyRequest, identity_client::IdentityClient};
use ferrule_test_cluster::{Cluster, TestNamespace};
use ferrule_tests::{Ferrule, Proxy, TestAuthority, certify_webhooks};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Service, ServiceAccount},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::json;
use std::{fs, time::Duration};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::Request;

pub(crate) struct Mesh {
    pub(crate) client: Client,
    pub(crate) namespace: TestNamespace,
    pub(crate) ferrule: Ferrule,
    /// Who signed the webhooks' certificate, PEM.
    pub(crate) webhook_authority: Vec<u8>,
    _files: TempDir,
}

impl Mesh {
    /// With these flags beside the usual ones.
    pub(crate) async fn new(name: &str, flags: &[&str]) -> Result<Self> {
        let cluster = Cluster::shared().await?;
        let files = TempDir::new()?;
        let folder = files.path();
        let authority = TestAuthority::new()?;
        fs::write(folder.join("crt.pem"), authority.issuer_pem())?;
        fs::write(folder.join("key.pem"), authority.issuer_key_pem())?;
        fs::write(folder.join("ca-bundle.crt"), authority.anchors_pem())?;
        let webhook_authority = certify_webhooks(folder)?;
        let own = [
            "--roles=destination,policy,identity".to_owned(),
            "--policy-addr=127.0.0.1:0".to_owned(),
            "--identity-addr=127.0.0.1:0".to_owned(),
            "--webhook-addr=127.0.0.1:0".to_owned(),
            "--write-statuses=false".to_owned(),
            "--drain-delay=0s".to_owned(),
            "--drain-window=0s".to_owned(),
            "--deployment=linkerd-destination".to_owned(),
            format!("--issuer-dir={}", folder.display()),
            format!("--trust-anchors={}/ca-bundle.crt", folder.display()),
            format!("--webhook-tls-dir={}", folder.display()),
        ];
        let flags: Vec<_> = own
            .iter()
            .map(String::as_str)
            .chain(flags.iter().copied())
            .collect();
        let ferrule = Ferrule::start_with(cluster.kubeconfig(), &flags).await?;
        ferrule.ready().await?;
        Ok(Self {
            client: cluster.client()?,
            namespace: cluster.namespace(name).await?,
            ferrule,
            webhook_authority,
            _files: files,
        })
    }

    /// Makes Service `web` with one endpoint.
    pub(crate) async fn open(&self) -> Result<()> {
        let create = PostParams::default();
        let service = json!({
            "metadata": {"name": "web"},
            "spec": {"ports": [{"port": 80, "targetPort": 8080}]},
        });
        let services: Api<Service> = self.api();
        services
            .create(&create, &serde_json::from_value(service)?)
            .await?;
        let slice = json!({
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": ["10.9.0.1"]}],
        });
        self.slices()
            .create(&create, &serde_json::from_value(slice)?)
            .await?;
        // Until it is known, nobody gets anything.
        let proxy = Proxy::connect(self.ferrule.destination()).await?;
        let deadline = Instant::now() + Duration::from_secs(60);
        while proxy.get(&self.authority()).await.is_err() {
            ensure!(Instant::now() < deadline, "the Service is not known");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Gives it as many endpoints.
    pub(crate) async fn scale(&self, count: u8) -> Result<()> {
        let endpoints = (1..=count).map(|last| json!({"addresses": [format!("10.9.0.{last}")]}));
        let patch = Patch::Merge(json!({"endpoints": endpoints.collect::<Vec<_>>()}));
        self.slices()
            .patch("web-1", &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    pub(crate) fn authority(&self) -> String {
        format!("web.{}.svc.cluster.local:80", self.namespace)
    }

    /// Certifies the namespace's default account, as part of this trace, if there is one.
    pub(crate) async fn certify(&self, traceparent: Option<&str>) -> Result<()> {
        let namespace = self.namespace.name();
        let identity = format!("default.{namespace}.serviceaccount.identity.linkerd.cluster.local");
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![identity.clone()])?;
        params.distinguished_name = DistinguishedName::new();
        let csr = params.serialize_request(&key)?;
        let mut request = Request::new(CertifyRequest {
            identity,
            token: self.token().await?.into_bytes(),
            certificate_signing_request: csr.der().to_vec(),
        });
        if let Some(traceparent) = traceparent {
            request
                .metadata_mut()
                .insert("traceparent", traceparent.parse()?);
        }
        let addr = self.ferrule.address_of("identity").await?;
        let mut client = IdentityClient::connect(format!("http://{addr}")).await?;
        client.certify(request).await?;
        Ok(())
    }

    async fn token(&self) -> Result<String> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec!["identity.l5d.io".to_owned()],
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let accounts: Api<ServiceAccount> = self.api();
        let params = PostParams::default();
        let token = accounts.create_token_request("default", &params, &request);
        Ok(token.await?.status.context("a token")?.token)
    }

    fn slices(&self) -> Api<EndpointSlice> {
        self.api()
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), self.namespace.name())
    }
}
