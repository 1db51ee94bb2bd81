use super::node::Node;
use serde_json::{Map, Value, json};

/// `proxyInit`: the init container that redirects a pod's traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct ProxyInit {
    /// `iptablesMode`: `nft` or `legacy`.
    pub iptables_mode: String,
    /// `ignoreInboundPorts`.
    pub ignore_inbound_ports: String,
    /// `ignoreOutboundPorts`.
    pub ignore_outbound_ports: String,
    /// `skipSubnets`.
    pub skip_subnets: String,
    /// `closeWaitTimeoutSecs`; 0 for the kernel's.
    pub close_wait_timeout_seconds: u64,
    /// `privileged`.
    pub privileged: bool,
    /// `runAsRoot`.
    pub run_as_root: bool,
    /// `runAsUser`, where it does not run as root.
    pub run_as_user: i64,
    /// `runAsGroup`, where it does not run as root.
    pub run_as_group: i64,
    /// `logLevel`; empty for its own default.
    pub log_level: String,
    /// `logFormat`; empty for its own default.
    pub log_format: String,
    /// `xtMountPath.name`: the volume of the lock of iptables.
    pub lock_volume: String,
    /// `xtMountPath.mountPath`.
    pub lock_path: String,
}

/// `networkValidator`: the init container that checks that the CNI plugin has
/// redirected the pod's traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkValidator {
    /// `connectAddr`; empty for one of the pod's address family.
    pub connect_addr: String,
    /// `listenAddr`; empty for one of the pod's address family.
    pub listen_addr: String,
    /// `timeout`.
    pub timeout: String,
    /// `logLevel`.
    pub log_level: String,
    /// `logFormat`.
    pub log_format: String,
    /// `securityContext`, whole; `None` where `enableSecurityContext` is false.
    pub security_context: Option<Map<String, Value>>,
}

impl ProxyInit {
    pub(super) fn read(node: &Node<'_>) -> Self {
        let lock = node.at("xtMountPath");
        Self {
            iptables_mode: node.text("iptablesMode", "nft"),
            ignore_inbound_ports: node.text("ignoreInboundPorts", "4567,4568"),
            ignore_outbound_ports: node.text("ignoreOutboundPorts", "4567,4568"),
            skip_subnets: node.text("skipSubnets", ""),
            close_wait_timeout_seconds: node.count("closeWaitTimeoutSecs", 0),
            privileged: node.flag("privileged", false),
            run_as_root: node.flag("runAsRoot", false),
            run_as_user: node.integer("runAsUser", 65534),
            run_as_group: node.integer("runAsGroup", 65534),
            log_level: node.text("logLevel", ""),
            log_format: node.text("logFormat", ""),
            lock_volume: lock.text("name", "linkerd-proxy-init-xtables-lock"),
            lock_path: lock.text("mountPath", "/run"),
        }
    }
}

impl NetworkValidator {
    pub(super) fn read(node: &Node<'_>) -> Self {
        let given = node.object("securityContext");
        let context = if given.is_empty() { hardened() } else { given };
        Self {
            connect_addr: node.text("connectAddr", ""),
            listen_addr: node.text("listenAddr", ""),
            timeout: node.text("timeout", "10s"),
            log_level: node.text("logLevel", "debug"),
            log_format: node.text("logFormat", "plain"),
            // Only an explicit false takes it away.
            security_context: node.flag("enableSecurityContext", true).then_some(context),
        }
    }
}

fn hardened() -> Map<String, Value> {
    let context = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsGroup": 65534,
        "runAsNonRoot": true,
        "runAsUser": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    match context {
        Value::Object(context) => context,
        _ => unreachable!("it is written as an object"),
    }
}
