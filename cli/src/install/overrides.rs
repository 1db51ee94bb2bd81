//! What an installation has that is not as in the chart: it is kept in the cluster, so that
//! an upgrade keeps it, and takes new defaults for the rest.

use super::values::{at, put};
use ferrule_charts::embedded;
use serde_json::{Map, Value, json};

/// The Secret that it is kept in, and the key in it: Linkerd's command calls them so. Keys
/// of certificates are never in it.
pub(super) const OVERRIDES: &str = "linkerd-config-overrides";

/// Values that are keys; ConfigMap linkerd-config has none of them.
pub(super) const KEYS: [&str; 4] = [
    "identity.issuer.tls.keyPEM",
    "proxyInjector.keyPEM",
    "policyValidator.keyPEM",
    "profileValidator.keyPEM",
];

/// What of these values, which have no keys, is not as in the chart in this binary.
pub(super) fn overrides(values: &Value) -> Value {
    let mut values = values.clone();
    let defaults = embedded::text("ferrule-control-plane/values.yaml");
    let defaults = defaults.and_then(|text| serde_yaml::from_str(text).ok());
    let defaults: Value = defaults.unwrap_or_default();
    for key in KEYS {
        // Absent is as good as empty.
        put(&mut values, key, at(&defaults, key).clone());
    }
    // It is written out even if it is only the cluster's.
    let domain = at(&values, "identityTrustDomain");
    if domain == at(&values, "clusterDomain") {
        put(&mut values, "identityTrustDomain", "".into());
    }
    difference(&defaults, &values).unwrap_or_else(|| json!({}))
}

/// What has to be said over `defaults` to have `values`; nothing where they are equal.
/// What is gone is null, as Helm has it; lists are taken as a whole.
fn difference(defaults: &Value, values: &Value) -> Option<Value> {
    let (Value::Object(defaults), Value::Object(values)) = (defaults, values) else {
        return (defaults != values).then(|| values.clone());
    };
    let mut found = Map::new();
    for (key, value) in values {
        let default = defaults.get(key).unwrap_or(&Value::Null);
        let said = difference(default, value);
        found.extend(said.map(|said| (key.clone(), said)));
    }
    let gone = defaults.keys().filter(|key| !values.contains_key(*key));
    found.extend(gone.map(|key| (key.clone(), Value::Null)));
    (!found.is_empty()).then_some(Value::Object(found))
}

/// The Secret that keeps them.
pub(super) fn secret(namespace: &str, overrides: &Value) -> Value {
    let text = serde_json::to_string_pretty(overrides).unwrap_or_default();
    let data = k8s_openapi::ByteString(text.into_bytes());
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": OVERRIDES, "namespace": namespace,
            "labels": {
                "linkerd.io/control-plane-component": "controller",
                "linkerd.io/control-plane-ns": namespace,
            },
        },
        "data": {OVERRIDES: data},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Value {
        serde_yaml::from_str(embedded::text("ferrule-control-plane/values.yaml").unwrap()).unwrap()
    }

    /// What ConfigMap linkerd-config has of these.
    fn stored(mut values: Value) -> Value {
        for key in KEYS {
            let (parent, name) = key.rsplit_once('.').unwrap();
            let pointer = format!("/{}", parent.replace('.', "/"));
            let parent = values.pointer_mut(&pointer).unwrap();
            parent.as_object_mut().unwrap().remove(name).unwrap();
        }
        if values["identityTrustDomain"] == "" {
            values["identityTrustDomain"] = values["clusterDomain"].clone();
        }
        values
    }

    #[test]
    fn the_defaults_override_nothing() {
        assert_eq!(overrides(&stored(defaults())), json!({}));
    }

    #[test]
    fn what_is_not_as_in_the_chart_is_kept_and_nothing_else() {
        let mut values = defaults();
        put(&mut values, "controllerReplicas", 3.into());
        put(&mut values, "proxy.logLevel", "debug".into());
        put(&mut values, "tolerations", json!([{"key": "a"}]));
        put(&mut values, "nodeSelector", json!({"disk": "fast"}));
        put(&mut values, "identity.issuer.tls.keyPEM", "secret".into());
        put(&mut values, "identityTrustDomain", "corp.test".into());
        let expected = json!({
            "controllerReplicas": 3, "proxy": {"logLevel": "debug"},
            "tolerations": [{"key": "a"}],
            "nodeSelector": {"disk": "fast", "kubernetes.io/os": null},
            "identityTrustDomain": "corp.test",
        });
        assert_eq!(overrides(&stored(values)), expected);
    }

    #[test]
    fn no_key_is_kept() {
        let mut values = defaults();
        for key in KEYS {
            put(&mut values, key, "PRIVATE KEY".into());
        }
        // Even if a chart were to have written them.
        let secret = secret("linkerd", &overrides(&values));
        assert_eq!(secret["data"][OVERRIDES], "e30=");
    }
}
