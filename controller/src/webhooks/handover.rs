//! Going back to Linkerd (docs/takeover.md): for the minutes in which our pods still
//! answer, although its chart has registered its own injector already.
//!
//! Its chart makes a certificate, puts it into a Secret and into `caBundle`, and takes our
//! rights to write there. Its Service selects our pods until its own are ready. So they
//! answer at its path and with its certificate: what is registered stays as it is, and no
//! pod passes uninjected. The Secret was watched before, so it is known; and since API
//! servers may know of the registration before us, connections that begin when the Secret
//! has just come wait a moment to see whose it is.

use super::{
    ServingCertificate,
    certificate::{Lent, Served, pair},
    registrations,
};
use futures::StreamExt as _;
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, Client,
    runtime::watcher::{self, watch_object},
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// What Linkerd's chart calls the Secret (operations.md 5.4).
const SECRET: &str = "linkerd-proxy-injector-k8s-tls";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
/// Where Linkerd registers all its webhooks.
pub(super) const PATH: &str = "/";
/// How long Helm may take from the Secret to the registration.
const SOON: Duration = Duration::from_secs(30);
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Watches whose injector is registered.
pub(super) struct Handover {
    client: Client,
    namespace: String,
    serving: Arc<ServingCertificate>,
}

impl Handover {
    pub(super) fn new(client: Client, namespace: &str, serving: Arc<ServingCertificate>) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            serving,
        }
    }

    /// Serves Linkerd's certificate while its injector is registered, for ever.
    pub(super) async fn run(self) {
        let configurations: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut configurations = pin!(watch_object(configurations, registrations::INJECTOR));
        let mut secrets = pin!(watch_object(secrets, SECRET));
        let (mut registered, mut secret) = (false, None);
        let mut soon = Instant::now();
        let mut lent = false;
        loop {
            tokio::select! {
                Some(told) = configurations.next() => match told {
                    Ok(configuration) => {
                        let namespace = &self.namespace;
                        registered = configuration.is_some_and(|of| is_linkerds(&of, namespace));
                    }
                    Err(error) => wait_after(&error).await,
                },
                Some(told) = secrets.next() => match told {
                    Ok(told) => {
                        secret = told;
                        soon = Instant::now() + SOON;
                    }
                    Err(error) => wait_after(&error).await,
                },
            }
            let theirs = secret.as_ref().map(served).transpose();
            let theirs = theirs.unwrap_or_else(|error| {
                tracing::warn!("Linkerd's certificate cannot be served: {error:#}");
                None
            });
            let theirs = match theirs {
                Some(theirs) if registered => Lent::Yes(Arc::new(theirs)),
                Some(_) => Lent::Soon(soon),
                None => Lent::No,
            };
            if matches!(theirs, Lent::Yes(_)) != lent {
                lent = !lent;
                match lent {
                    true => tracing::info!(
                        "Linkerd's injector is registered: answering with its certificate"
                    ),
                    false => tracing::info!("answering with a certificate of our own again"),
                }
            }
            self.serving.lend(theirs);
        }
    }
}

/// Whether the first webhook in it calls Linkerd's path in this namespace.
fn is_linkerds(configuration: &MutatingWebhookConfiguration, namespace: &str) -> bool {
    let mut webhooks = configuration.webhooks.iter().flatten();
    let called = webhooks.next();
    let path = called.and_then(|of| registrations::path(&of.client_config, namespace));
    path.is_some_and(|path| path == PATH)
}

/// Who may not watch does without.
async fn wait_after(error: &watcher::Error) {
    tracing::debug!(%error, "whose injector is registered cannot be watched");
    sleep(PAUSE).await;
}

fn served(secret: &Secret) -> anyhow::Result<Served> {
    let bytes = |key: &str| -> &[u8] {
        let data = secret.data.as_ref();
        data.and_then(|data| data.get(key))
            .map_or(&[], |ByteString(bytes)| bytes)
    };
    let part = |key: &str| format!("{key} of Secret {SECRET}");
    pair(
        (&part(CERTIFICATE), bytes(CERTIFICATE)),
        (&part(KEY), bytes(KEY)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};
    use serde_json::{Value, json};

    #[test]
    fn linkerds_injector_is_known_by_its_path() {
        let service = |namespace: &str, path: Value| json!({"service": {"namespace": namespace, "name": "any", "path": path}});
        for (client, linkerds) in [
            (Some(service("linkerd", json!("/"))), true),
            (Some(service("linkerd", json!(null))), true),
            (Some(service("linkerd", json!("/inject"))), false),
            (Some(service("other", json!("/"))), false),
            (None, false),
        ] {
            let webhooks = client.as_ref().map(|client| {
                json!([{
                    "name": "a.linkerd.io", "clientConfig": client, "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }])
            });
            let configuration = json!({"metadata": {}, "webhooks": webhooks});
            let configuration: MutatingWebhookConfiguration =
                serde_json::from_value(configuration).expect("valid");
            assert_eq!(
                is_linkerds(&configuration, "linkerd"),
                linkerds,
                "{client:?}"
            );
        }
    }

    #[test]
    fn a_secret_that_is_not_good_is_not_served() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::default();
        let certificate = certificate.self_signed(&key).expect("signed").pem();
        let (key, other) = (
            key.serialize_pem(),
            KeyPair::generate().expect("a key").serialize_pem(),
        );
        for (certificate, key, good) in [
            (&*certificate, &*key, true),
            (&*certificate, &*other, false),
            (&*certificate, "", false),
            ("nonsense", &*key, false),
        ] {
            let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
            let data = [(CERTIFICATE, bytes(certificate)), (KEY, bytes(key))];
            let data = data.map(|(name, bytes)| (name.to_owned(), bytes));
            let secret = Secret {
                data: Some(data.into()),
                ..Secret::default()
            };
            assert_eq!(served(&secret).is_ok(), good);
        }
    }
}
