//! An authority that knows workloads by the tokens of a real cluster.

use crate::support::{Proxy, Root, scope, verify};
use anyhow::{Context as _, Result};
use ferrule_identity::{
    Authenticator, CertificateAuthority, KeyedReview, Reason, Refusal, TOKEN_AUDIENCE, TokenReview,
    Validity,
};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Pod, ServiceAccount},
};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;
use tonic::Code;

/// An authority with an issuer, as whoever a client's configuration speaks for.
pub(crate) struct Mesh {
    pub(crate) authority: CertificateAuthority,
    root: Root,
}

impl Mesh {
    /// Each token is reviewed.
    pub(crate) fn reviewing(config: Config) -> Result<Self> {
        let review = TokenReview::new(client(config)?);
        Ok(Self::with(Authenticator::TokenReview(review)))
    }

    /// Tokens are checked by the API server's keys, as far as they are known; whoever
    /// asks runs what reads them.
    pub(crate) fn checking(config: Config) -> Result<(Self, KeyedReview)> {
        let client = client(config)?;
        let keys = KeyedReview::new(client.clone(), TokenReview::new(client));
        Ok((Self::with(Authenticator::Keys(keys.clone())), keys))
    }

    fn with(authenticator: Authenticator) -> Self {
        let authority = CertificateAuthority::new(scope(), Validity::default(), authenticator);
        let root = Root::new("root");
        authority.install(root.credentials(&root.issuer()));
        Self { authority, root }
    }

    pub(crate) fn review(&self) -> &TokenReview {
        match self.authority.authenticator() {
            Authenticator::TokenReview(review) => review,
            Authenticator::Keys(keys) => keys.review(),
            Authenticator::Local(_) => panic!("there is a cluster"),
        }
    }

    /// How many reviews were asked for so far, whatever came of them.
    pub(crate) fn reviews(&self) -> u64 {
        let stats = self.review().stats();
        stats.durations().count + stats.failures()
    }

    /// Has a certificate made, and verifies it as the proxy does.
    pub(crate) async fn certify(&self, proxy: &Proxy, token: &str) -> Result<(), Refusal> {
        let answer = self.authority.certify(proxy.request(token)).await?;
        verify(&answer, &self.root, &proxy.name);
        Ok(())
    }

    /// What the proxy is told instead.
    pub(crate) async fn is_refused(
        &self,
        proxy: &Proxy,
        token: &str,
        code: Code,
        reason: Reason,
    ) -> Result<String> {
        let refusal = self.certify(proxy, token).await.err();
        let refusal = refusal.context("it is certified")?;
        assert_eq!(refusal.code(), code, "{refusal}");
        assert_eq!(refusal.reason(), reason, "{refusal}");
        assert!(!refusal.to_string().contains(token), "the token is told");
        Ok(refusal.to_string())
    }
}

/// A refused connection is an answer.
fn client(mut config: Config) -> Result<Client> {
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// The service accounts of a namespace.
pub(crate) struct Accounts {
    pub(crate) api: Api<ServiceAccount>,
    pods: Api<Pod>,
    namespace: String,
}

impl Accounts {
    pub(crate) fn of(client: Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
        }
    }

    pub(crate) async fn create(&self, name: &str) -> Result<()> {
        let account = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        self.api.create(&PostParams::default(), &account).await?;
        Ok(())
    }

    /// Makes a pod `web` of the account `name`, for tokens that end with it.
    pub(crate) async fn pod(&self, name: &str) -> Result<BoundObjectReference> {
        let pod = serde_json::from_value(json!({
            "metadata": {"name": "web"},
            "spec": {"serviceAccountName": name, "containers": [{"name": "web", "image": "web"}]},
        }))?;
        let pod = self.pods.create(&PostParams::default(), &pod).await?;
        Ok(BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(pod.name_any()),
            uid: pod.uid(),
        })
    }

    pub(crate) async fn delete_pod(&self) -> Result<()> {
        let params = DeleteParams::default().grace_period(0);
        self.pods.delete("web", &params).await?;
        Ok(())
    }

    pub(crate) async fn token(&self, name: &str, audiences: &[&str]) -> Result<String> {
        self.token_for(name, audiences, None).await
    }

    async fn token_for(
        &self,
        name: &str,
        audiences: &[&str],
        bound_to: Option<BoundObjectReference>,
    ) -> Result<String> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audiences.iter().map(ToString::to_string).collect(),
                bound_object_ref: bound_to,
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let params = PostParams::default();
        let token = self.api.create_token_request(name, &params, &request);
        Ok(token.await?.status.context("a token")?.token)
    }

    /// Tokens for the mesh.
    pub(crate) async fn tokens(
        &self,
        name: &str,
        count: usize,
        bound_to: Option<&BoundObjectReference>,
    ) -> Result<Vec<String>> {
        let mut tokens = Vec::new();
        for _ in 0..count {
            let token = self.token_for(name, &[TOKEN_AUDIENCE], bound_to.cloned());
            tokens.push(token.await?);
        }
        Ok(tokens)
    }

    /// The proxy of the account `name`.
    pub(crate) fn proxy(&self, name: &str) -> Proxy {
        Proxy::in_namespace(&self.namespace, name)
    }
}
