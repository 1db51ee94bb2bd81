//! Where the proxy listens, whom it asks about traffic, and for how long.

use super::{Surroundings, Variables};
use crate::settings::Settings;

/// As good as never: the proxy has no such setting.
const NEVER: &str = "365d";

pub(super) fn variables(to: &mut Variables, settings: &Settings, surroundings: &Surroundings<'_>) {
    let values = &settings.values;
    let proxy = &values.proxy;
    // The dot at the end keeps resolvers from trying search domains.
    let domain = format!("svc.{}.", values.cluster_domain);
    let service =
        |name: &str, port: u16| format!("{name}.{}.{domain}:{port}", surroundings.control_plane);
    to.set(
        "LINKERD2_PROXY_DESTINATION_SVC_ADDR",
        service("linkerd-dst-headless", 8086),
    );
    to.set(
        "LINKERD2_PROXY_DESTINATION_PROFILE_NETWORKS",
        &*values.cluster_networks,
    );
    to.set(
        "LINKERD2_PROXY_POLICY_SVC_ADDR",
        service("linkerd-policy", 8090),
    );
    to.set(
        "LINKERD2_PROXY_POLICY_WORKLOAD",
        "{\"ns\":\"$(_pod_ns)\", \"pod\":\"$(_pod_name)\"}\n",
    );
    to.set(
        "LINKERD2_PROXY_INBOUND_DEFAULT_POLICY",
        &*proxy.default_inbound_policy,
    );
    to.set(
        "LINKERD2_PROXY_POLICY_CLUSTER_NETWORKS",
        &*values.cluster_networks,
    );
    let streams = &proxy.control_streams;
    for (limit, value) in [
        ("INITIAL_TIMEOUT", &streams.initial_timeout),
        ("IDLE_TIMEOUT", &streams.idle_timeout),
        ("LIFETIME", &streams.lifetime),
    ] {
        to.set(&format!("LINKERD2_PROXY_CONTROL_STREAM_{limit}"), &**value);
    }
    for (name, timeout) in [
        ("INBOUND_CONNECT", &proxy.inbound_connect_timeout),
        ("OUTBOUND_CONNECT", &proxy.outbound_connect_timeout),
        ("OUTBOUND_DISCOVERY_IDLE", &proxy.outbound_discovery_timeout),
        ("INBOUND_DISCOVERY_IDLE", &proxy.inbound_discovery_timeout),
    ] {
        to.set_some(&format!("LINKERD2_PROXY_{name}_TIMEOUT"), timeout);
    }
    if proxy.no_outbound_detect_timeout {
        to.set("LINKERD2_PROXY_OUTBOUND_DETECT_TIMEOUT", NEVER);
    }
    if proxy.no_inbound_detect_timeout {
        to.set("LINKERD2_PROXY_INBOUND_DETECT_TIMEOUT", NEVER);
    }
    addresses(to, settings);
    to.field("LINKERD2_PROXY_INBOUND_IPS", "status.podIPs");
    to.set("LINKERD2_PROXY_INBOUND_PORTS", surroundings.inbound_ports);
    if proxy.gateway {
        to.set("LINKERD2_PROXY_INBOUND_GATEWAY_SUFFIXES", &*domain);
    }
    if proxy.ingress {
        to.set("LINKERD2_PROXY_INGRESS_MODE", "true");
    }
    let suffixes = if proxy.external_profiles {
        "."
    } else {
        &*domain
    };
    to.set("LINKERD2_PROXY_DESTINATION_PROFILE_SUFFIXES", suffixes);
    to.set("LINKERD2_PROXY_INBOUND_ACCEPT_KEEPALIVE", "10000ms");
    to.set("LINKERD2_PROXY_OUTBOUND_CONNECT_KEEPALIVE", "10000ms");
    to.set("LINKERD2_PROXY_INBOUND_ACCEPT_USER_TIMEOUT", "30s");
    to.set("LINKERD2_PROXY_OUTBOUND_CONNECT_USER_TIMEOUT", "30s");
    to.set(
        "LINKERD2_PROXY_OUTBOUND_METRICS_HOSTNAME_LABELS",
        proxy.hostname_labels.to_string(),
    );
}

/// They are literal addresses: discovery reads them from the pod again.
fn addresses(to: &mut Variables, settings: &Settings) {
    let values = &settings.values;
    let ports = &values.proxy.ports;
    let everywhere = if values.disable_ipv6 {
        "0.0.0.0"
    } else {
        "[::]"
    };
    let listen = |port: u16| format!("{everywhere}:{port}");
    to.set("LINKERD2_PROXY_CONTROL_LISTEN_ADDR", listen(ports.control));
    to.set("LINKERD2_PROXY_ADMIN_LISTEN_ADDR", listen(ports.admin));
    let outbound = format!("127.0.0.1:{}", ports.outbound);
    to.set("LINKERD2_PROXY_OUTBOUND_LISTEN_ADDR", &*outbound);
    let both = match values.disable_ipv6 {
        true => outbound,
        false => format!("{outbound},[::1]:{}", ports.outbound),
    };
    to.set("LINKERD2_PROXY_OUTBOUND_LISTEN_ADDRS", both);
    to.set("LINKERD2_PROXY_INBOUND_LISTEN_ADDR", listen(ports.inbound));
}
