//! Where traces of the process' own work go.

use clap::Args;
use http::{Uri, uri::Authority};
use std::str::FromStr;

/// Where traces of the process' own work go.
#[derive(Debug, Args)]
#[command(next_help_heading = "Traces")]
pub(crate) struct TraceFlags {
    /// Send traces of the control plane's own work to this OpenTelemetry collector, by
    /// OTLP over gRPC without TLS [default: there are none]
    #[arg(long, env = "FERRULE_TRACE_COLLECTOR", value_name = "HOST:PORT")]
    pub(crate) trace_collector: Option<Collector>,

    /// Of how much work that nobody else traces: from 0 to 1. What a caller traces
    /// (header traceparent) always is
    #[arg(long, env = "FERRULE_TRACE_SAMPLE_RATIO", value_name = "RATIO", default_value = "0.1", value_parser = ratio)]
    pub(crate) trace_sample_ratio: f64,
}

/// A collector's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Collector(Authority);

impl Collector {
    /// `host:port`
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// `http://host:port`
    pub(crate) fn uri(&self) -> Uri {
        let uri = Uri::builder().scheme("http").authority(self.0.clone());
        uri.path_and_query("/").build().expect("they are parsed")
    }
}

impl FromStr for Collector {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected HOST:PORT, such as collector.tracing:4317";
        if text.starts_with("https://") {
            return Err("TLS is not spoken with a collector; expected HOST:PORT");
        }
        let text = text.strip_prefix("http://").unwrap_or(text);
        let authority: Authority = text.trim_end_matches('/').parse().map_err(|_| expected)?;
        match authority.port_u16() {
            Some(1..) if !authority.host().is_empty() => Ok(Self(authority)),
            _ => Err(expected),
        }
    }
}

fn ratio(text: &str) -> Result<f64, &'static str> {
    let ratio: Result<f64, _> = text.parse();
    match ratio {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number from 0 to 1, such as 0.1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_a_host_and_a_port() {
        for (text, host) in [
            ("collector.tracing:4317", Some("collector.tracing:4317")),
            ("http://10.0.0.1:4317/", Some("10.0.0.1:4317")),
            ("[::1]:4317", Some("[::1]:4317")),
            ("https://collector:4317", None),
            ("collector", None),
            ("collector:0", None),
            (":4317", None),
            ("collector:4317/v1/traces", None),
            ("", None),
        ] {
            let collector = text.parse::<Collector>().ok();
            assert_eq!(collector.as_ref().map(Collector::as_str), host, "{text}");
            if let Some(collector) = collector {
                assert_eq!(collector.uri().authority().map(Authority::as_str), host);
            }
        }
    }

    #[test]
    fn a_ratio_is_a_share_of_the_whole() {
        for (text, is_good) in [
            ("0", true),
            ("0.25", true),
            ("1", true),
            ("1.1", false),
            ("-0.1", false),
            ("NaN", false),
            ("all", false),
        ] {
            assert_eq!(ratio(text).is_ok(), is_good, "{text}");
        }
    }
}
