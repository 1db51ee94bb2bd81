//! `ferrule serve` as people, kubelets and API servers meet it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ferrule;
mod serve;
mod webhooks;
