//! `test-proxy`: goes through what a linkerd2-proxy does with its control plane,
//! and prints what it is told.
#![forbid(unsafe_code)]

mod flags;
mod report;
mod session;

use clap::Parser as _;
use flags::Flags;
use std::process::ExitCode;

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            // Nobody to tell if this fails, too.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(flags: &Flags) -> anyhow::Result<()> {
    tokio::select! {
        done = session::run(flags) => done,
        stopped = tokio::signal::ctrl_c() => Ok(stopped?),
    }
}
