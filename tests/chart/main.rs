//! The charts: what Helm renders, what a real API server makes of it, and that the
//! roles of the built binary can work with the rights that the chart gives them, and
//! have no others.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod availability;
mod brought;
mod cases;
mod checked;
mod defaults;
mod helm;
mod installation;
mod metadata;
mod monitoring;
mod owners;
mod processes;
mod rendering;
mod roles;
mod running;
mod takeover;
mod unknown;
mod walk;
