use anyhow::Context as _;
use k8s_openapi::{
    ByteString,
    api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path};

/// A validating webhook as an API server knows it, for the objects of one
/// namespace.
pub struct WebhookRegistration {
    api: Api<ValidatingWebhookConfiguration>,
    namespace: String,
    webhook: Value,
}

impl WebhookRegistration {
    /// Of the webhook `name` at `path` of an address, for what the `rules` say.
    /// Nothing is registered yet.
    pub fn new(
        client: &Client,
        namespace: &str,
        (addr, path): (SocketAddr, &str),
        name: &str,
        rules: &Value,
    ) -> Self {
        let webhook = json!({
            "name": name,
            "clientConfig": {"url": format!("https://{addr}{path}")},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "rules": rules,
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1", "v1beta1"],
        });
        Self {
            api: Api::all(client.clone()),
            namespace: namespace.to_owned(),
            webhook,
        }
    }

    /// Registers it, or changes whom the API server trusts to sign its certificate.
    ///
    /// # Errors
    /// If the API server does not take it.
    pub async fn trust(&self, authority: Vec<u8>) -> anyhow::Result<()> {
        let mut webhook: ValidatingWebhook = serde_json::from_value(self.webhook.clone())?;
        webhook.client_config.ca_bundle = Some(ByteString(authority));
        let configuration = ValidatingWebhookConfiguration {
            metadata: kube::core::ObjectMeta {
                name: Some(self.namespace.clone()),
                ..Default::default()
            },
            webhooks: Some(vec![webhook]),
        };
        let params = PatchParams::apply("test").force();
        self.api
            .patch(&self.namespace, &params, &Patch::Apply(configuration))
            .await
            .context("registering a webhook")?;
        Ok(())
    }
}

/// Puts a certificate for webhooks on 127.0.0.1 and its key into `directory`; the
/// PEM of who signed it.
///
/// # Errors
/// If they cannot be made or written.
pub fn certify_webhooks(directory: &Path) -> anyhow::Result<Vec<u8>> {
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    let certificate = params.signed_by(&key, &authority)?;
    std::fs::write(directory.join("tls.crt"), certificate.pem())?;
    std::fs::write(directory.join("tls.key"), key.serialize_pem())?;
    Ok(authority.pem().into())
}
