//! What the chart was rendered with: ConfigMap `linkerd-config`.

use crate::{credential_names::CredentialNames, install::Source};
use ferrule_proxy_injector::Values;
use serde_json::Value;

/// The values of the chart.
#[derive(Debug)]
pub(super) struct Settings {
    /// As they are, for what does not concern proxies.
    tree: Value,
    pub(super) values: Values,
    /// Where the trust anchors and the issuer are.
    pub(super) credentials: CredentialNames,
    /// Why they cannot be read, or not all of them.
    pub(super) problems: Vec<String>,
}

impl Settings {
    /// Reads the document; `None` if there is none in the ConfigMap.
    pub(super) fn read(text: Option<String>) -> Self {
        let Some(text) = text else {
            return Self::unread("it has no key `values`".to_owned());
        };
        let tree: Value = match serde_yaml::from_str(&text) {
            Ok(tree) => tree,
            Err(error) => return Self::unread(error.to_string()),
        };
        let (values, problems) = Values::from_value(&tree);
        Self {
            credentials: CredentialNames::of(&tree),
            tree,
            values,
            problems: problems.iter().map(ToString::to_string).collect(),
        }
    }

    fn unread(problem: String) -> Self {
        Self {
            tree: Value::Null,
            values: Values::default(),
            credentials: CredentialNames::default(),
            problems: vec![problem],
        }
    }

    /// What is at a path such as `identity.issuer.scheme`.
    pub(super) fn at(&self, path: &str) -> &Value {
        path.split('.').fold(&self.tree, |tree, step| &tree[step])
    }

    pub(super) fn flag(&self, path: &str) -> bool {
        match self.at(path) {
            Value::Bool(flag) => *flag,
            Value::String(text) => text == "true",
            _ => false,
        }
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.at(path).as_str()
    }

    /// Whether there is anything in it.
    pub(super) fn are_read(&self) -> bool {
        self.tree.is_object()
    }

    /// Whether Ferrule makes the trust anchor and the issuer.
    pub(super) fn issuer_is_managed(&self) -> bool {
        Source::of(&self.tree) == Source::Managed
    }

    /// Whether Ferrule makes the certificates of webhooks.
    pub(super) fn webhooks_are_managed(&self) -> bool {
        let sections = ["proxyInjector", "policyValidator"];
        let is_others = sections.into_iter().any(|section| {
            let pem = self.text(&format!("{section}.crtPEM"));
            self.flag(&format!("{section}.externalSecret"))
                || pem.is_some_and(|pem| !pem.is_empty())
        });
        let mode = self.text("webhookTLS.mode");
        !is_others && mode.is_none_or(|mode| mode == "self-managed")
    }

    /// What proxies are injected with.
    pub(super) fn proxy_version(&self) -> &str {
        match self.values.proxy.image.version.as_str() {
            "" => &self.values.version,
            version => version,
        }
    }
}
