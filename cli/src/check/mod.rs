//! `ferrule check`: whether manifests would be stored, and understood.
//!
//! ```text
//!  file ─> documents ─> objects ─> findings ─> problems, each with file and line
//! ```
//!
//! Findings are what the webhooks and the index say, by the same functions.

mod finding;
mod object;
mod place;
mod report;

use self::{
    object::Object,
    report::{Output, Report},
};
use crate::{
    Error,
    manifest::{self, Text},
};
use clap::Args;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  ferrule check --manifests deploy/
  kustomize build . | ferrule check --manifests -
  ferrule check --manifests deploy/ -o json --fail-on-warning";

/// Looks at manifests as the webhooks and the mesh will, without a cluster.
///
/// An error is what a cluster would refuse, or nobody could read: exit code 1. A
/// warning is what would be stored and not understood. Kinds that the mesh does not
/// read are not looked at.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// A file, a directory with *.yaml, *.yml and *.json files, or - for standard
    /// input
    #[arg(long, value_name = "FILE|DIR|-")]
    manifests: PathBuf,

    /// How to print what is wrong
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,

    /// Exit with 2 where there are warnings and no errors
    #[arg(long)]
    fail_on_warning: bool,
}

impl Check {
    /// Prints to standard output what is wrong with the manifests.
    ///
    /// # Errors
    /// When something cannot be read, and when there are errors; also when there are
    /// warnings, if so asked.
    pub fn run(self) -> Result<(), Error> {
        let texts = manifest::texts(&self.manifests)?;
        if texts.is_empty() {
            return Err(Error::NoManifests(self.manifests.display().to_string()));
        }
        let report = look_at(&texts);
        crate::output::seen_enough(report.print(self.output).map_err(Error::from))?;
        let (errors, warnings) = (report.errors(), report.warnings());
        if errors > 0 || (self.fail_on_warning && warnings > 0) {
            return Err(Error::Check { errors, warnings });
        }
        Ok(())
    }
}

fn look_at(texts: &[Text]) -> Report {
    let mut report = Report::new(texts.len());
    for text in texts {
        for document in text.documents() {
            let at = (text.name(), document.line);
            let value = match document.content {
                Ok(value) => value,
                Err(broken) => {
                    report.broken(text.name(), &broken);
                    continue;
                }
            };
            match Object::all(&value) {
                Ok(objects) => {
                    for object in objects {
                        let findings = object.findings();
                        let line = |finding: &finding::Finding| {
                            let path = object.path_of(finding);
                            let below = document
                                .text
                                .and_then(|text| manifest::line_of(text, &path));
                            below.map_or(document.line, |below| document.first_line + below)
                        };
                        report.add(
                            at,
                            &object,
                            findings.map(|all| {
                                all.into_iter()
                                    .map(|finding| (line(&finding), finding))
                                    .collect()
                            }),
                        );
                    }
                }
                Err(mistake) => report.no_object(at, mistake),
            }
        }
    }
    report
}

#[cfg(test)]
mod tests;
