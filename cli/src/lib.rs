//! The parts of the `ferrule` command line that talk to a running Ferrule.
//!
//! [`Diagnostics`] asks it what a proxy would be told, over the same gRPC calls
//! a proxy makes, and prints the answer for people or for programs.
#![forbid(unsafe_code)]

mod api;
mod diagnostics;
mod endpoint;
mod endpoint_set;
mod endpoints;
mod error;
mod follow;
mod output;
mod profile;
mod profile_fields;

pub use self::{
    diagnostics::Diagnostics,
    error::{Error, Refusal},
};
