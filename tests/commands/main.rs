//! Commands as people type them: the built binary, its output piped into the real kubectl,
//! and a real API server behind it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authorizations;
mod injection;
mod installing;
mod metrics;
mod names;
mod profiles;
mod rendering;
mod shell;
mod users;
