//! The `ferrule` binary: `ferrule serve` runs roles of the control plane, `ferrule install`
//! and its like print what a cluster is to have of it, `ferrule diagnostics` and `ferrule
//! identity` ask a running one, `ferrule check` looks at a cluster before and after an
//! installation, and at manifests.
#![forbid(unsafe_code)]

mod admin;
mod api_client;
mod banner;
mod discovery;
mod events;
mod files;
mod flags;
mod grpc;
mod identity;
mod injection;
mod lease;
mod listeners;
mod logging;
mod mesh_tls;
mod metrics;
mod open_files;
mod process;
mod readiness;
mod reference;
mod restarts;
mod serve;
mod shutdown;
mod source;
mod status;
mod traces;
mod webhooks;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use ferrule_cli::{
    Authz, Check, Diagnostics, Identity, Inject, Install, Profile, Prune, Token, Uninject,
    Uninstall, Upgrade, Version, WhyNotInjected,
};
use flags::ServeFlags;
use std::{
    ffi::OsString,
    io::{self, Write as _},
    process::{ExitCode, Output, Stdio},
};

// Gives memory back to the system in the background, also what the TLS library's C
// code frees; its settings are compiled in (.cargo/config.toml).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A Kubernetes service-mesh control plane for linkerd2-proxy.
#[derive(Debug, Parser)]
#[command(name = "ferrule", version)]
struct Ferrule {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run roles of the control plane
    Serve(Box<ServeFlags>),
    /// Print a control plane, or the definitions of its kinds, for kubectl apply
    Install(Box<Install>),
    /// Print the control plane that there is, as this version has it, for kubectl apply
    Upgrade(Box<Upgrade>),
    /// Print what is left over after an upgrade, for kubectl delete
    Prune(Box<Prune>),
    /// Print what a control plane consists of, for kubectl delete
    Uninstall(Uninstall),
    /// Ask a running Ferrule what it tells proxies
    #[command(visible_alias = "dg")]
    Diagnostics(Diagnostics),
    /// Look for what is wrong with a cluster's mesh, or with manifests
    Check(Box<Check>),
    /// Ask for proxies in manifests, or put them there
    Inject(Box<Inject>),
    /// Take proxies, and what asks for them, out of manifests
    Uninject(Uninject),
    /// Print a ServiceProfile: a template, or one made of an OpenAPI document or a .proto
    Profile(Box<Profile>),
    /// List what lets requests to a workload in
    Authz(Box<Authz>),
    /// Say why a pod has no proxy, or not the one that it would get today
    WhyNotInjected(Box<WhyNotInjected>),
    /// Look at certificates
    Identity(Identity),
    /// Make tokens where there is no cluster to make them
    Token(Token),
    /// Print versions, of this command and of the control plane
    Version(Box<Version>),
    /// Print a completion script for a shell
    Completion {
        /// The shell to complete in
        shell: Shell,
    },
    /// Print docs/commands.md
    #[command(hide = true)]
    Reference,
}

fn main() -> ExitCode {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .expect("nothing else installs a TLS provider");
    let ferrule = match Ferrule::try_parse() {
        Ok(ferrule) => ferrule,
        Err(error) => {
            let _ = error.print();
            // Ruling 13: a bad flag is exit code 1; help is not an error.
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match run(ferrule.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be said to who closed standard error.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            let of_cli = error.downcast_ref::<ferrule_cli::Error>();
            of_cli.map_or(ExitCode::FAILURE, |error| error.exit_code().into())
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(flags) => serve::run(&flags),
        Command::Install(install) => Ok(ask(install.run(helm, starts))?),
        Command::Upgrade(upgrade) => Ok(ask(upgrade.run(helm, starts))?),
        Command::Prune(prune) => Ok(ask(prune.run(helm))?),
        Command::Uninstall(uninstall) => Ok(ask(uninstall.run())?),
        Command::Diagnostics(diagnostics) => Ok(ask(diagnostics.run())?),
        Command::Check(check) => Ok(ask(check.run())?),
        Command::Inject(inject) => Ok(ask(inject.run())?),
        Command::Uninject(uninject) => Ok(uninject.run()?),
        Command::Profile(profile) => Ok(ask(profile.run())?),
        Command::Authz(authz) => Ok(ask(authz.run())?),
        Command::WhyNotInjected(why) => Ok(ask(why.run())?),
        Command::Identity(identity) => Ok(ask(identity.run())?),
        Command::Token(token) => Ok(token.run()?),
        Command::Version(version) => Ok(ask(version.run())?),
        Command::Reference => {
            print!("{}", reference::reference(Ferrule::command()));
            Ok(())
        }
        Command::Completion { shell } => {
            // Into memory first: it panics where whoever reads has seen enough.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Ferrule::command(), "ferrule", &mut script);
            match io::stdout().write_all(&script) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
                _ => Ok(()),
            }
        }
    }
}

/// Runs the user's `helm`, which may read values from standard input.
fn helm(args: &[OsString]) -> io::Result<Output> {
    let mut helm = std::process::Command::new("helm");
    helm.args(args).stdin(Stdio::inherit()).output()
}

/// Says why a process with these arguments would not start elsewhere, if it would not: what is
/// set in this environment does not count.
fn starts(args: &[String]) -> Result<(), String> {
    let command = Ferrule::command().mut_subcommand("serve", |serve| {
        serve.mut_args(|arg| arg.env(None::<&'static str>))
    });
    let words = ["ferrule"]
        .into_iter()
        .chain(args.iter().map(String::as_str));
    let read = command.try_get_matches_from(words);
    read.map(drop).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        first.trim_start_matches("error: ").to_owned()
    })
}

/// Waits for what a person asked for.
fn ask<T>(question: impl Future<Output = Result<T, ferrule_cli::Error>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(question)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Ferrule::command().debug_assert();
    }

    #[test]
    fn what_would_not_start_is_told_in_a_line() {
        let starts = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            super::starts(&words)
        };
        assert_eq!(starts("serve --roles=identity --log-level=debug"), Ok(()));
        for (line, reason) in [
            (
                "serve --max-stream=5",
                "unexpected argument '--max-stream' found",
            ),
            (
                "serve --log-level=info --log-level=debug",
                "cannot be used multiple times",
            ),
            (
                "serve --lease-duration=1s",
                "expected whole seconds, at least 3s",
            ),
        ] {
            let told = starts(line).unwrap_err();
            assert!(told.contains(reason) && !told.contains('\n'), "{told}");
        }
    }
}
