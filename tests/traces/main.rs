//! Traces of the control plane's own work, as an OpenTelemetry collector gets them from
//! the built binary on a real cluster.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod collector;
mod mesh;
mod work;
