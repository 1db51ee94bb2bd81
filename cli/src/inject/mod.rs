//! `ferrule inject` and `ferrule uninject`: manifests with and without proxies.

mod annotate;
mod flags;
mod manual;
mod report;

use self::{
    annotate::{Change, Changes},
    flags::InjectFlags,
    manual::ManualFlags,
    report::Report,
};
use crate::{
    Error,
    manifest::{self, Input, Output},
    output,
};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

const EXAMPLES: &str = "\
By default pod templates and Namespaces are annotated, and the injector in the
cluster does the rest as pods are created; all else of a manifest stays as it was
written. With --manual the proxy is in the manifest itself.

Examples:
  ferrule inject web.yaml | kubectl apply -f -
  kubectl get deploy -o yaml | ferrule inject --proxy-log-level debug - | kubectl apply -f -
  ferrule inject --manual --values values.yaml --trust-anchors ca.crt web.yaml";

/// Asks for proxies in manifests, or puts them there.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Inject {
    #[command(flatten)]
    io: Manifests,

    #[command(flatten)]
    manual: ManualFlags,

    #[command(flatten)]
    proxy: InjectFlags,
}

/// Takes proxies, and what asks for them, out of manifests.
///
/// Settings (config.linkerd.io/...) and linkerd.io/inject: disabled stay.
#[derive(Debug, Args)]
pub struct Uninject {
    #[command(flatten)]
    io: Manifests,
}

#[derive(Debug, Args)]
struct Manifests {
    /// A file, a directory with *.yaml, *.yml and *.json files below it, or - for
    /// standard input
    #[arg(value_name = "FILE|DIR|-")]
    manifests: PathBuf,

    /// How to print the manifests
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

impl Inject {
    /// Prints the manifests to standard output and what became of each object to
    /// standard error.
    ///
    /// # Errors
    /// When something cannot be read, or some object cannot get a proxy: nothing is
    /// printed then of the input that it is in.
    pub async fn run(self) -> Result<(), Error> {
        let changes = self.changes().await?;
        self.io.run(|object| changes.inject(object))
    }

    async fn changes(&self) -> Result<Changes, Error> {
        Ok(Changes {
            ingress: self.proxy.ingress,
            overrides: self.proxy.annotations(),
            injector: self.manual.injector(self.proxy.ingress).await?,
        })
    }
}

impl Uninject {
    /// Prints the manifests to standard output and what became of each object to
    /// standard error.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn run(self) -> Result<(), Error> {
        self.io.run(|object| Ok(annotate::uninject(object)))
    }
}

impl Manifests {
    fn run(&self, change: impl Fn(&Value) -> Result<Change, String>) -> Result<(), Error> {
        let mut streams = Vec::new();
        let mut report = Report::default();
        for input in Input::read(&self.manifests)? {
            match rewrite(&input, self.output, &change, &mut report) {
                Some(stream) => streams.push(stream),
                None => report.left_out(input.name()),
            }
        }
        output::seen_enough(manifest::print(&streams, self.output).map_err(Error::from))?;
        report.print();
        report.result()
    }
}

/// The input with every object changed; `None` where one cannot be.
fn rewrite(
    input: &Input,
    output: Output,
    change: &impl Fn(&Value) -> Result<Change, String>,
    report: &mut Report,
) -> Option<String> {
    let mut wanted = Vec::new();
    let mut failed = false;
    for value in input.values() {
        let mut value = value.clone();
        let objects = match value["kind"] == "List" && value["items"].is_array() {
            true => value["items"]
                .as_array_mut()
                .into_iter()
                .flatten()
                .collect(),
            false => vec![&mut value],
        };
        for object in objects {
            match change(object) {
                Ok(Change { wanted, outcome }) => {
                    report.add(object, outcome);
                    *object = wanted;
                }
                Err(reason) => {
                    report.fail(reason);
                    failed = true;
                }
            }
        }
        wanted.push(value);
    }
    if failed {
        return None;
    }
    let (text, anew) = input.rewritten(&wanted, output);
    report.lost_comments(input.name(), anew);
    Some(text)
}

#[cfg(test)]
mod tests;
