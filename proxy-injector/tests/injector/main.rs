//! The scenarios of identity-injector.md sections 11.3 and 11.4, by their numbers;
//! whole patched pods; and what holds for any pod.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod decisions;
mod environment;
mod kubelet;
mod manifests;
mod opaque_ports;
mod properties;
mod rendering;
mod settings;
mod snapshots;
mod startable;
mod support;
