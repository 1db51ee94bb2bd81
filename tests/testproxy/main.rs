//! The test proxy against a small control plane with real TLS: it must refuse
//! what a proxy refuses, or what it accepts shows nothing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod acceptance;
mod binary;
mod certify;
mod connections;
mod control_plane;
mod listener;
mod policies;
mod streams;
