//! `make bench`: what Ferrule costs, measured against a real API server on loopback.
//!
//! ```text
//!   driver (ferrule-bench run) ── objects, changes ──▶ kube-apiserver ──▶ ferrule serve
//!      │                                                                        ▲
//!      └── commands, reports ──▶ generator (ferrule-bench generate) ── Get, Watch, Certify
//! ```
//!
//! The driver fills a cluster, starts the server, has the generator open streams or ask for
//! certificates, and reads from /proc what the server used. The generator is a process of its
//! own. Every row has a server of its own, rows with the same objects share a cluster. Mesh TLS
//! begins with trust anchors and an issuer that the driver makes.
//!
//! Two programs share it: `ferrule-bench` measures times and memory, `ferrule-allocations` counts
//! what the hot path allocates ([`allocations`]), with an allocator that is too slow for the other.
#![forbid(unsafe_code)]

pub mod allocations;
mod feed;
mod frames;
mod generator;
mod mesh;
mod processes;
mod protocol;
mod quantiles;
mod report;
mod rows;
mod run;
mod world;

use anyhow::Result;
use clap::Parser;

/// Measure the numbers of the design's table.
#[derive(Debug, Parser)]
enum Arguments {
    Run(run::Run),
    #[command(hide = true)]
    Generate(generator::Generate),
}

/// Does what the arguments of `ferrule-bench` say.
///
/// # Errors
///
/// When something could not be measured.
pub fn main() -> Result<()> {
    match Arguments::parse() {
        Arguments::Run(run) => run.run(),
        Arguments::Generate(generate) => generate.run(),
    }
}
