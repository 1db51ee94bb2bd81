//! Settings of proxies that are flags: annotations for `ferrule inject`, values of the
//! chart for `ferrule install` and its like.

use crate::log_filter;
use clap::{Args, value_parser};
use ferrule_cluster::object::{DefaultPolicy, Quantity};
use ferrule_proxy_injector::Setting;
use serde_json::Value;
use std::collections::BTreeMap;

/// Settings of proxies, of one workload or of all.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Proxy")]
pub(crate) struct ProxyFlags {
    /// Who may call a port of which no policy says who may
    #[arg(long, value_name = "POLICY")]
    default_inbound_policy: Option<DefaultPolicy>,

    /// Ask for profiles of names outside of the cluster
    #[arg(long)]
    enable_external_profiles: bool,

    /// The proxy's image, without a tag
    #[arg(long, value_name = "IMAGE")]
    proxy_image: Option<String>,

    /// Its tag
    #[arg(long, value_name = "TAG")]
    proxy_version: Option<String>,

    /// The registry of images of proxies that are not named
    #[arg(long, env = "LINKERD_DOCKER_REGISTRY", value_name = "REGISTRY")]
    registry: Option<String>,

    /// When images are pulled
    #[arg(long, value_name = "POLICY", value_parser = like("image-pull-policy"))]
    image_pull_policy: Option<String>,

    /// Port of what comes in
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    inbound_port: Option<u16>,

    /// Port of what goes out
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    outbound_port: Option<u16>,

    /// Port on which the proxy can be tapped
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    control_port: Option<u16>,

    /// Port of probes and metrics
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    admin_port: Option<u16>,

    /// Ports on which what comes in passes by the proxy
    #[arg(long, value_name = "PORTS", value_parser = like("skip-inbound-ports"))]
    skip_inbound_ports: Option<String>,

    /// Ports to which what goes out passes by the proxy
    #[arg(long, value_name = "PORTS", value_parser = like("skip-outbound-ports"))]
    skip_outbound_ports: Option<String>,

    /// User that the proxy runs as
    #[arg(long, value_name = "UID")]
    proxy_uid: Option<i64>,

    /// Group that the proxy runs as
    #[arg(long, value_name = "GID", allow_negative_numbers = true)]
    proxy_gid: Option<i64>,

    /// What the proxy logs
    #[arg(long, value_name = "FILTER", value_parser = log_filter)]
    proxy_log_level: Option<String>,

    // Linkerd's older names of requests are known, too.
    /// CPU that the proxy asks for
    #[arg(
        long,
        alias = "proxy-cpu",
        value_name = "QUANTITY",
        value_parser = like("proxy-cpu-request")
    )]
    proxy_cpu_request: Option<String>,

    /// CPU that the proxy may use
    #[arg(long, value_name = "QUANTITY", value_parser = like("proxy-cpu-limit"))]
    proxy_cpu_limit: Option<String>,

    /// Memory that the proxy asks for
    #[arg(
        long,
        alias = "proxy-memory",
        value_name = "QUANTITY",
        value_parser = like("proxy-memory-request")
    )]
    proxy_memory_request: Option<String>,

    /// Memory that the proxy may use
    #[arg(long, value_name = "QUANTITY", value_parser = like("proxy-memory-limit"))]
    proxy_memory_limit: Option<String>,
}

/// An annotation, the value of the same meaning, and what is to be there.
type Given = (&'static str, &'static str, Option<Value>);

impl ProxyFlags {
    /// As annotations of pods and namespaces.
    pub(crate) fn annotations(&self) -> BTreeMap<&'static str, String> {
        let given = self.given().into_iter();
        let text = |value: Value| match value {
            Value::String(text) => text,
            value => value.to_string(),
        };
        given
            .filter_map(|(name, _, value)| Some((setting(name).key(), text(value?))))
            .collect()
    }

    /// As values of the chart, each with its path.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&'static str, Option<Value>)> {
        let cores = |quantity: &Option<String>| Some(cores(quantity.as_deref()?));
        // An annotation says how many threads there are, too.
        let least = cores(&self.proxy_cpu_request).map(|cores| cores.max(1).into());
        let most = cores(&self.proxy_cpu_limit).map(Value::from);
        let debug = self.in_registry("debug").map(Value::from);
        let more = [
            ("proxy.runtime.workers.minimum", least),
            ("proxy.runtime.workers.maximum", most),
            ("debugContainer.image.name", debug),
        ];
        let given = self.given().into_iter();
        given.map(|(_, path, value)| (path, value)).chain(more)
    }

    /// An image in the registry that is named, if one is.
    pub(crate) fn in_registry(&self, image: &str) -> Option<String> {
        let registry = self.registry.as_ref()?.trim_end_matches('/');
        Some(format!("{registry}/{image}"))
    }

    fn given(&self) -> [Given; 18] {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        let port = |port: Option<u16>| port.map(Value::from);
        let id = |id: Option<i64>| id.map(Value::from);
        let policy = self
            .default_inbound_policy
            .map(|policy| policy.as_str().into());
        let profiles = self.enable_external_profiles.then_some(Value::Bool(true));
        let image = self
            .proxy_image
            .clone()
            .or_else(|| self.in_registry("proxy"));
        [
            (
                "default-inbound-policy",
                "proxy.defaultInboundPolicy",
                policy,
            ),
            (
                "enable-external-profiles",
                "proxy.enableExternalProfiles",
                profiles,
            ),
            ("proxy-image", "proxy.image.name", text(&image)),
            (
                "proxy-version",
                "proxy.image.version",
                text(&self.proxy_version),
            ),
            (
                "image-pull-policy",
                "imagePullPolicy",
                text(&self.image_pull_policy),
            ),
            (
                "inbound-port",
                "proxy.ports.inbound",
                port(self.inbound_port),
            ),
            (
                "outbound-port",
                "proxy.ports.outbound",
                port(self.outbound_port),
            ),
            (
                "control-port",
                "proxy.ports.control",
                port(self.control_port),
            ),
            ("admin-port", "proxy.ports.admin", port(self.admin_port)),
            (
                "skip-inbound-ports",
                "proxyInit.ignoreInboundPorts",
                text(&self.skip_inbound_ports),
            ),
            (
                "skip-outbound-ports",
                "proxyInit.ignoreOutboundPorts",
                text(&self.skip_outbound_ports),
            ),
            ("proxy-uid", "proxy.uid", id(self.proxy_uid)),
            ("proxy-gid", "proxy.gid", id(self.proxy_gid)),
            (
                "proxy-log-level",
                "proxy.logLevel",
                text(&self.proxy_log_level),
            ),
            (
                "proxy-cpu-request",
                "proxy.resources.cpu.request",
                text(&self.proxy_cpu_request),
            ),
            (
                "proxy-cpu-limit",
                "proxy.resources.cpu.limit",
                text(&self.proxy_cpu_limit),
            ),
            (
                "proxy-memory-request",
                "proxy.resources.memory.request",
                text(&self.proxy_memory_request),
            ),
            (
                "proxy-memory-limit",
                "proxy.resources.memory.limit",
                text(&self.proxy_memory_limit),
            ),
        ]
    }
}

/// Reads a flag that may say what the annotation of this name may.
pub(crate) fn like(name: &'static str) -> impl Fn(&str) -> Result<String, String> + Clone {
    move |text| match setting(name).check(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(expected) => Err(format!("expected {expected}")),
    }
}

/// The annotation of this name.
pub(crate) fn setting(name: &str) -> Setting {
    let Some(setting) = ferrule_proxy_injector::setting(name) else {
        unreachable!("every flag is a setting, which a test sees");
    };
    setting
}

/// Whole CPUs, rounded up.
fn cores(quantity: &str) -> u64 {
    let thousandths = quantity
        .parse()
        .map_or(0, |quantity: Quantity| quantity.thousandths());
    u64::try_from(thousandths)
        .unwrap_or_default()
        .div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use ferrule_charts::embedded;
    use serde_json::json;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        proxy: ProxyFlags,
    }

    fn parse(line: &str) -> Result<ProxyFlags, String> {
        let words = ["command"].into_iter().chain(line.split_whitespace());
        let command = Command::try_parse_from(words);
        command
            .map(|command| command.proxy)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_is_an_annotation_and_a_value_of_the_same_meaning() {
        for (line, annotation, path, value) in [
            (
                "--admin-port 5191",
                "admin-port",
                "proxy.ports.admin",
                json!(5191),
            ),
            ("--proxy-gid -1", "proxy-gid", "proxy.gid", json!(-1)),
            (
                "--proxy-cpu 500m",
                "proxy-cpu-request",
                "proxy.resources.cpu.request",
                json!("500m"),
            ),
            (
                "--proxy-memory 1Gi",
                "proxy-memory-request",
                "proxy.resources.memory.request",
                json!("1Gi"),
            ),
            (
                "--proxy-version edge-1",
                "proxy-version",
                "proxy.image.version",
                json!("edge-1"),
            ),
            (
                "--default-inbound-policy deny",
                "default-inbound-policy",
                "proxy.defaultInboundPolicy",
                json!("deny"),
            ),
            (
                "--enable-external-profiles",
                "enable-external-profiles",
                "proxy.enableExternalProfiles",
                json!(true),
            ),
            (
                "--registry r.test/mesh/",
                "proxy-image",
                "proxy.image.name",
                json!("r.test/mesh/proxy"),
            ),
        ] {
            let flags = parse(line).unwrap();
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned);
            let key = format!("config.linkerd.io/{annotation}");
            assert_eq!(flags.annotations()[&*key], text, "{line}");
            let values: BTreeMap<_, _> = flags.values().collect();
            assert_eq!(values[path], Some(value), "{line}");
        }
    }

    #[test]
    fn every_value_is_one_of_the_chart() {
        let text = embedded::text("ferrule-control-plane/values.yaml").unwrap();
        let chart: Value = serde_yaml::from_str(text).unwrap();
        let none = ProxyFlags::default();
        for (path, value) in none.values() {
            let pointer = format!("/{}", path.replace('.', "/"));
            assert!(chart.pointer(&pointer).is_some(), "{path}");
            assert_eq!(value, None, "{path}");
        }
    }

    #[test]
    fn cpu_is_also_a_number_of_threads() {
        let flags = parse("--proxy-cpu-request 1500m --proxy-cpu-limit 3").unwrap();
        let values: BTreeMap<_, _> = flags.values().collect();
        assert_eq!(values["proxy.runtime.workers.minimum"], Some(json!(2)));
        assert_eq!(values["proxy.runtime.workers.maximum"], Some(json!(3)));
    }

    #[test]
    fn a_flag_that_would_not_be_understood_is_refused_by_its_name() {
        for (line, expected) in [
            ("--admin-port abc", "invalid digit"),
            ("--inbound-port 0", "0 is not in 1..=65535"),
            ("--skip-inbound-ports http", "ports and ranges such as"),
            ("--proxy-cpu-limit lots", "a quantity of 0 or more"),
            ("--proxy-log-level=debgu", "is no level"),
            ("--default-inbound-policy=all", "cluster-authenticated"),
            ("--image-pull-policy sometimes", "IfNotPresent"),
        ] {
            let error = parse(line).unwrap_err();
            let flag = line.split([' ', '=']).next().unwrap();
            assert!(
                error.contains(flag) && error.contains(expected),
                "{line}: {error}"
            );
        }
    }
}
