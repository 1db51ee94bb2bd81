//! The chart's values, as far as they shape what is injected
//! (identity-injector.md section 8.6, operations.md section 3).
//!
//! The document is the one in ConfigMap `linkerd-config`, key `values`: the whole
//! tree of the chart. It is read tolerantly, so that one that Linkerd wrote will do:
//! unknown keys do not matter, absent ones have the chart's defaults, and one that
//! cannot be read is reported by its path while its default counts.

mod init;
mod node;
mod proxy;

pub use self::{
    init::{NetworkValidator, ProxyInit},
    proxy::{
        Amount, ControlStreams, Image, Ports, Probe, Proxy, Resources, Tracing, TracingCollector,
        Workers,
    },
};

use self::node::Node;
use serde_json::Value;
use std::{cell::RefCell, fmt};
use thiserror::Error;

/// Tag of the proxy image where values name none: the release of the proxy that
/// this version is tested with. The chart writes it as `linkerdVersion`.
const PROXY_VERSION: &str = "edge-26.8.3";

/// What the chart says of proxies.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    /// `clusterDomain`, without a dot at its end.
    pub cluster_domain: String,
    /// `identityTrustDomain`, else the cluster's domain.
    pub trust_domain: String,
    /// `clusterNetworks`: CIDRs with commas between them.
    pub cluster_networks: String,
    /// `cniEnabled`: traffic is redirected by the CNI plugin, not by an init container.
    pub cni_enabled: bool,
    /// `disableIPv6`.
    pub disable_ipv6: bool,
    /// `imagePullPolicy`, where an image has none of its own.
    pub image_pull_policy: String,
    /// `linkerdVersion`: tag of images that have none of their own.
    pub version: String,
    /// `identity.serviceAccountTokenProjection`.
    pub token_projection: bool,
    /// `proxy`.
    pub proxy: Proxy,
    /// `proxyInit`.
    pub proxy_init: ProxyInit,
    /// `networkValidator`.
    pub network_validator: NetworkValidator,
    /// `debugContainer.image`.
    pub debug_image: Image,
}

/// A value that cannot be read; its default counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValuesProblem {
    /// Where it is, such as `proxy.ports.admin`; empty for the whole document.
    pub path: String,
    /// What is expected there.
    pub expected: &'static str,
}

impl fmt::Display for ValuesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() {
            "the document"
        } else {
            &self.path
        };
        write!(
            f,
            "values: {path} is not {}; the default counts",
            self.expected
        )
    }
}

/// A values document that is no YAML.
#[derive(Debug, Error)]
#[error("the values are not YAML: {0}")]
pub struct ValuesError(String);

impl Values {
    /// Reads a values document: YAML, or JSON. An empty one is the defaults.
    ///
    /// # Errors
    /// When it is not YAML. What is merely not understood is told as problems.
    pub fn parse(text: &str) -> Result<(Self, Vec<ValuesProblem>), ValuesError> {
        let options = serde_yaml::options! {
            // `yes` and `on` are texts, as for YAML 1.2.
            strict_booleans: true,
            with_snippet: false,
        };
        let value: Value = serde_yaml::from_str_with_options(text, options)
            .map_err(|error| ValuesError(error.without_snippet().to_string()))?;
        Ok(Self::from_value(&value))
    }

    /// Reads a values tree.
    pub fn from_value(value: &Value) -> (Self, Vec<ValuesProblem>) {
        let problems = RefCell::default();
        let values = Self::read(&Node::root(value, &problems));
        (values, problems.into_inner())
    }

    fn read(root: &Node<'_>) -> Self {
        let cluster_domain = root.text("clusterDomain", "cluster.local");
        let trust_domain = Some(root.text("identityTrustDomain", ""))
            .filter(|domain| !domain.is_empty())
            .unwrap_or_else(|| cluster_domain.clone());
        Self {
            cluster_domain,
            trust_domain,
            cluster_networks: root.text(
                "clusterNetworks",
                "10.0.0.0/8,100.64.0.0/10,172.16.0.0/12,192.168.0.0/16,fd00::/8",
            ),
            cni_enabled: root.flag("cniEnabled", false),
            disable_ipv6: root.flag("disableIPv6", true),
            image_pull_policy: root.text("imagePullPolicy", "IfNotPresent"),
            version: root.text("linkerdVersion", PROXY_VERSION),
            token_projection: root
                .at("identity")
                .flag("serviceAccountTokenProjection", true),
            proxy: Proxy::read(&root.at("proxy")),
            proxy_init: ProxyInit::read(&root.at("proxyInit")),
            network_validator: NetworkValidator::read(&root.at("networkValidator")),
            debug_image: Image::read(
                &root.at("debugContainer").at("image"),
                "cr.l5d.io/linkerd/debug",
            ),
        }
    }
}

impl Default for Values {
    /// The chart's defaults.
    fn default() -> Self {
        Self::from_value(&Value::Null).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_empty_document_is_the_defaults() {
        for text in ["", "{}", "# nothing\n", "null", "proxy:\nproxyInit: null\n"] {
            let (values, problems) = Values::parse(text).unwrap();
            assert_eq!(values, Values::default(), "{text:?}");
            assert_eq!(problems, [], "{text:?}");
        }
    }

    #[test]
    fn unknown_keys_do_not_matter_and_missing_sections_do_no_harm() {
        // As Linkerd writes it, with much that does not concern proxies (scenario 81).
        let (values, problems) = Values::parse(
            "clusterDomain: example.com\ncontroller:\n  podDisruptionBudget: {maxUnavailable: 1}\n\
             heartbeatSchedule: 0 0 * * *\nproxy:\n  capabilities: null\n  cores: 0\n  saMountPath: null\n\
             \x20 ports: {admin: 5191}\n  runtime: null\n",
        )
        .unwrap();
        assert_eq!(problems, []);
        assert_eq!(values.cluster_domain, "example.com");
        assert_eq!(values.trust_domain, "example.com");
        assert_eq!(values.proxy.ports.admin, 5191);
        assert_eq!(values.proxy.ports.inbound, 4143);
        assert_eq!(values.proxy.workers, Values::default().proxy.workers);
        assert_eq!(values.proxy.tracing, None);
    }

    #[test]
    fn null_is_the_zero_value() {
        let (values, problems) = Values::from_value(&json!({
            "disableIPv6": null,
            "clusterNetworks": null,
            "proxy": {"await": null, "opaquePorts": null, "uid": null, "ports": {"admin": null}},
        }));
        assert_eq!(problems, []);
        assert!(!values.disable_ipv6 && !values.proxy.await_ready);
        assert_eq!(values.cluster_networks, "");
        assert_eq!(values.proxy.opaque_ports, "");
        assert_eq!(values.proxy.uid, 0);
        assert_eq!(values.proxy.ports.admin, 4191);
    }

    #[test]
    fn numbers_are_read_however_helm_wrote_them() {
        for uid in [json!(1_000_700_000), json!(1.0007e9), json!("1000700000")] {
            let (values, problems) = Values::from_value(&json!({"proxy": {"uid": uid}}));
            assert_eq!(values.proxy.uid, 1_000_700_000, "{uid}");
            assert_eq!(problems, [], "{uid}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_by_its_path_and_the_rest_counts() {
        let (values, problems) = Values::from_value(&json!({
            "cniEnabled": "maybe",
            "clusterDomain": "example.com",
            "proxy": {"ports": {"admin": 70000, "control": "4999"}, "image": 5, "uid": [1]},
            "proxyInit": [],
        }));
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "values: cniEnabled is not true or false; the default counts",
                "values: proxy.image is not an object; the default counts",
                "values: proxy.ports.admin is not a port (1-65535); the default counts",
                "values: proxy.uid is not an integer; the default counts",
                "values: proxyInit is not an object; the default counts",
            ]
        );
        assert_eq!(values.cluster_domain, "example.com");
        assert_eq!(values.proxy.ports.control, 4999);
        assert_eq!(values.proxy.uid, 2102);
    }

    #[test]
    fn what_is_no_yaml_is_an_error() {
        assert!(Values::parse("a: [").is_err());
        let (values, problems) = Values::parse("- a\n").unwrap();
        assert_eq!(values, Values::default());
        assert_eq!(problems.len(), 1);
    }
}
