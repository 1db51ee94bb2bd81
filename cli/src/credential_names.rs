//! What the objects are called that hold the trust anchors and the issuer: somebody else
//! who makes them may have names of their own (operations.md section 21, row 29).

use crate::{
    check::CONFIG,
    read::{Read, get, of},
};
use ferrule_identity::{ISSUER_SECRET, TRUST_ROOTS};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use serde_json::Value;

/// As the chart decides it by its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CredentialNames {
    /// The issuer's Secret.
    pub(crate) issuer: String,
    /// The ConfigMap of the trust anchors.
    pub(crate) trust_roots: String,
}

impl Default for CredentialNames {
    fn default() -> Self {
        Self {
            issuer: ISSUER_SECRET.to_owned(),
            trust_roots: TRUST_ROOTS.to_owned(),
        }
    }
}

impl CredentialNames {
    /// Of values of the chart; names count only where the objects are somebody else's.
    pub(crate) fn of(values: &Value) -> Self {
        let usual = Self::default();
        let identity = &values["identity"];
        let named = |is_others: bool, name: &Value| {
            let name = name.as_str().filter(|name| is_others && !name.is_empty());
            name.map(ToOwned::to_owned)
        };
        let issuer = &identity["issuer"];
        let brings_issuer = issuer["scheme"] == "kubernetes.io/tls";
        let brings_anchors = is_true(&identity["externalCA"]);
        let trust_roots = named(brings_anchors, &identity["trustRootsConfigMapName"]);
        Self {
            issuer: named(brings_issuer, &issuer["secretName"]).unwrap_or(usual.issuer),
            trust_roots: trust_roots.unwrap_or(usual.trust_roots),
        }
    }

    /// Of values as they are written. Of what cannot be read they are the usual ones: that it
    /// cannot is others' to say.
    pub(crate) fn of_text(values: &str) -> Self {
        let values = serde_yaml::from_str(values);
        values.map_or_else(|_| Self::default(), |values| Self::of(&values))
    }

    /// Of the control plane in this namespace; the usual ones where there is no
    /// ConfigMap `linkerd-config`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) async fn read(client: &Client, namespace: &str) -> Read<Self> {
        let config: Option<ConfigMap> = get(of(client, namespace), CONFIG).await?;
        let values = config.and_then(|config| config.data?.remove("values"));
        Ok(values.map_or_else(Self::default, |values| Self::of_text(&values)))
    }
}

/// Values may be texts where `helm --set-string` has made them.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        Value::String(text) => text == "true",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_where_somebody_else_makes_the_objects() {
        let usual = ["linkerd-identity-issuer", "linkerd-identity-trust-roots"];
        for (values, [issuer, trust_roots]) in [
            ("", usual),
            ("identity: {}", usual),
            (": no YAML: [", usual),
            (
                "identity: {trustRootsConfigMapName: a, issuer: {secretName: b}}",
                usual,
            ),
            (
                "identity: {externalCA: true, trustRootsConfigMapName: a}",
                [usual[0], "a"],
            ),
            (
                "identity: {externalCA: true, trustRootsConfigMapName: ''}",
                usual,
            ),
            (
                "identity: {issuer: {scheme: kubernetes.io/tls, secretName: b}}",
                ["b", usual[1]],
            ),
            ("identity: {issuer: {scheme: kubernetes.io/tls}}", usual),
        ] {
            let names = CredentialNames::of_text(values);
            assert_eq!(
                [&*names.issuer, &*names.trust_roots],
                [issuer, trust_roots],
                "{values}"
            );
        }
    }
}
