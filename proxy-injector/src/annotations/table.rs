//! Every annotation that shapes injection, in the order in which the reference page
//! has them (identity-injector.md section 8.2).

use super::{
    Annotation, Place,
    reader::Reader::{
        Boolean, Doubted, Elsewhere, Environment, Id, Milliseconds, Policy, Port, Quantity, Ratio,
        Seconds, Switch, Text, WholeSeconds,
    },
    text,
};
use ferrule_cluster::object::DEFAULT_OPAQUE_PORTS;

const PORTS: &str = "ports and ranges such as 25,9000-9100";
const NETWORKS: &str = "networks with commas between them, such as 10.0.0.0/8,fd00::/8";
const PULL_POLICIES: &str = "Always, IfNotPresent or Never";

/// Whether injection is asked for.
pub const INJECT: &str = "linkerd.io/inject";
/// The ports on which the protocol is not detected.
pub const OPAQUE_PORTS: &str = "config.linkerd.io/opaque-ports";
const NATIVE: &str = "config.linkerd.io/proxy-enable-native-sidecar";
const NATIVE_BETA: &str = "config.beta.linkerd.io/proxy-enable-native-sidecar";

/// What most rows have.
const ROW: Annotation = Annotation {
    key: "",
    place: Place::PodAndNamespace,
    default: "",
    effect: "",
    reader: Text(|_, _| {}),
    unless: &[],
};

/// Every annotation.
pub(super) const ANNOTATIONS: &[Annotation] = &[
    Annotation {
        key: INJECT,
        effect: "Whether pods get a proxy; `ingress` also puts it into ingress mode.",
        reader: Elsewhere("enabled, disabled or ingress", |to, text| {
            to.values.proxy.ingress |= text == "ingress";
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-image",
        default: "cr.l5d.io/linkerd/proxy",
        effect: "Image of the proxy, its init container and the network validator, without a tag.",
        reader: Text(|to, text| to.values.proxy.image.name = text.into()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-version",
        effect: "Tag of that image. The control plane's where not set.",
        reader: Text(|to, text| to.values.proxy.image.version = text.into()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/image-pull-policy",
        default: "IfNotPresent",
        effect: "When that image is pulled.",
        reader: Doubted(PULL_POLICIES, is_pull_policy, |to, text| {
            to.values.proxy.image.pull_policy = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/enable-debug-sidecar",
        default: "false",
        effect: "Adds a container with tools to look at the pod's network.",
        reader: Boolean(|to, flag| to.debug = flag),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/debug-image",
        place: Place::Pod,
        default: "cr.l5d.io/linkerd/debug",
        effect: "Image of the debug container, without a tag.",
        reader: Text(|to, text| to.values.debug_image.name = text.into()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/debug-image-version",
        place: Place::Pod,
        effect: "Tag of that image. The control plane's where not set.",
        reader: Text(|to, text| to.values.debug_image.version = text.into()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/debug-image-pull-policy",
        place: Place::Pod,
        default: "IfNotPresent",
        effect: "When that image is pulled.",
        reader: Doubted(PULL_POLICIES, is_pull_policy, |to, text| {
            to.values.debug_image.pull_policy = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/admin-port",
        default: "4191",
        effect: "Port of the proxy's probes and metrics.",
        reader: Port(|to, port| to.values.proxy.ports.admin = port),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/control-port",
        default: "4190",
        effect: "Port on which the proxy can be tapped.",
        reader: Port(|to, port| to.values.proxy.ports.control = port),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/inbound-port",
        default: "4143",
        effect: "Port to which what comes in is redirected. Fixed by the plugin where there is one.",
        reader: Port(|to, port| to.values.proxy.ports.inbound = port),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/outbound-port",
        default: "4140",
        effect: "Port to which what goes out is redirected. Fixed by the plugin where there is one.",
        reader: Port(|to, port| to.values.proxy.ports.outbound = port),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/pod-inbound-ports",
        effect: "Ports whose policy the proxy asks for as it starts, instead of those that the \
                 pod's containers and HTTP probes name.",
        reader: Doubted(PORTS, text::is_port_list, |to, text| {
            to.inbound_ports = Some(text.into());
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/skip-inbound-ports",
        default: "4567,4568",
        effect: "Ports on which what comes in passes by the proxy. Replaces the default.",
        reader: Doubted(PORTS, text::is_port_list, |to, text| {
            to.values.proxy_init.ignore_inbound_ports = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/skip-outbound-ports",
        default: "4567,4568",
        effect: "Ports to which what goes out passes by the proxy. Replaces the default.",
        reader: Doubted(PORTS, text::is_port_list, |to, text| {
            to.values.proxy_init.ignore_outbound_ports = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/skip-subnets",
        effect: "Networks from and to which traffic passes by the proxy.",
        reader: Doubted(NETWORKS, is_network_list_or_empty, |to, text| {
            to.values.proxy_init.skip_subnets = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: OPAQUE_PORTS,
        place: Place::ServiceToo,
        default: DEFAULT_OPAQUE_PORTS,
        effect: "Ports on which the proxy does not look for a protocol. On pods also by the name \
                 of a container's port; an empty text means none.",
        reader: Elsewhere(
            "ports, ranges and names of the pod's ports, such as 25,9000-9100,mysql",
            |to, text| to.opaque_ports = Some(text.into()),
        ),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-require-identity-inbound-ports",
        effect: "Ports on which only clients of the mesh are let in.",
        reader: Doubted(PORTS, text::is_port_list, |to, text| {
            to.values.proxy.require_identity_ports = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/default-inbound-policy",
        default: "all-unauthenticated",
        effect: "Who may call a port of which no policy says who may.",
        reader: Policy(|to, policy| to.values.proxy.default_inbound_policy = policy.to_string()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-cpu-request",
        effect: "CPU that the proxy asks for; rounded up, also its least number of worker threads.",
        reader: Quantity(|to, text, cores| {
            to.values.proxy.resources.cpu.request = text.into();
            to.values.proxy.workers.minimum = cores;
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-cpu-limit",
        effect: "CPU that the proxy may use; rounded up, also its greatest number of worker threads.",
        reader: Quantity(|to, text, cores| {
            to.values.proxy.resources.cpu.limit = text.into();
            to.values.proxy.workers.maximum = (cores != 0).then_some(cores);
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-cpu-ratio-limit",
        place: Place::Pod,
        effect: "Greatest number of worker threads as a share of the node's CPUs.",
        reader: Ratio(|to, ratio| to.values.proxy.workers.maximum_cpu_ratio = ratio.to_string()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-memory-request",
        effect: "Memory that the proxy asks for.",
        reader: Quantity(|to, text, _| to.values.proxy.resources.memory.request = text.into()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-memory-limit",
        effect: "Memory that the proxy may use.",
        reader: Quantity(|to, text, _| to.values.proxy.resources.memory.limit = text.into()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-ephemeral-storage-request",
        effect: "Ephemeral storage that the proxy asks for.",
        reader: Quantity(|to, text, _| {
            to.values.proxy.resources.ephemeral_storage.request = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-ephemeral-storage-limit",
        effect: "Ephemeral storage that the proxy may use.",
        reader: Quantity(|to, text, _| {
            to.values.proxy.resources.ephemeral_storage.limit = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-uid",
        default: "2102",
        effect: "User that the proxy runs as, whose traffic is not redirected.",
        reader: Id(|to, id| to.values.proxy.uid = id),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-gid",
        default: "-1",
        effect: "Group that the proxy runs as; the image's where negative.",
        reader: Id(|to, id| to.values.proxy.gid = id),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-log-level",
        default: "warn,linkerd=info,hickory=error",
        effect: "What the proxy logs, as a filter of tracing.",
        reader: Text(|to, text| to.values.proxy.log_level = text.into()),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-log-format",
        default: "plain",
        effect: "How the proxy logs.",
        reader: Doubted(
            "plain or json",
            |text| matches!(text, "plain" | "json"),
            |to, text| {
                to.values.proxy.log_format = text.into();
            },
        ),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-log-http-headers",
        default: "off",
        effect: "Whether requests' headers may be in the proxy's log. A pod with another text is \
                 refused.",
        reader: Elsewhere("off, insecure or nothing", |to, text| {
            to.values.proxy.log_http_headers = text.into();
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/access-log",
        effect: "Format of the proxy's access log; there is none where not set.",
        reader: Doubted(
            "apache, json or nothing",
            |text| matches!(text, "" | "apache" | "json"),
            |to, text| to.values.proxy.access_log = text.into(),
        ),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-admin-shutdown",
        default: "disabled",
        effect: "Whether a container of the pod may end the proxy by POST to its /shutdown.",
        reader: Switch(|to, flag| to.values.proxy.shutdown_endpoint = flag),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-await",
        default: "enabled",
        effect: "Whether the pod's containers start when the proxy is ready, not before.",
        reader: Switch(|to, flag| to.values.proxy.await_ready = flag),
        ..ROW
    },
    Annotation {
        key: NATIVE,
        default: "true",
        effect: "Whether the proxy is an init container that goes on running, or a regular one.",
        reader: Boolean(|to, flag| to.values.proxy.native_sidecar = flag),
        ..ROW
    },
    Annotation {
        key: NATIVE_BETA,
        place: Place::Pod,
        default: "true",
        effect: "Older form.",
        reader: Boolean(|to, flag| to.values.proxy.native_sidecar = flag),
        unless: &[NATIVE],
    },
    Annotation {
        key: "config.alpha.linkerd.io/proxy-enable-native-sidecar",
        default: "true",
        effect: "Oldest form.",
        reader: Boolean(|to, flag| to.values.proxy.native_sidecar = flag),
        unless: &[NATIVE, NATIVE_BETA],
        ..ROW
    },
    Annotation {
        key: "config.alpha.linkerd.io/proxy-wait-before-exit-seconds",
        default: "0",
        effect: "How long the proxy goes on when the pod is to end, where it is a regular \
                 container; a native sidecar ends after the others anyway.",
        reader: Seconds(|to, seconds| to.values.proxy.wait_before_exit_seconds = seconds),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/shutdown-grace-period",
        effect: "How long the proxy drains connections when it ends; two minutes where not set.",
        reader: Milliseconds(|to, text| to.values.proxy.shutdown_grace_period = text),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-outbound-connect-timeout",
        default: "1000ms",
        effect: "How long the proxy tries to connect to an endpoint.",
        reader: Milliseconds(|to, text| to.values.proxy.outbound_connect_timeout = text),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-inbound-connect-timeout",
        default: "100ms",
        effect: "How long the proxy tries to connect to the pod's own container.",
        reader: Milliseconds(|to, text| to.values.proxy.inbound_connect_timeout = text),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-outbound-discovery-cache-unused-timeout",
        default: "5s",
        effect: "How long the proxy keeps what it knows of a destination that is not called, in \
                 whole seconds.",
        reader: WholeSeconds(|to, seconds| {
            to.values.proxy.outbound_discovery_timeout = format!("{seconds}s");
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-inbound-discovery-cache-unused-timeout",
        default: "90s",
        effect: "How long the proxy keeps the policy of a port that is not called, in whole seconds.",
        reader: WholeSeconds(|to, seconds| {
            to.values.proxy.inbound_discovery_timeout = format!("{seconds}s");
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-disable-outbound-protocol-detect-timeout",
        default: "false",
        effect: "Whether the proxy waits without end for a client to speak first.",
        reader: Boolean(|to, flag| to.values.proxy.no_outbound_detect_timeout = flag),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-disable-inbound-protocol-detect-timeout",
        default: "false",
        effect: "The same for what comes in.",
        reader: Boolean(|to, flag| to.values.proxy.no_inbound_detect_timeout = flag),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-metrics-hostname-labels",
        default: "false",
        effect: "Whether outbound metrics have the host name as a label.",
        reader: Boolean(|to, flag| to.values.proxy.hostname_labels = flag),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/enable-external-profiles",
        default: "false",
        effect: "Whether the proxy asks for profiles of names outside of the cluster.",
        reader: Boolean(|to, flag| to.values.proxy.external_profiles = flag),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/enable-gateway",
        place: Place::Pod,
        default: "false",
        effect: "Whether the proxy passes on requests of other clusters.",
        reader: Boolean(|to, flag| to.values.proxy.gateway = flag),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/close-wait-timeout",
        place: Place::Pod,
        default: "0",
        effect: "How long the kernel keeps connections in CLOSE_WAIT, in whole seconds. The init \
                 container is then privileged: a pod is refused unless `proxyInit.runAsRoot` is \
                 set. Not with the CNI plugin.",
        reader: WholeSeconds(|to, seconds| {
            to.values.proxy_init.close_wait_timeout_seconds = seconds;
        }),
        ..ROW
    },
    Annotation {
        key: "config.linkerd.io/proxy-additional-env",
        effect: "More environment variables of the proxy. Those of the values, the namespace and \
                 the pod are merged by name.",
        reader: Environment,
        ..ROW
    },
];

/// Keys of former times, which nothing is said about.
pub(super) const RETIRED: &[&str] = &[
    "config.linkerd.io/init-image",
    "config.linkerd.io/init-image-version",
    "config.linkerd.io/disable-identity",
    "config.linkerd.io/disable-tap",
    "config.linkerd.io/disable-external-profiles",
    "config.linkerd.io/trace-collector",
    "config.linkerd.io/metrics-port",
    "config.linkerd.io/debug",
    "config.linkerd.io/proxy-destination-get-networks",
    "config.linkerd.io/proxy-inbound-protocol-detect-timeout",
    "config.linkerd.io/proxy-outbound-protocol-detect-timeout",
    "config.alpha.linkerd.io/trace-collector-service-account",
];

fn is_pull_policy(text: &str) -> bool {
    matches!(text, "Always" | "IfNotPresent" | "Never")
}

fn is_network_list_or_empty(text: &str) -> bool {
    text.is_empty() || text::is_network_list(text)
}
