//! `ferrule diagnostics`: the subcommands and the flags they share.

use crate::{
    Error,
    api::ApiAddr,
    endpoints,
    error::Refusal,
    output::{self, Format},
    profile,
};
use clap::{Args, Subcommand};
use serde_json::json;
use std::io;

/// Asks a running Ferrule what it tells proxies.
#[derive(Debug, Args)]
pub struct Diagnostics {
    #[command(subcommand)]
    question: Question,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// List the endpoints that a proxy is told for NAME.NAMESPACE.svc.DOMAIN:PORT
    #[command(visible_alias = "ep", after_help = ENDPOINTS_EXAMPLES)]
    Endpoints(Ask),
    /// Show how a proxy is told to treat a Service or an address
    #[command(after_help = PROFILE_EXAMPLES)]
    Profile(Ask),
}

const ENDPOINTS_EXAMPLES: &str = "\
Examples:
  ferrule diagnostics endpoints web.shop.svc.cluster.local:80
  ferrule diagnostics endpoints web.shop.svc.cluster.local:80 --watch
  ferrule diagnostics endpoints web.shop.svc.cluster.local:80 -o json \\
      --token '{\"ns\":\"shop\",\"nodeName\":\"node-1\"}'";

const PROFILE_EXAMPLES: &str = "\
Examples:
  ferrule diagnostics profile web.shop.svc.cluster.local:80
  ferrule diagnostics profile 10.42.0.13:8080 --watch -o json";

/// What is asked, of whom, and how the answer is printed.
#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// What a client would connect to: HOST:PORT, port 80 if there is none
    #[arg(required = true, value_name = "AUTHORITY")]
    pub(crate) authorities: Vec<String>,

    /// Go on printing what changes until interrupted
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,

    /// Where the destination API is served
    #[arg(
        long,
        env = "FERRULE_API_ADDR",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:8086"
    )]
    pub(crate) api_addr: ApiAddr,

    /// Ask as the proxy with this context token, such as
    /// '{"ns":"shop","nodeName":"node-1"}': the node decides which endpoints are
    /// in the client's zone
    #[arg(long, value_name = "TOKEN", default_value = "")]
    pub(crate) token: String,
}

impl Diagnostics {
    /// Asks and prints to standard output; notes go to standard error. Returns
    /// when the answer is printed, or, with `--watch`, when nothing can follow.
    ///
    /// # Errors
    /// When nobody answers, or an answer is a refusal. What could be answered has
    /// been printed by then.
    pub async fn run(self) -> Result<(), Error> {
        let result = match self.question {
            Question::Endpoints(ask) => endpoints::run(ask).await,
            Question::Profile(ask) => profile::run(ask).await,
        };
        match result {
            // Whoever read the output, `head` say, has seen enough.
            Err(Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

impl Ask {
    /// Says that a stream was lost and is looked for.
    pub(crate) fn announce_lost(&self, refusal: &Refusal) -> io::Result<()> {
        match self.output {
            Format::Json => output::print_json_line(&json!({
                "time": output::timestamp(),
                "event": "disconnected",
                "authority": refusal.authority(),
                "reason": refusal.reason(),
            })),
            Format::Table => {
                output::note(&format!(
                    "{} ! {}: {}; trying again",
                    output::clock(),
                    refusal.authority(),
                    refusal.reason(),
                ));
                Ok(())
            }
        }
    }

    /// Says that a lost stream is open again.
    pub(crate) fn announce_back(&self, authority: &str) -> io::Result<()> {
        match self.output {
            Format::Json => output::print_json_line(&json!({
                "time": output::timestamp(),
                "event": "connected",
                "authority": authority,
            })),
            Format::Table => {
                output::note(&format!("{} ! {authority}: connected", output::clock()));
                Ok(())
            }
        }
    }

    /// Says at once what will be the result only when the other streams end.
    pub(crate) fn announce_refusal(&self, refusal: &Refusal) {
        if self.watch && self.authorities.len() > 1 {
            output::note(&refusal.to_string());
        }
    }
}
