//! Values that are texts of a form which neither the chart's schema nor its templates know:
//! a process of the control plane, or a proxy, would not start over another.

use super::values::at;
use crate::{
    api_addr::ApiAddr, domain, duration, lease_duration, log_filter, proxy_flags::setting,
};
use ferrule_policy::parse_networks;
use serde_json::Value;
use std::net::SocketAddr;

/// What a text is to be.
#[derive(Clone, Copy)]
enum Form {
    /// A filter of tracing.
    Filter,
    /// A level of the init container's log, or nothing.
    Level,
    /// A DNS name.
    Domain,
    /// A duration as Go has it.
    Duration,
    /// Such a duration as a Lease can have.
    Lease,
    /// A duration as the proxy has it, or nothing.
    Delay,
    /// `IP:PORT`, or nothing.
    Address,
    /// `HOST:PORT`, or nothing.
    Endpoint,
    /// What the annotation of this name may be, or nothing.
    Like(&'static str),
}

/// Every such value, with its form.
const FORMS: &[(&str, Form)] = &[
    ("clusterDomain", Form::Domain),
    ("identityTrustDomain", Form::Domain),
    ("controllerLogLevel", Form::Filter),
    ("leaseDuration", Form::Lease),
    ("drain.delay", Form::Duration),
    ("drain.window", Form::Duration),
    ("identity.trustAnchorLifetime", Form::Duration),
    (
        "identity.trustAnchorRotation.unconfirmedIssuance",
        Form::Duration,
    ),
    ("identity.issuer.lifetime", Form::Duration),
    ("identity.issuer.clockSkewAllowance", Form::Duration),
    ("identity.issuer.issuanceLifetime", Form::Duration),
    ("webhookTLS.caLifetime", Form::Duration),
    ("webhookTLS.certLifetime", Form::Duration),
    ("controller.tracing.collector.endpoint", Form::Endpoint),
    ("proxy.tracing.collector.endpoint", Form::Endpoint),
    ("proxy.logLevel", Form::Filter),
    ("proxy.opaquePorts", Form::Like("pod-inbound-ports")),
    (
        "proxy.requireIdentityOnInboundPorts",
        Form::Like("proxy-require-identity-inbound-ports"),
    ),
    (
        "proxy.requireTLSOnInboundPorts",
        Form::Like("pod-inbound-ports"),
    ),
    ("proxy.outboundConnectTimeout", Form::Delay),
    ("proxy.inboundConnectTimeout", Form::Delay),
    ("proxy.outboundDiscoveryCacheUnusedTimeout", Form::Delay),
    ("proxy.inboundDiscoveryCacheUnusedTimeout", Form::Delay),
    ("proxy.control.streams.initialTimeout", Form::Delay),
    ("proxy.control.streams.idleTimeout", Form::Delay),
    ("proxy.control.streams.lifetime", Form::Delay),
    ("proxy.shutdownGracePeriod", Form::Delay),
    (
        "proxyInit.ignoreInboundPorts",
        Form::Like("skip-inbound-ports"),
    ),
    (
        "proxyInit.ignoreOutboundPorts",
        Form::Like("skip-outbound-ports"),
    ),
    ("proxyInit.skipSubnets", Form::Like("skip-subnets")),
    ("proxyInit.logLevel", Form::Level),
    ("networkValidator.timeout", Form::Delay),
    ("networkValidator.connectAddr", Form::Address),
    ("networkValidator.listenAddr", Form::Address),
];

/// What containers ask for and may have; that a limit is no less than the request is a rule
/// of the chart.
const RESOURCES: [&str; 4] = [
    "proxy.resources",
    "destinationResources",
    "identityResources",
    "proxyInjectorResources",
];
const PORTS: [&str; 4] = ["admin", "control", "inbound", "outbound"];
const LEVELS: [&str; 8] = [
    "panic", "fatal", "error", "warn", "warning", "info", "debug", "trace",
];

/// What is wrong with values, each with its path and what was expected.
pub(super) fn problems(values: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut check = |path: &str, form: Form| {
        if let Some(text) = text(at(values, path))
            && let Err(reason) = form.check(&text)
        {
            problems.push(format!("{path} ({text:?}): {reason}"));
        }
    };
    for (path, form) in FORMS {
        check(path, *form);
    }
    for resources in RESOURCES {
        for name in ["cpu", "memory", "ephemeral-storage"] {
            for amount in ["request", "limit"] {
                let form = Form::Like("proxy-memory-request");
                check(&format!("{resources}.{name}.{amount}"), form);
            }
        }
    }
    for network in at(values, "policyController.probeNetworks")
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = network.as_str().unwrap_or_default();
        if text.is_empty() || parse_networks(text).is_err() {
            problems.push(format!(
                "policyController.probeNetworks ({text:?}): expected a network such as 10.0.0.0/8"
            ));
        }
    }
    problems.extend(shared_port(values));
    problems
}

/// Texts and what is as good as one; nothing where the chart's default counts.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A proxy cannot listen twice on one port.
fn shared_port(values: &Value) -> Option<String> {
    let port = |name: &str| at(values, &format!("proxy.ports.{name}")).as_u64();
    let mut pairs = PORTS
        .iter()
        .enumerate()
        .flat_map(|(number, one)| PORTS[..number].iter().map(move |other| (other, one)));
    let (other, one) =
        pairs.find(|(other, one)| port(one).is_some() && port(one) == port(other))?;
    let port = port(one)?;
    Some(format!(
        "proxy.ports: {other} and {one} are both {port}; expected a port of its own for each"
    ))
}

impl Form {
    /// That a text is of the form.
    ///
    /// # Errors
    /// What is wrong, or was expected.
    fn check(self, text: &str) -> Result<(), String> {
        let expect = |is_good: bool, what: &str| match is_good {
            true => Ok(()),
            false => Err(format!("expected {what}")),
        };
        match self {
            Form::Filter => log_filter(text).map(drop),
            Form::Domain => domain(text).map(drop).map_err(str::to_owned),
            Form::Duration => duration(text).map(drop).map_err(str::to_owned),
            Form::Lease => lease_duration(text).map(drop).map_err(str::to_owned),
            _ if text.is_empty() => Ok(()),
            Form::Level => expect(
                LEVELS.contains(&text),
                "panic, fatal, error, warn, info, debug or trace",
            ),
            Form::Delay => expect(
                is_delay(text),
                "a whole number with one of ms, s, m, h and d, such as 90s: proxies read no other \
                 duration",
            ),
            Form::Address => expect(
                text.parse::<SocketAddr>().is_ok(),
                "IP:PORT, such as 1.1.1.1:20001",
            ),
            Form::Endpoint => expect(
                text.parse::<ApiAddr>().is_ok(),
                "HOST:PORT, such as collector.tracing:4317",
            ),
            Form::Like(name) => {
                let read = setting(name).check(text);
                read.map_err(|expected| format!("expected {expected}"))
            }
        }
    }
}

/// What the proxy reads as a duration (identity-injector.md section 7).
fn is_delay(text: &str) -> bool {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    number.parse::<u64>().is_ok_and(|number| {
        let is_none = number == 0 && unit.is_empty();
        is_none || matches!(unit, "ms" | "s" | "m" | "h" | "d")
    })
}

#[cfg(test)]
mod tests {
    use super::{super::values::put, *};
    use ferrule_charts::embedded;

    fn chart() -> Value {
        let text = embedded::text("ferrule-control-plane/values.yaml").unwrap();
        let mut values: Value = serde_yaml::from_str(text).unwrap();
        // As the chart writes it out.
        put(&mut values, "identityTrustDomain", "cluster.local".into());
        values
    }

    #[test]
    fn the_charts_own_values_are_of_their_forms_and_all_are_there() {
        let chart = chart();
        assert_eq!(problems(&chart), [""; 0]);
        for (path, _) in FORMS {
            assert!(text(at(&chart, path)).is_some(), "{path}");
        }
        for path in RESOURCES {
            assert!(at(&chart, path).is_object(), "{path}");
        }
        assert!(at(&chart, "policyController.probeNetworks").is_array());
        assert_eq!(
            at(&chart, "proxy.ports").as_object().unwrap().len(),
            PORTS.len()
        );
    }

    #[test]
    fn what_would_not_be_understood_is_told_by_its_path_and_what_was_expected() {
        for (path, value, expected) in [
            ("clusterDomain", "cluster..local", "a DNS name"),
            ("identityTrustDomain", "Corp.test", "a DNS name"),
            ("controllerLogLevel", "loud", "a level such as info"),
            (
                "proxy.logLevel",
                "warn,linkerd=debgu",
                "a level such as info",
            ),
            ("leaseDuration", "2s", "at least 3s"),
            ("leaseDuration", "3500ms", "whole seconds"),
            ("drain.delay", "", "a duration such as"),
            (
                "identity.issuer.issuanceLifetime",
                "1d",
                "a duration such as",
            ),
            ("webhookTLS.certLifetime", "90 days", "a duration such as"),
            ("proxy.outboundConnectTimeout", "1m30s", "such as 90s"),
            ("proxy.control.streams.idleTimeout", "5", "such as 90s"),
            ("proxy.shutdownGracePeriod", "1.5s", "such as 90s"),
            ("proxy.tracing.collector.endpoint", "collector", "HOST:PORT"),
            ("proxy.opaquePorts", "25,mysql", "ports and ranges"),
            ("proxyInit.ignoreInboundPorts", "80-70", "ports and ranges"),
            ("proxyInit.skipSubnets", "10.0.0.0", "networks with commas"),
            ("proxyInit.logLevel", "quiet", "panic, fatal"),
            ("networkValidator.connectAddr", "example.com:80", "IP:PORT"),
            ("identityResources.memory.limit", "lots", "a quantity"),
            ("proxy.resources.cpu.request", "-1", "a quantity"),
        ] {
            let mut values = chart();
            put(&mut values, path, value.into());
            let told = problems(&values);
            let start = format!("{path} ({value:?}): ");
            assert!(
                told.len() == 1 && told[0].starts_with(&start) && told[0].contains(expected),
                "{path}: {told:?}"
            );
        }
    }

    #[test]
    fn what_is_understood_is_let_pass() {
        for (path, value) in [
            ("controllerLogLevel", Value::from("info,kube=debug")),
            ("proxy.logLevel", "warn,linkerd=info,[{headers}]=off".into()),
            ("proxy.opaquePorts", 3306.into()),
            ("proxy.shutdownGracePeriod", "2m".into()),
            ("proxy.control.streams.lifetime", "".into()),
            ("proxyInit.skipSubnets", "10.0.0.0/8,fd00::/8".into()),
            ("networkValidator.listenAddr", "[::]:4140".into()),
            ("destinationResources.cpu.limit", 2.into()),
            ("leaseDuration", Value::Null),
        ] {
            let mut values = chart();
            put(&mut values, path, value.clone());
            assert_eq!(problems(&values), [""; 0], "{path}: {value}");
        }
    }

    #[test]
    fn networks_and_ports_are_looked_at_together() {
        let mut values = chart();
        let networks = serde_json::json!(["10.0.0.0/8", "10.0.0.0/33"]);
        put(&mut values, "policyController.probeNetworks", networks);
        put(&mut values, "proxy.ports.admin", 4190.into());
        let told = problems(&values);
        assert!(
            told.len() == 2 && told[0].contains("10.0.0.0/33"),
            "{told:?}"
        );
        assert!(
            told[1].contains("admin and control are both 4190"),
            "{told:?}"
        );
    }
}
