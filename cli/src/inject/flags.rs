//! Flags that are annotations.

use crate::proxy_flags::{ProxyFlags, like, setting};
use clap::Args;
use std::collections::BTreeMap;

/// Settings of the proxies of a workload. Each is an annotation of the same meaning.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Proxy")]
pub(super) struct InjectFlags {
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
    #[arg(long, value_name = "DURATION", value_parser = like("close-wait-timeout"))]
    close_wait_timeout: Option<String>,

    /// How long a proxy that is a regular container goes on when its pod ends
    #[arg(long, value_name = "SECONDS", value_parser = like("proxy-wait-before-exit-seconds"))]
    wait_before_exit_seconds: Option<String>,

    /// Ports on which only clients of the mesh are let in
    #[arg(long, value_name = "PORTS", value_parser = like("proxy-require-identity-inbound-ports"))]
    require_identity_on_inbound_ports: Option<String>,

    #[command(flatten)]
    shared: ProxyFlags,
}

impl InjectFlags {
    /// The annotations that the flags are.
    pub(super) fn annotations(&self) -> BTreeMap<&'static str, String> {
        let yes = |flag: bool| flag.then(|| "true".to_owned());
        let debug_image = self.shared.in_registry("debug");
        let own = [
            ("opaque-ports", self.opaque_ports.clone()),
            ("enable-debug-sidecar", yes(self.enable_debug_sidecar)),
            (
                "debug-image",
                debug_image.filter(|_| self.enable_debug_sidecar),
            ),
            (
                "proxy-enable-native-sidecar",
                self.native_sidecar.map(|native| native.to_string()),
            ),
            ("close-wait-timeout", self.close_wait_timeout.clone()),
            (
                "proxy-wait-before-exit-seconds",
                self.wait_before_exit_seconds.clone(),
            ),
            (
                "proxy-require-identity-inbound-ports",
                self.require_identity_on_inbound_ports.clone(),
            ),
        ];
        let own = own.into_iter();
        let mut annotations = self.shared.annotations();
        annotations.extend(own.filter_map(|(name, text)| Some((setting(name).key(), text?))));
        annotations
    }
}
