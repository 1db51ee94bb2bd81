//! What puts proxies into pods: an object that is being created goes in, a decision
//! and a JSON patch come out.
//!
//! ```text
//!  values ──┐
//!           ├─> Settings ──> environment, containers, volumes ──> JSON patch
//!  annotations of the pod,       ▲
//!  its namespace  ───────────────┘  one table: annotations/table.rs
//! ```
//!
//! [`Injector`] is a function without I/O. It reads of an object only what it must
//! and only adds to it, so that fields of newer Kubernetes survive. What cannot be
//! read of an annotation is a [`Warning`], and the default counts.
//!
//! ```
//! use ferrule_proxy_injector::{Injector, Namespace, TrustAnchors, Values};
//! use serde_json::json;
//!
//! let injector = Injector {
//!     values: Values::default(),
//!     trust_anchors: TrustAnchors::new("-----BEGIN CERTIFICATE-----"),
//!     control_plane_namespace: "linkerd".into(),
//!     created_by: "ferrule/proxy-injector 1.0.0".into(),
//! };
//! let shop = Namespace {
//!     name: "shop".into(),
//!     annotations: [("linkerd.io/inject".into(), "enabled".into())].into(),
//! };
//! let mut pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web"}]}});
//! let decision = injector.review("Pod", &pod, &shop, None)?;
//! assert!(decision.is_injected());
//! json_patch::patch(&mut pod, &decision.patch.expect("it is injected"))?;
//! assert_eq!(pod["spec"]["initContainers"][1]["name"], "linkerd-proxy");
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod anchors;
mod annotations;
mod container;
mod environment;
mod error;
mod init;
mod injector;
mod namespace;
mod opaque_ports;
mod owner;
mod patch;
mod settings;
mod sidecar;
mod skip;
mod uninject;
pub mod values;
mod volumes;
mod warning;
mod workload;

pub use self::{
    anchors::TrustAnchors,
    annotations::{
        INJECT, OPAQUE_PORTS, Setting, inherited_keys, is_read, nearest, reference, setting,
    },
    error::Error,
    injector::{Decision, Injector, manifest_reasons},
    namespace::Namespace,
    owner::{DirectOwner, Owner, OwnerReference},
    skip::{AnnotationAt, SkipReason},
    uninject::uninject,
    values::{Values, ValuesError, ValuesProblem},
    warning::Warning,
    workload::WorkloadKind,
};

/// The proxy's container.
pub const PROXY_CONTAINER: &str = "linkerd-proxy";
/// The container that redirects traffic.
pub const INIT_CONTAINER: &str = "linkerd-init";
/// The container that checks that traffic is redirected.
pub const VALIDATOR_CONTAINER: &str = "linkerd-network-validator";
/// The container with tools.
pub const DEBUG_CONTAINER: &str = "linkerd-debug";
