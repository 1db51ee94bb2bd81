//! Flags that are annotations.

use crate::Error;
use clap::Args;
use std::collections::BTreeMap;

/// Settings of proxies. Each is an annotation of the same meaning.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Proxy")]
pub(super) struct ProxyFlags {
    /// Put proxies into ingress mode
    #[arg(long)]
    pub(super) ingress: bool,

    /// Ports without protocol detection; also put onto Services and Namespaces
    #[arg(long, value_name = "PORTS")]
    opaque_ports: Option<String>,

    /// Add a container with tools to look at the network
    #[arg(long)]
    enable_debug_sidecar: bool,

    /// Whether the proxy is an init container that goes on running
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    native_sidecar: Option<bool>,

    /// How long the kernel keeps connections in CLOSE_WAIT
    #[arg(long, value_name = "DURATION")]
    close_wait_timeout: Option<String>,

    /// How long a proxy that is a regular container goes on when its pod ends
    #[arg(long, value_name = "SECONDS")]
    wait_before_exit_seconds: Option<String>,

    /// Ports on which only clients of the mesh are let in
    #[arg(long, value_name = "PORTS")]
    require_identity_on_inbound_ports: Option<String>,

    /// Who may call a port of which no policy says who may
    #[arg(long, value_name = "POLICY")]
    default_inbound_policy: Option<String>,

    /// Ask for profiles of names outside of the cluster
    #[arg(long)]
    enable_external_profiles: bool,

    /// The proxy's image, without a tag
    #[arg(long, value_name = "IMAGE")]
    proxy_image: Option<String>,

    /// The registry of images that are not named
    #[arg(long, env = "LINKERD_DOCKER_REGISTRY", value_name = "REGISTRY")]
    registry: Option<String>,

    /// When the proxy's image is pulled
    #[arg(long, value_name = "POLICY")]
    image_pull_policy: Option<String>,

    /// Port of what comes in
    #[arg(long, value_name = "PORT")]
    inbound_port: Option<String>,

    /// Port of what goes out
    #[arg(long, value_name = "PORT")]
    outbound_port: Option<String>,

    /// Port on which the proxy can be tapped
    #[arg(long, value_name = "PORT")]
    control_port: Option<String>,

    /// Port of probes and metrics
    #[arg(long, value_name = "PORT")]
    admin_port: Option<String>,

    /// Ports on which what comes in passes by the proxy
    #[arg(long, value_name = "PORTS")]
    skip_inbound_ports: Option<String>,

    /// Ports to which what goes out passes by the proxy
    #[arg(long, value_name = "PORTS")]
    skip_outbound_ports: Option<String>,

    /// User that the proxy runs as
    #[arg(long, value_name = "UID")]
    proxy_uid: Option<String>,

    /// Group that the proxy runs as
    #[arg(long, value_name = "GID")]
    proxy_gid: Option<String>,

    /// What the proxy logs
    #[arg(long, value_name = "FILTER")]
    proxy_log_level: Option<String>,

    /// CPU that the proxy asks for
    #[arg(long, value_name = "QUANTITY")]
    proxy_cpu_request: Option<String>,

    /// CPU that the proxy may use
    #[arg(long, value_name = "QUANTITY")]
    proxy_cpu_limit: Option<String>,

    /// Memory that the proxy asks for
    #[arg(long, value_name = "QUANTITY")]
    proxy_memory_request: Option<String>,

    /// Memory that the proxy may use
    #[arg(long, value_name = "QUANTITY")]
    proxy_memory_limit: Option<String>,
}

impl ProxyFlags {
    /// The annotations that the flags are.
    ///
    /// # Errors
    /// When one would not be understood.
    pub(super) fn annotations(&self) -> Result<BTreeMap<&'static str, String>, Error> {
        let yes = |flag: bool| flag.then(|| "true".to_owned());
        let registry = |image: &str| Some(format!("{}/{image}", self.registry.as_ref()?));
        let proxy_image = self.proxy_image.clone().or_else(|| registry("proxy"));
        let debug_image = registry("debug").filter(|_| self.enable_debug_sidecar);
        let native = self.native_sidecar.map(|native| native.to_string());
        let given = |flag: &Option<String>| flag.clone();
        let all = [
            ("opaque-ports", given(&self.opaque_ports)),
            ("enable-debug-sidecar", yes(self.enable_debug_sidecar)),
            ("debug-image", debug_image),
            ("proxy-enable-native-sidecar", native),
            ("close-wait-timeout", given(&self.close_wait_timeout)),
            (
                "proxy-wait-before-exit-seconds",
                given(&self.wait_before_exit_seconds),
            ),
            (
                "proxy-require-identity-inbound-ports",
                given(&self.require_identity_on_inbound_ports),
            ),
            (
                "default-inbound-policy",
                given(&self.default_inbound_policy),
            ),
            (
                "enable-external-profiles",
                yes(self.enable_external_profiles),
            ),
            ("proxy-image", proxy_image),
            ("image-pull-policy", given(&self.image_pull_policy)),
            ("inbound-port", given(&self.inbound_port)),
            ("outbound-port", given(&self.outbound_port)),
            ("control-port", given(&self.control_port)),
            ("admin-port", given(&self.admin_port)),
            ("skip-inbound-ports", given(&self.skip_inbound_ports)),
            ("skip-outbound-ports", given(&self.skip_outbound_ports)),
            ("proxy-uid", given(&self.proxy_uid)),
            ("proxy-gid", given(&self.proxy_gid)),
            ("proxy-log-level", given(&self.proxy_log_level)),
            ("proxy-cpu-request", given(&self.proxy_cpu_request)),
            ("proxy-cpu-limit", given(&self.proxy_cpu_limit)),
            ("proxy-memory-request", given(&self.proxy_memory_request)),
            ("proxy-memory-limit", given(&self.proxy_memory_limit)),
        ];
        let mut annotations = BTreeMap::new();
        for (name, value) in all {
            let Some(value) = value else {
                continue;
            };
            let Some(setting) = ferrule_proxy_injector::setting(name) else {
                unreachable!("every flag is a setting, which a test sees");
            };
            setting.check(&value).map_err(|expected| Error::Setting {
                annotation: setting.key(),
                value: value.clone(),
                expected,
            })?;
            annotations.insert(setting.key(), value);
        }
        Ok(annotations)
    }
}
