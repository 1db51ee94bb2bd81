//! The certificate authority as a whole: tokens, files, state, the service. `s12_...`
//! is scenario 12 of identity-injector.md 11.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod fuzz;
mod keys;
mod mutations;
mod pipeline;
mod reload;
mod server;
mod state;
mod support;
mod tokens;
