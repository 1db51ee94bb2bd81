//! Values that the chart is tried with.

use crate::helm::{CHART, root};
use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use tempfile::TempDir;

/// Files of values.
pub(crate) struct Cases {
    folder: TempDir,
    further: AtomicUsize,
    /// Name, and what Helm is told.
    pub(crate) all: Vec<(&'static str, Vec<String>)>,
}

impl Cases {
    pub(crate) fn new() -> Result<Self> {
        let folder = TempDir::new()?;
        let mut all = vec![("default", Vec::new()), ("high availability", ha())];
        for (name, values) in [
            (
                "cni",
                json!({"cniEnabled": true, "alerts": {"enabled": true}}),
            ),
            ("external", external()?),
            ("external Secrets", external_secrets()),
        ] {
            all.push((name, vec![file(folder.path(), name, &values)?]));
        }
        let mut everything = ha();
        everything.push(file(folder.path(), "everything", &self::everything()?)?);
        all.push(("everything", everything));
        let further = AtomicUsize::new(0);
        Ok(Self {
            folder,
            further,
            all,
        })
    }

    /// What Helm is told for a case, and then these values.
    pub(crate) fn with(&self, case: &str, values: &Value) -> Result<Vec<String>> {
        let found = self.all.iter().find(|(of, _)| *of == case);
        let (_, mut args) = found.expect("there is such a case").clone();
        // Not named after a value: an error would seem to be about it.
        let number = self.further.fetch_add(1, Relaxed).to_string();
        args.push(file(self.folder.path(), &number, values)?);
        Ok(args)
    }
}

/// As `--values`.
pub(crate) fn texts(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn file(folder: &Path, name: &str, values: &Value) -> Result<String> {
    let path = folder.join(format!("{name}.yaml"));
    std::fs::write(&path, values.to_string())?;
    Ok(format!("--values={}", path.display()))
}

fn ha() -> Vec<String> {
    let file = root().join(CHART).join("values-ha.yaml");
    vec![format!("--values={}", file.display())]
}

/// cert-manager and trust-manager make all certificates.
fn external() -> Result<Value> {
    let injected = json!({"injectCaFrom": "linkerd/webhook"});
    Ok(json!({
        "identityTrustAnchorsPEM": authority()?.0,
        "identity": {"externalCA": true, "issuer": {"scheme": "kubernetes.io/tls"}},
        "webhookTLS": {"mode": "external"},
        "proxyInjector": injected, "policyValidator": injected,
    }))
}

/// Somebody else makes the webhooks' certificates, as values of Linkerd say it.
fn external_secrets() -> Value {
    let webhook = json!({"externalSecret": true, "injectCaFromSecret": "linkerd/ca"});
    json!({"proxyInjector": webhook, "policyValidator": webhook, "profileValidator": webhook})
}

/// All that can be switched on at a time.
fn everything() -> Result<Value> {
    let (anchor, _) = authority()?;
    let (issuer, key) = authority()?;
    let webhook = json!({"crtPEM": issuer, "keyPEM": key, "caBundle": anchor});
    let on = json!({"enabled": true});
    Ok(json!({
        "disableIPv6": false,
        "identityTrustAnchorsPEM": anchor,
        "identity": {
            "tokenReview": "local", "eventPolicy": "all",
            "trustAnchorRotation": {"restartWorkloads": true},
            "issuer": {"tls": {"crtPEM": issuer, "keyPEM": key}},
        },
        "proxyInjector": webhook, "policyValidator": webhook,
        "policyController": {"allowL5dRequestHeaders": true},
        "priorityClassName": "system-cluster-critical",
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{
            "weight": 1,
            "preference": {"matchExpressions": [{"key": "kind", "operator": "Exists"}]},
        }]},
        "tolerations": [{"key": "control-plane", "operator": "Exists"}],
        "topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
        }],
        "podAnnotations": {"a": "1"}, "podLabels": {"b": "2"}, "commonLabels": {"c": "3"},
        "imagePullSecrets": [{"name": "registry"}],
        "configReaders": [{"name": "metrics-api", "namespace": "linkerd-viz"}],
        "controllerGID": 2103,
        "networkPolicy": {
            "enabled": true, "metricsFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
        },
        "podMonitor": on, "dashboards": on,
        "alerts": {"enabled": true, "proxies": on},
        "controller": {"tracing": {
            "enabled": true, "collector": {"endpoint": "collector.tracing:4317"},
        }},
        "proxy": {
            "tracing": {"enabled": true, "collector": {
                "endpoint": "collector.tracing:4317",
                "meshIdentity": {"serviceAccountName": "collector", "namespace": "tracing"},
            }},
        },
        "proxyInit": {"runAsRoot": true, "closeWaitTimeoutSecs": 60},
    }))
}

/// A certificate authority and its key, PEM.
pub(crate) fn authority() -> Result<(String, String)> {
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    Ok((authority.pem(), authority.key().serialize_pem()))
}
