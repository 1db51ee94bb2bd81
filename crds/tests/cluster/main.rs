//! The definitions in a real API server: it alone evaluates CEL, fills in defaults, prunes, and
//! serves one object in several versions.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chart;
mod columns;
mod installation;
mod status;
mod support;
mod takeover;
mod validation;
mod versions;
