use crate::authority::ServiceName;
use ferrule_cluster::object::{DEFAULT_OPAQUE_PORTS, ObjectKey, PortSet};
use ferrule_proto::destination::{Http2ClientParams, http2_client_params as params};
use serde::Deserialize;
use std::time::Duration;

/// What holds for the whole mesh, as answers about destinations need it. The
/// defaults are the chart's.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// Where the control plane is; only its own pods have a TLS identity.
    pub control_plane_namespace: String,
    /// The suffix of identities.
    pub trust_domain: String,
    /// The suffix of Services' names.
    pub cluster_domain: String,
    /// Ports that are opaque where no annotation says which are.
    pub default_opaque_ports: PortSet,
    /// Every meshed endpoint is dialled by its proxy's inbound port with a
    /// transport header, not only those on opaque ports.
    pub transport_header: bool,
    /// HTTP/1 between proxies is carried over HTTP/2.
    pub h2_upgrade: bool,
    /// IPv6 endpoints are told, and preferred where a pod has both.
    pub ipv6: bool,
    /// HTTP/2 client settings for meshed endpoints.
    pub http2: Option<Http2ClientParams>,
    /// Endpoints in the client's zone weigh ten times as much (experimental).
    pub zone_weights: bool,
}

impl Mesh {
    /// The Service of this fully qualified name: what a ServiceProfile is about.
    pub(crate) fn service_named(&self, name: &str) -> Option<ObjectKey> {
        let name = ServiceName::parse(name, &self.cluster_domain).ok()?;
        name.hostname.is_none().then_some(name.service)
    }
}

/// The chart's default for HTTP/2 client settings of meshed endpoints.
pub const DEFAULT_HTTP2_PARAMS: &str =
    r#"{"keep_alive":{"interval":{"seconds":10},"timeout":{"seconds":3},"while_idle":true}}"#;

impl Default for Mesh {
    fn default() -> Self {
        let (default_opaque_ports, _) = PortSet::parse(DEFAULT_OPAQUE_PORTS, |_| None);
        Self {
            control_plane_namespace: "linkerd".into(),
            trust_domain: "cluster.local".into(),
            cluster_domain: "cluster.local".into(),
            default_opaque_ports,
            transport_header: true,
            h2_upgrade: true,
            ipv6: false,
            http2: parse_http2_params(DEFAULT_HTTP2_PARAMS).expect("a literal"),
            zone_weights: false,
        }
    }
}

/// Reads `Http2ClientParams` from JSON: field names in snake case, durations as
/// `{"seconds": 10, "nanos": 0}`, unknown keys ignored; an empty text is none.
///
/// # Errors
/// What the JSON parser says.
pub fn parse_http2_params(json: &str) -> Result<Option<Http2ClientParams>, serde_json::Error> {
    if json.trim().is_empty() {
        return Ok(None);
    }
    serde_json::from_str::<Http2Json>(json).map(|parsed| Some(parsed.into()))
}

#[derive(Deserialize)]
struct Http2Json {
    flow_control: Option<FlowControlJson>,
    keep_alive: Option<KeepAliveJson>,
    internals: Option<InternalsJson>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct FlowControlJson {
    initial_connection_window_size: u32,
    initial_stream_window_size: u32,
    adaptive_flow_control: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeepAliveJson {
    interval: Option<DurationJson>,
    timeout: Option<DurationJson>,
    while_idle: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InternalsJson {
    max_concurrent_reset_streams: u32,
    max_frame_size: u32,
    max_send_buf_size: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DurationJson {
    seconds: i64,
    nanos: i32,
}

impl From<DurationJson> for prost_types::Duration {
    fn from(json: DurationJson) -> Self {
        Self {
            seconds: json.seconds,
            nanos: json.nanos,
        }
    }
}

impl From<Http2Json> for Http2ClientParams {
    fn from(json: Http2Json) -> Self {
        Self {
            flow_control: json.flow_control.map(|flow| params::FlowControl {
                initial_connection_window_size: flow.initial_connection_window_size,
                initial_stream_window_size: flow.initial_stream_window_size,
                adaptive_flow_control: flow.adaptive_flow_control,
            }),
            keep_alive: json.keep_alive.map(|keep_alive| params::KeepAlive {
                interval: keep_alive.interval.map(Into::into),
                timeout: keep_alive.timeout.map(Into::into),
                while_idle: keep_alive.while_idle,
            }),
            internals: json.internals.map(|internals| params::Internals {
                max_concurrent_reset_streams: internals.max_concurrent_reset_streams,
                max_frame_size: internals.max_frame_size,
                max_send_buf_size: internals.max_send_buf_size,
            }),
        }
    }
}

/// The wire's form of a duration.
pub(crate) fn duration(duration: Duration) -> prost_types::Duration {
    duration.try_into().expect("our own durations are short")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http2_params_are_snake_case_json() {
        let parsed = parse_http2_params(DEFAULT_HTTP2_PARAMS)
            .expect("valid")
            .expect("some");
        let keep_alive = parsed.keep_alive.expect("set");
        assert_eq!(keep_alive.interval, Some(duration(Duration::from_secs(10))));
        assert_eq!(keep_alive.timeout, Some(duration(Duration::from_secs(3))));
        assert!(keep_alive.while_idle);
        assert!(parse_http2_params("").expect("empty").is_none());
        assert!(parse_http2_params("{\"unknown\": 1}").is_ok());
        assert!(parse_http2_params("{").is_err());
    }
}
