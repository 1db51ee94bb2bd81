//! The control plane that a cluster has: whose it is, and what an upgrade keeps of it.

use super::{
    InstallError,
    held::Held,
    overrides::{self, OVERRIDES},
    values::{at, put},
};
use crate::{
    Error,
    check::CONFIG,
    credential_names::CredentialNames,
    read::{get, of},
};
use ferrule_identity::{ISSUER_SECRET, TRUST_ROOTS_KEY};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

/// On what a release of Helm owns: the release's name.
pub(super) const RELEASE: &str = "meta.helm.sh/release-name";
const CREATED_BY: &str = "linkerd.io/created-by";

/// Where the trust anchors and the issuer come from, as the chart decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Ferrule makes them in the cluster.
    Managed,
    /// They are values.
    Values,
    /// Somebody else makes the issuer's Secret, and perhaps the anchors' ConfigMap.
    External,
}

impl Source {
    pub(crate) fn of(values: &Value) -> Self {
        let given = |path| {
            at(values, path)
                .as_str()
                .is_some_and(|text| !text.is_empty())
        };
        if at(values, "identity.issuer.scheme") == "kubernetes.io/tls" {
            Self::External
        } else if given("identity.issuer.tls.crtPEM")
            || given("identity.issuer.tls.keyPEM")
            || given("identityTrustAnchorsPEM")
            || at(values, "identity.externalCA") == true
        {
            Self::Values
        } else {
            Self::Managed
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Managed => "made by Ferrule",
            Self::Values => "given by values",
            Self::External => "made by somebody else",
        }
    }
}

/// A control plane that is kept up by these commands.
pub(super) struct Installed {
    held: Held,
    namespace: String,
    /// What it is rendered with; no keys.
    pub(super) values: Value,
    overrides: Value,
}

impl Installed {
    /// The control plane in a namespace.
    ///
    /// # Errors
    /// If there is none, or somebody else keeps it up, or it cannot be read.
    pub(super) async fn read(held: Held, namespace: &str) -> Result<Self, Error> {
        let config: Option<ConfigMap> = held.get(namespace, CONFIG).await?;
        let config = config.ok_or_else(|| held.none(namespace))?;
        if let Some((by, remedy)) = others(&config, namespace) {
            let namespace = namespace.to_owned();
            Err(InstallError::NotOurs {
                namespace,
                by,
                remedy,
            })?;
        }
        let unread = |reason: String| Error::ApiServer {
            what: format!("read the values in ConfigMap {namespace}/{CONFIG}"),
            reason,
        };
        let mut data = config.data.unwrap_or_default();
        let text = data.remove("values");
        let text = text.ok_or_else(|| unread("it has no key `values`".to_owned()))?;
        let values: Value =
            serde_yaml::from_str(&text).map_err(|error| unread(error.to_string()))?;
        let mut installed = Self {
            held,
            namespace: namespace.to_owned(),
            overrides: Value::Null,
            values,
        };
        installed.overrides = match installed.secret(OVERRIDES).await? {
            Some(secret) => {
                let text = part(&secret, OVERRIDES).unwrap_or_default();
                serde_yaml::from_str(&text).map_err(|error| Error::ApiServer {
                    what: format!("read Secret {namespace}/{OVERRIDES}"),
                    reason: error.to_string(),
                })?
            }
            // It was rendered by Helm and applied: what is not as in the chart is meant.
            None => overrides::overrides(&installed.values),
        };
        Ok(installed)
    }

    /// Values that keep it as it is: those that are not as in the chart, and the anchors,
    /// issuer and certificates that are in the cluster now, keys too.
    pub(super) async fn kept(&self) -> Result<Value, Error> {
        let mut kept = self.overrides.clone();
        if !kept.is_object() {
            kept = json!({});
        }
        let source = Source::of(&self.values);
        let is_others = at(&self.values, "identity.externalCA") == true;
        if source != Source::Managed
            && !is_others
            && let Some(pem) = self.published().await?
        {
            put(&mut kept, "identityTrustAnchorsPEM", pem.into());
        }
        if source == Source::Values {
            let parts = [("crt.pem", "crtPEM"), ("key.pem", "keyPEM")];
            self.take(&mut kept, ISSUER_SECRET, "identity.issuer.tls", parts)
                .await?;
        }
        for (section, name) in [
            ("proxyInjector", "linkerd-proxy-injector-k8s-tls"),
            ("policyValidator", "linkerd-policy-validator-k8s-tls"),
        ] {
            let given = at(&self.values, &format!("{section}.crtPEM"));
            if given.as_str().is_some_and(|pem| !pem.is_empty()) {
                let parts = [("tls.crt", "crtPEM"), ("tls.key", "keyPEM")];
                self.take(&mut kept, name, section, parts).await?;
            }
        }
        Ok(kept)
    }

    /// What everybody trusts now.
    pub(super) async fn published(&self) -> Result<Option<String>, Error> {
        let name = CredentialNames::of(&self.values).trust_roots;
        let found: Option<ConfigMap> = self.held.get(&self.namespace, &name).await?;
        Ok(found.and_then(|map| map.data?.remove(TRUST_ROOTS_KEY)))
    }

    /// Whom to ask for more, if anybody.
    pub(super) fn client(&self) -> Option<&Client> {
        self.held.client()
    }

    /// Puts parts of a Secret into a section of values.
    async fn take(
        &self,
        values: &mut Value,
        secret: &str,
        section: &str,
        parts: [(&str, &str); 2],
    ) -> Result<(), Error> {
        let Some(found) = self.secret(secret).await? else {
            return Ok(());
        };
        for (key, value) in parts {
            if let Some(pem) = part(&found, key) {
                put(values, &format!("{section}.{value}"), pem.into());
            }
        }
        Ok(())
    }

    async fn secret(&self, name: &str) -> Result<Option<Secret>, Error> {
        self.held.get(&self.namespace, name).await
    }
}

fn part(secret: &Secret, key: &str) -> Option<String> {
    // Manifests may have it as it is.
    if let Some(text) = secret.string_data.as_ref().and_then(|data| data.get(key)) {
        return Some(text.clone());
    }
    let bytes = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.0.clone()).ok()
}

/// Refuses where there is a control plane already.
pub(super) async fn none_yet(client: &Client, namespace: &str) -> Result<(), Error> {
    let config: Option<ConfigMap> = get(of(client, namespace), CONFIG).await?;
    let Some(config) = config else {
        return Ok(());
    };
    let (by, remedy) = match others(&config, namespace) {
        Some((by, remedy)) => (format!(", {by}"), remedy),
        None => (
            String::new(),
            "ferrule upgrade | kubectl apply -f -".to_owned(),
        ),
    };
    let namespace = namespace.to_owned();
    Err(InstallError::Installed {
        namespace,
        by,
        remedy,
    }
    .into())
}

/// Who else keeps it up, and what to do then.
fn others(config: &ConfigMap, namespace: &str) -> Option<(String, String)> {
    let annotations = config.annotations();
    let created_by = annotations.get(CREATED_BY).map_or("", String::as_str);
    if !created_by.starts_with("ferrule/") {
        let by = match created_by {
            "" => "somebody else's".to_owned(),
            by => format!("made by {by}"),
        };
        let remedy = "docs/takeover.md says how Ferrule takes over a mesh without touching \
                      workloads";
        return Some((by, remedy.to_owned()));
    }
    let release = annotations.get(RELEASE)?;
    Some((
        format!("a release of Helm, {release}"),
        format!("helm upgrade --namespace {namespace} --reset-then-reuse-values {release} CHART"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made_by(annotations: &Value) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"annotations": annotations}})).unwrap()
    }

    #[test]
    fn whose_it_is_is_told() {
        for (annotations, by) in [
            (json!({CREATED_BY: "ferrule/helm 0.1.0"}), None),
            (
                json!({CREATED_BY: "ferrule/helm 0.1.0", RELEASE: "mesh"}),
                Some("a release of Helm, mesh"),
            ),
            (
                json!({CREATED_BY: "linkerd/cli edge-26.8.3"}),
                Some("made by linkerd/cli edge-26.8.3"),
            ),
            (json!({}), Some("somebody else's")),
        ] {
            let found = others(&made_by(&annotations), "linkerd");
            assert_eq!(found.map(|(by, _)| by).as_deref(), by, "{annotations}");
        }
    }

    #[test]
    fn the_source_of_an_issuer_is_as_the_chart_decides() {
        for (values, source) in [
            (json!({}), Source::Managed),
            (
                json!({"identityTrustAnchorsPEM": "", "identity": {"externalCA": false}}),
                Source::Managed,
            ),
            (json!({"identityTrustAnchorsPEM": "a"}), Source::Values),
            (json!({"identity": {"externalCA": true}}), Source::Values),
            (
                json!({"identity": {"issuer": {"tls": {"crtPEM": "a"}}}}),
                Source::Values,
            ),
            (
                json!({"identity": {"issuer": {"scheme": "kubernetes.io/tls"}}}),
                Source::External,
            ),
        ] {
            assert_eq!(Source::of(&values), source, "{values}");
        }
    }
}
