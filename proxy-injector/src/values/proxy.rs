use super::node::Node;
use ferrule_cluster::object::DEFAULT_OPAQUE_PORTS;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// `proxy`: the sidecar.
#[derive(Clone, Debug, PartialEq)]
pub struct Proxy {
    /// `image`; also that of the init container and the validator.
    pub image: Image,
    /// `logLevel`.
    pub log_level: String,
    /// `logFormat`.
    pub log_format: String,
    /// `logHTTPHeaders`: `off`, `insecure` or empty.
    pub log_http_headers: String,
    /// `ports`.
    pub ports: Ports,
    /// `resources`.
    pub resources: Resources,
    /// `runtime.workers`.
    pub workers: Workers,
    /// `cores`, the older form of the worker count; beats `runtime.workers`.
    pub cores: Option<u64>,
    /// `uid`.
    pub uid: i64,
    /// `gid`; none where negative.
    pub gid: i64,
    /// `securityContext`: replaces the whole of it where not empty.
    pub security_context: Map<String, Value>,
    /// `await`: containers start when the proxy is ready.
    pub await_ready: bool,
    /// `nativeSidecar`: an init container that goes on running.
    pub native_sidecar: bool,
    /// `waitBeforeExitSeconds`, where the proxy is a regular container.
    pub wait_before_exit_seconds: u64,
    /// `shutdownGracePeriod`; empty for the proxy's default of two minutes.
    pub shutdown_grace_period: String,
    /// `enableShutdownEndpoint`.
    pub shutdown_endpoint: bool,
    /// `defaultInboundPolicy`.
    pub default_inbound_policy: String,
    /// `opaquePorts`: numbers and ranges with commas between them.
    pub opaque_ports: String,
    /// `requireIdentityOnInboundPorts`.
    pub require_identity_ports: String,
    /// `requireTLSOnInboundPorts`.
    pub require_tls_ports: String,
    /// `inboundConnectTimeout`.
    pub inbound_connect_timeout: String,
    /// `outboundConnectTimeout`.
    pub outbound_connect_timeout: String,
    /// `inboundDiscoveryCacheUnusedTimeout`.
    pub inbound_discovery_timeout: String,
    /// `outboundDiscoveryCacheUnusedTimeout`.
    pub outbound_discovery_timeout: String,
    /// `disableInboundProtocolDetectTimeout`.
    pub no_inbound_detect_timeout: bool,
    /// `disableOutboundProtocolDetectTimeout`.
    pub no_outbound_detect_timeout: bool,
    /// `enableExternalProfiles`.
    pub external_profiles: bool,
    /// `accessLog`; empty for none.
    pub access_log: String,
    /// `isGateway`.
    pub gateway: bool,
    /// `isIngress`.
    pub ingress: bool,
    /// `metrics.hostnameLabels`.
    pub hostname_labels: bool,
    /// `control.streams`.
    pub control_streams: ControlStreams,
    /// `inbound`: scope, protocol, parameter.
    pub inbound: Map<String, Value>,
    /// `outbound`: scope, protocol, parameter.
    pub outbound: Map<String, Value>,
    /// `tracing`, where it is enabled.
    pub tracing: Option<Tracing>,
    /// `livenessProbe`.
    pub liveness: Probe,
    /// `readinessProbe`.
    pub readiness: Probe,
    /// `startupProbe`.
    pub startup: Probe,
    /// `additionalEnv`: environment variables as they go into a container.
    pub additional_env: Vec<Value>,
    /// `experimentalEnv`.
    pub experimental_env: Vec<Value>,
}

/// A container's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// `name`, with its registry.
    pub name: String,
    /// `version`: the tag; empty for the control plane's.
    pub version: String,
    /// `pullPolicy`; empty for the general one.
    pub pull_policy: String,
}

/// Where a proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Metrics and probes.
    pub admin: u16,
    /// Tap.
    pub control: u16,
    /// What comes in.
    pub inbound: u16,
    /// What goes out.
    pub outbound: u16,
}

/// What a container asks for and may have; an empty text is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// `cpu`.
    pub cpu: Amount,
    /// `memory`.
    pub memory: Amount,
    /// `ephemeral-storage`.
    pub ephemeral_storage: Amount,
}

/// Quantities of one resource, as Kubernetes writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// `request`.
    pub request: String,
    /// `limit`.
    pub limit: String,
}

/// Worker threads of a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Workers {
    /// `minimum`.
    pub minimum: u64,
    /// `maximum`.
    pub maximum: Option<u64>,
    /// `maximumCPURatio`: a share of the node's CPUs, as a text; empty for none.
    pub maximum_cpu_ratio: String,
}

/// How long a proxy keeps a stream to the control plane; an empty text is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlStreams {
    /// `initialTimeout`.
    pub initial_timeout: String,
    /// `idleTimeout`.
    pub idle_timeout: String,
    /// `lifetime`.
    pub lifetime: String,
}

/// How proxies trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// `traceServiceName`.
    pub service_name: String,
    /// `collector`.
    pub collector: TracingCollector,
    /// `labels`: attributes of every span.
    pub labels: BTreeMap<String, String>,
}

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracingCollector {
    /// `endpoint`: `host:port`.
    pub endpoint: String,
    /// `meshIdentity.serviceAccountName`.
    pub service_account: String,
    /// `meshIdentity.namespace`.
    pub namespace: String,
}

/// When and how often a kubelet asks; `None` is Kubernetes' default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// `initialDelaySeconds`.
    pub initial_delay_seconds: Option<u64>,
    /// `periodSeconds`.
    pub period_seconds: Option<u64>,
    /// `timeoutSeconds`.
    pub timeout_seconds: Option<u64>,
    /// `failureThreshold`.
    pub failure_threshold: Option<u64>,
}

impl Proxy {
    pub(super) fn read(node: &Node<'_>) -> Self {
        let workers = node.at("runtime").at("workers");
        let ports = node.at("ports");
        let streams = node.at("control").at("streams");
        Self {
            image: Image::read(&node.at("image"), "cr.l5d.io/linkerd/proxy"),
            log_level: node.text("logLevel", "warn,linkerd=info,hickory=error"),
            log_format: node.text("logFormat", "plain"),
            log_http_headers: node.text("logHTTPHeaders", "off"),
            ports: Ports {
                admin: ports.port("admin", 4191),
                control: ports.port("control", 4190),
                inbound: ports.port("inbound", 4143),
                outbound: ports.port("outbound", 4140),
            },
            resources: Resources::read(&node.at("resources")),
            workers: Workers {
                minimum: workers.count("minimum", 1),
                maximum: workers.optional_count("maximum"),
                maximum_cpu_ratio: Some(workers.text("maximumCPURatio", ""))
                    .filter(|ratio| ratio.parse() != Ok(0.0))
                    .unwrap_or_default(),
            },
            cores: node.optional_count("cores"),
            uid: node.integer("uid", 2102),
            gid: node.integer("gid", -1),
            security_context: node.object("securityContext"),
            await_ready: node.flag("await", true),
            native_sidecar: node.flag("nativeSidecar", true),
            wait_before_exit_seconds: node.count("waitBeforeExitSeconds", 0),
            shutdown_grace_period: node.text("shutdownGracePeriod", ""),
            shutdown_endpoint: node.flag("enableShutdownEndpoint", false),
            default_inbound_policy: node.text("defaultInboundPolicy", "all-unauthenticated"),
            opaque_ports: node.text("opaquePorts", DEFAULT_OPAQUE_PORTS),
            require_identity_ports: node.text("requireIdentityOnInboundPorts", ""),
            require_tls_ports: node.text("requireTLSOnInboundPorts", ""),
            inbound_connect_timeout: node.text("inboundConnectTimeout", "100ms"),
            outbound_connect_timeout: node.text("outboundConnectTimeout", "1000ms"),
            inbound_discovery_timeout: node.text("inboundDiscoveryCacheUnusedTimeout", "90s"),
            outbound_discovery_timeout: node.text("outboundDiscoveryCacheUnusedTimeout", "5s"),
            no_inbound_detect_timeout: node.flag("disableInboundProtocolDetectTimeout", false),
            no_outbound_detect_timeout: node.flag("disableOutboundProtocolDetectTimeout", false),
            external_profiles: node.flag("enableExternalProfiles", false),
            access_log: node.text("accessLog", ""),
            gateway: node.flag("isGateway", false),
            ingress: node.flag("isIngress", false),
            hostname_labels: node.at("metrics").flag("hostnameLabels", false),
            control_streams: ControlStreams {
                initial_timeout: streams.text("initialTimeout", "3s"),
                idle_timeout: streams.text("idleTimeout", "5m"),
                lifetime: streams.text("lifetime", "1h"),
            },
            inbound: parameters(node, "inbound"),
            outbound: parameters(node, "outbound"),
            tracing: Tracing::read(&node.at("tracing")),
            liveness: Probe::read(&node.at("livenessProbe"), &Probe::after(10)),
            readiness: Probe::read(&node.at("readinessProbe"), &Probe::after(2)),
            startup: Probe::read(
                &node.at("startupProbe"),
                &Probe {
                    initial_delay_seconds: Some(0),
                    period_seconds: Some(1),
                    timeout_seconds: None,
                    failure_threshold: Some(120),
                },
            ),
            additional_env: node.named("additionalEnv"),
            experimental_env: node.named("experimentalEnv"),
        }
    }
}

impl Image {
    pub(super) fn read(node: &Node<'_>, name: &str) -> Self {
        Self {
            name: node.text("name", name),
            version: node.text("version", ""),
            pull_policy: node.text("pullPolicy", ""),
        }
    }
}

impl Resources {
    fn read(node: &Node<'_>) -> Self {
        let amount = |name| {
            let node = node.at(name);
            Amount {
                request: node.text("request", ""),
                limit: node.text("limit", ""),
            }
        };
        Self {
            cpu: amount("cpu"),
            memory: amount("memory"),
            ephemeral_storage: amount("ephemeral-storage"),
        }
    }
}

impl Tracing {
    fn read(node: &Node<'_>) -> Option<Self> {
        if !node.flag("enabled", false) {
            return None;
        }
        let collector = node.at("collector");
        let identity = collector.at("meshIdentity");
        let labels = if node.has("labels") {
            let labels = node.object("labels");
            let text = |value: Value| match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            labels
                .into_iter()
                .map(|(key, value)| (key, text(value)))
                .collect()
        } else {
            let labels = [
                ("k8s.container.name", "$(_pod_containerName)"),
                ("k8s.pod.ip", "$(_pod_ip)"),
                ("k8s.pod.uid", "$(_pod_uid)"),
            ];
            labels
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into()
        };
        Some(Self {
            service_name: node.text("traceServiceName", "linkerd-proxy"),
            collector: TracingCollector {
                endpoint: collector.text("endpoint", ""),
                service_account: identity.text("serviceAccountName", ""),
                namespace: identity.text("namespace", ""),
            },
            labels,
        })
    }
}

impl Probe {
    fn after(seconds: u64) -> Self {
        Self {
            initial_delay_seconds: Some(seconds),
            timeout_seconds: Some(1),
            ..Self::default()
        }
    }

    fn read(node: &Node<'_>, default: &Self) -> Self {
        let seconds = |key, default: Option<u64>| match default {
            Some(default) => Some(node.count(key, default)),
            None => node.optional_count(key),
        };
        Self {
            initial_delay_seconds: seconds("initialDelaySeconds", default.initial_delay_seconds),
            period_seconds: seconds("periodSeconds", default.period_seconds),
            timeout_seconds: seconds("timeoutSeconds", default.timeout_seconds),
            failure_threshold: seconds("failureThreshold", default.failure_threshold),
        }
    }
}

/// Parameters of the proxy's servers and clients in one direction. A document that
/// has a section is taken at its word.
fn parameters(node: &Node<'_>, direction: &str) -> Map<String, Value> {
    if node.has(direction) {
        return node.object(direction);
    }
    let keep_alive = json!({"keepAliveInterval": "10s", "keepAliveTimeout": "3s"});
    Map::from_iter([("server".to_owned(), json!({"http2": keep_alive}))])
}
