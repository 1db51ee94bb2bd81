//! `ferrule token`: tokens where there is no API server to make them.

use crate::{Error, StateDir, output};
use clap::{Args, Subcommand};
use ferrule_identity::{ServiceAccount, StateDirectory};
use std::time::{Duration, SystemTime};

/// Makes tokens that a Ferrule without a cluster accepts.
#[derive(Debug, Args)]
pub struct Token {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a token with which a service account gets its certificate
    #[command(after_help = EXAMPLES)]
    Create(Create),
}

const EXAMPLES: &str = "\
Examples:
  ferrule token create web.shop > token
  ferrule token create web.shop --duration 1h";

#[derive(Debug, Args)]
struct Create {
    /// Whose: NAME.NAMESPACE of a service account, which need not exist
    #[arg(value_name = "SA.NAMESPACE", value_parser = account)]
    account: ServiceAccount,

    /// How long it is good for
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = lifetime)]
    duration: Duration,

    #[command(flatten)]
    state: StateDir,
}

impl Token {
    /// Prints the token to standard output, and nothing else.
    ///
    /// # Errors
    /// When the key is not there and cannot be made, or nothing can be printed.
    pub fn run(self) -> Result<(), Error> {
        let Action::Create(create) = self.action;
        let issuer = StateDirectory::open(create.state.path()?)?.token_issuer()?;
        let token = issuer.issue(&create.account, create.duration, SystemTime::now())?;
        Ok(output::print(&token)?)
    }
}

fn account(text: &str) -> Result<ServiceAccount, String> {
    let (name, namespace) = text
        .split_once('.')
        .ok_or("expected the name of a service account and its namespace, such as web.shop")?;
    ServiceAccount::new(namespace, name).map_err(|error| error.to_string())
}

fn lifetime(text: &str) -> Result<Duration, &'static str> {
    crate::duration(text)
        .ok()
        .filter(|duration| *duration >= Duration::from_secs(1))
        .ok_or("expected a duration of at least a second, such as 24h or 10m")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;
    use std::path::PathBuf;

    #[test]
    fn an_account_is_named_with_its_namespace() {
        for (text, expected) in [
            ("web.shop", Some(("web", "shop"))),
            ("web", None),
            (".shop", None),
            ("web.", None),
            ("web.shop.svc", None),
            ("Web.shop", None),
        ] {
            let parsed = account(text).ok();
            let parsed = parsed
                .as_ref()
                .map(|account| (account.name(), account.namespace()));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn a_command_says_whose_how_long_and_with_which_key() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            token: Token,
        }
        let parse = |args: &[&str]| {
            let args = ["token", "create"].iter().chain(args);
            let Action::Create(create) = Command::try_parse_from(args)?.token.action;
            Ok::<_, clap::Error>(create)
        };
        let create = parse(&["web.shop"]).unwrap();
        assert_eq!(create.account.to_string(), "system:serviceaccount:shop:web");
        assert_eq!(create.duration, Duration::from_secs(24 * 3600));
        let create = parse(&["web.shop", "--duration", "1h30m", "--state-dir", "here"]).unwrap();
        assert_eq!(create.duration, Duration::from_secs(90 * 60));
        assert_eq!(create.state.path().unwrap(), PathBuf::from("here"));
        assert!(parse(&[]).is_err());
    }

    #[test]
    fn a_token_is_good_for_a_while() {
        assert_eq!(lifetime("10m"), Ok(Duration::from_secs(600)));
        for text in ["0s", "999ms", "-1h", "soon", ""] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
