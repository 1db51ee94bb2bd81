//! `ferrule diagnostics`: the subcommands and the flags they share.

use crate::{
    Error,
    announce::Announcer,
    api_addr::ServerFlags,
    bundle::{self, Bundle},
    endpoints,
    error::Refusal,
    metrics::{self, ControllerMetrics, ProxyMetrics},
    output::{self, Format},
    policy::{self, PolicyAsk},
    profile,
    staleness::{self, Staleness},
    state::{self, State},
    why_not_injected::WhyNotInjected,
};
use clap::{Args, Subcommand};
use ferrule_proto::destination::GetDestination;

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
    /// Show what a pod's proxy lets in on a port, or how one is told to carry
    /// what goes out to a Service or an address
    #[command(after_help = policy::EXAMPLES)]
    Policy(PolicyAsk),
    /// Say why a pod has no proxy, or not the one that it would get today
    WhyNotInjected(Box<WhyNotInjected>),
    /// Print the metrics of a workload's proxies
    #[command(after_help = metrics::PROXY_EXAMPLES)]
    ProxyMetrics(ProxyMetrics),
    /// Print the metrics of the control plane
    #[command(visible_alias = "cp-metrics", after_help = metrics::CONTROLLER_EXAMPLES)]
    ControllerMetrics(ControllerMetrics),
    /// Write what others need to see of a mesh to help into one file, without secrets
    #[command(after_help = bundle::EXAMPLES)]
    Bundle(Bundle),
    /// Compare what it holds of the cluster with what the API server has
    #[command(after_help = staleness::EXAMPLES)]
    Staleness(Staleness),
    /// Show what a replica knows and does, or what it tells of a Service and to whom
    #[command(after_help = state::EXAMPLES)]
    State(State),
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

    #[command(flatten)]
    pub(crate) server: ServerFlags,

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
            Question::Policy(ask) => policy::run(ask).await,
            Question::WhyNotInjected(why) => why.run().await,
            Question::ProxyMetrics(metrics) => metrics.run().await,
            Question::ControllerMetrics(metrics) => metrics.run().await,
            Question::Bundle(bundle) => bundle.run().await,
            Question::Staleness(ask) => ask.run().await,
            Question::State(ask) => ask.run().await,
        };
        output::seen_enough(result)
    }
}

impl Ask {
    /// Each authority as the call that asks about it.
    pub(crate) fn questions(&self) -> Vec<GetDestination> {
        let question = |authority: &String| GetDestination {
            path: authority.clone(),
            context_token: self.token.clone(),
            ..GetDestination::default()
        };
        self.authorities.iter().map(question).collect()
    }

    pub(crate) fn announcer(&self) -> Announcer {
        Announcer {
            output: self.output,
            subject: "authority",
        }
    }

    /// Says at once what will be the result only when the other streams end.
    pub(crate) fn announce_refusal(&self, refusal: &Refusal) {
        if self.watch && self.authorities.len() > 1 {
            output::note(&refusal.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_addr::DEFAULT_API_ADDR;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        diagnostics: Diagnostics,
    }

    fn parse(line: &str) -> Result<Question, String> {
        let words = ["diagnostics"].into_iter().chain(line.split_whitespace());
        let command = Command::try_parse_from(words).map_err(|error| error.to_string())?;
        Ok(command.diagnostics.question)
    }

    #[test]
    fn every_question_goes_to_one_address() {
        for line in [
            "endpoints web.shop.svc.cluster.local:80",
            "profile 10.42.0.1:80",
            "policy svc/web.shop 80",
            "staleness --kind Pod --grace 1m -o json",
            "state",
            "state shop/web -o json",
        ] {
            let addr = |line: &str| match parse(line).expect(line) {
                Question::Endpoints(ask) | Question::Profile(ask) => ask.server.api_addr,
                Question::Policy(ask) => ask.server.api_addr,
                Question::Staleness(ask) => ask.server.api_addr,
                Question::State(ask) => ask.server.api_addr,
                other => unreachable!("{other:?} is not asked there"),
            };
            // The variable may be set where this runs.
            if std::env::var_os("FERRULE_API_ADDR").is_none() {
                assert_eq!(addr(line).to_string(), DEFAULT_API_ADDR, "{line}");
            }
            let told = addr(&format!("{line} --api-addr ferrule:8086"));
            assert_eq!(told.to_string(), "ferrule:8086", "{line}");
        }
    }

    #[test]
    fn policy_is_asked_of_a_target_and_a_port() {
        for line in [
            "policy pod/web-0.shop 8080",
            "policy po/web-0 8080 -n shop --watch -o json",
            "policy svc/web 80 --namespace shop --source office",
            "policy 10.0.0.1 443",
            "policy fd00::1 443",
        ] {
            assert!(matches!(parse(line), Ok(Question::Policy(_))), "{line}");
        }
        for (line, reason) in [
            ("policy pod/web-0.shop", "PORT"),
            ("policy pod/web-0.shop 0", "0 is not in 1..=65535"),
            ("policy pod/web-0.shop http", "invalid digit"),
            (
                "policy web-0 80",
                "expected pod/NAME, externalworkload/NAME, svc/NAME or an IP address",
            ),
            (
                "policy deploy/web 80",
                "ask about one of its pods (pod/NAME",
            ),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
