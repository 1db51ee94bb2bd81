//! `ferrule diagnostics state`: the inside of a replica, for people who look for a reason.

mod process;
mod service;

use self::{process::ProcessState, service::ServiceState};
use crate::{
    Error, admin,
    api_addr::ServerFlags,
    output::{self, Format, span},
};
use clap::Args;
use ferrule_cluster::object::is_dns_label;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, str::FromStr, time::Duration};

pub(crate) const EXAMPLES: &str = "\
Without a Service: what the replica knows of each kind, what it does, and what is wrong.
With one: what it holds of it, what it tells, and how far each of its clients is, those
that are furthest behind first.

Examples:
  kubectl -n linkerd port-forward deploy/linkerd-destination 9990 &
  ferrule diagnostics state
  ferrule diagnostics state shop/web
  ferrule diagnostics state shop/web -o json";

/// Where a replica tells it.
const PATH: &str = "/debug/state";

/// Whose state is asked for, and how the answer is printed.
#[derive(Debug, Args)]
pub(crate) struct State {
    /// A Service [default: the replica itself]
    #[arg(value_name = "NAMESPACE/NAME")]
    service: Option<ServiceName>,

    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    pub(crate) server: ServerFlags,
}

/// `NAMESPACE/NAME` of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ServiceName(String);

impl FromStr for ServiceName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |(namespace, name)| is_dns_label(namespace) && is_dns_label(name);
        match text.split_once('/').is_some_and(is_name) {
            true => Ok(Self(text.to_owned())),
            false => Err("expected NAMESPACE/NAME of a Service, such as shop/web"),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl State {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let query = self.service.as_ref();
        let query = query.map_or_else(String::new, |service| format!("service={service}"));
        let body = admin::get_all(&self.server.api_addr, PATH, &query).await?;
        if self.output == Format::Json {
            let all: Value = self.read(&body)?;
            return Ok(output::print_json(&all)?);
        }
        let text = match self.service {
            Some(_) => self.read::<ServiceState>(&body)?.text(),
            None => self.read::<ProcessState>(&body)?.text(),
        };
        Ok(output::print(&text)?)
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|error| Error::Admin {
            addr: self.server.api_addr.to_string(),
            path: PATH,
            reason: format!("its answer cannot be read: {error}"),
        })
    }
}

/// A span of time, for people.
fn lasted(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    span(whole.as_secs())
}

/// How long ago something was, if it ever was.
fn ago(seconds: Option<f64>) -> String {
    seconds.map_or_else(
        || "never".to_owned(),
        |seconds| format!("{} ago", lasted(seconds)),
    )
}

/// Tables one below the other, those that have nothing in them left out.
fn page(parts: impl IntoIterator<Item = String>) -> String {
    let parts = parts.into_iter().filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n\n")
}

/// A table; nothing without rows.
fn table<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    match rows.is_empty() {
        true => String::new(),
        false => output::table(Some(&header), rows),
    }
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_a_namespace_and_a_name() {
        for (text, is_one) in [
            ("shop/web", true),
            ("web", false),
            ("shop/", false),
            ("/web", false),
            ("shop/web/80", false),
            ("shop/web&kind=Pod", false),
            ("Shop/web", false),
        ] {
            assert_eq!(text.parse::<ServiceName>().is_ok(), is_one, "{text}");
        }
    }
}
