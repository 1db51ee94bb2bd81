//! Whether a pod gets a proxy (identity-injector.md section 6.6).

use crate::{
    Namespace, Values,
    annotations::{Annotations, INJECT},
    workload::{Container, PodSpec},
};
use std::fmt;

/// Why a pod gets no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// It shares the network of its node: redirecting there would take the node's.
    HostNetwork,
    /// A sidecar of a mesh is in it already.
    SidecarExists,
    /// There is no pod template in the object.
    UnsupportedResource,
    /// Nobody asks for it.
    InjectEnableAbsent,
    /// The pod asks not to.
    InjectDisabled,
    /// The namespace's `linkerd.io/inject` is nothing known.
    InvalidInjectAtNamespace,
    /// The pod's `linkerd.io/inject` is nothing known.
    InvalidInjectAtWorkload,
    /// The proxy would have no token to be certified with.
    NoServiceAccountToken,
    /// A port speaks UDP, which no proxy handles. Only a warning of the command line.
    UdpPorts,
}

impl SkipReason {
    /// The name in metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::HostNetwork => "host_network_enabled",
            Self::SidecarExists => "sidecar_already_exists",
            Self::UnsupportedResource => "unsupported_resource",
            Self::InjectEnableAbsent => "injection_enable_annotation_absent",
            Self::InjectDisabled => "injection_disable_annotation_present",
            Self::InvalidInjectAtNamespace => "invalid_inject_annotation_at_ns",
            Self::InvalidInjectAtWorkload => "invalid_inject_annotation_at_workload",
            Self::NoServiceAccountToken => "disabled_automount_service_account_token_account",
            Self::UdpPorts => "udp_ports_enabled",
        }
    }

    /// What people are told.
    pub const fn text(self) -> &'static str {
        match self {
            Self::HostNetwork => "hostNetwork is enabled",
            Self::SidecarExists => "pod has a sidecar injected already",
            Self::UnsupportedResource => "this resource kind is unsupported",
            Self::InjectEnableAbsent => {
                "neither the namespace nor the pod have the annotation \"linkerd.io/inject:enabled\""
            }
            Self::InjectDisabled => "pod has the annotation \"linkerd.io/inject:disabled\"",
            Self::InvalidInjectAtNamespace => {
                "invalid value for annotation \"linkerd.io/inject\" at namespace"
            }
            Self::InvalidInjectAtWorkload => {
                "invalid value for annotation \"linkerd.io/inject\" at workload"
            }
            Self::NoServiceAccountToken => {
                "automountServiceAccountToken set to \"false\", with \
                 Values.identity.serviceAccountTokenProjection set to \"false\""
            }
            Self::UdpPorts => "UDP port(s) configured on pod spec",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Whose annotation decided that a pod is to have a proxy, or is not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnnotationAt {
    /// The namespace's.
    Namespace,
    /// The pod's.
    Workload,
}

impl AnnotationAt {
    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Workload => "workload",
        }
    }
}

/// What `linkerd.io/inject` says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Absent, or empty.
    Nothing,
    /// `enabled` or `ingress`.
    Yes,
    /// `disabled`.
    No,
    /// Anything else.
    Invalid,
}

impl Asked {
    fn of(annotations: &Annotations) -> Self {
        match annotations.get(INJECT).map_or("", String::as_str) {
            "" => Self::Nothing,
            "enabled" | "ingress" => Self::Yes,
            "disabled" => Self::No,
            _ => Self::Invalid,
        }
    }
}

/// Whether injection is asked for, and by whose annotation: a truth table. What is
/// invalid at the namespace disables even pods that ask for it.
pub(crate) fn asked(
    pod: &Annotations,
    namespace: &Namespace,
) -> (Option<SkipReason>, Option<AnnotationAt>) {
    match (Asked::of(&namespace.annotations), Asked::of(pod)) {
        (Asked::Invalid, _) => (Some(SkipReason::InvalidInjectAtNamespace), None),
        (_, Asked::Invalid) => (Some(SkipReason::InvalidInjectAtWorkload), None),
        (Asked::Yes, Asked::No) => (
            Some(SkipReason::InjectDisabled),
            Some(AnnotationAt::Workload),
        ),
        (Asked::Yes, Asked::Nothing | Asked::Yes) => (None, Some(AnnotationAt::Namespace)),
        (_, Asked::Yes) => (None, Some(AnnotationAt::Workload)),
        (_, Asked::Nothing | Asked::No) => (Some(SkipReason::InjectEnableAbsent), None),
    }
}

/// The reasons in the pod itself that come before what annotations say.
pub(crate) fn in_pod(spec: &PodSpec) -> impl Iterator<Item = SkipReason> {
    let network = spec.host_network.then_some(SkipReason::HostNetwork);
    let sidecar = has_sidecar(spec).then_some(SkipReason::SidecarExists);
    network.into_iter().chain(sidecar)
}

/// Whether the proxy would have no token. The service account's own has been mounted
/// by the time that a webhook sees a pod (`mounted`); a manifest has no mount yet.
pub(crate) fn token(spec: &PodSpec, values: &Values, mounted: bool) -> Option<SkipReason> {
    if values.token_projection {
        return None;
    }
    let disabled = spec.automount_service_account_token == Some(false);
    let missing = mounted && spec.service_account_mount().is_none();
    (disabled || missing).then_some(SkipReason::NoServiceAccountToken)
}

/// Whether a port of the pod speaks UDP.
pub(crate) fn udp(spec: &PodSpec) -> Option<SkipReason> {
    let udp = spec.ports().any(|port| port.protocol == "UDP");
    udp.then_some(SkipReason::UdpPorts)
}

/// Whether there is a sidecar of this mesh or of Istio (section 6.6.1). Init
/// containers are looked at too: native sidecars are there.
fn has_sidecar(spec: &PodSpec) -> bool {
    let proxy = |container: &Container| {
        matches!(&*container.name, "linkerd-proxy" | "istio-proxy")
            || container.image.starts_with("cr.l5d.io/linkerd/proxy:")
            || container.image.starts_with("gcr.io/istio-release/proxyv2:")
    };
    let init = |container: &Container| {
        matches!(&*container.name, "linkerd-init" | "istio-init")
            || container.image.starts_with("cr.l5d.io/linkerd/proxy-init:")
            || container
                .image
                .starts_with("gcr.io/istio-release/proxy_init:")
    };
    spec.all_containers().any(proxy) || spec.init_containers.iter().any(init)
}
