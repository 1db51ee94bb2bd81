//! Whether manifests would be stored, and understood.
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

pub(super) use self::{finding::Severity, object::Object};

use self::report::Report;
use super::Output;
use crate::{
    Error,
    manifest::{self, Text},
};
use clap::Args;
use std::path::PathBuf;

/// Manifests that are looked at.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manifests")]
pub(super) struct Manifests {
    /// A file, a directory with *.yaml, *.yml and *.json files, or - for standard
    /// input; the cluster is not asked. An error is what a cluster would refuse, or
    /// nobody could read; a warning is what would be stored and not understood
    #[arg(long, value_name = "FILE|DIR|-")]
    manifests: Option<PathBuf>,
}

impl Manifests {
    /// Whether they are what is to be looked at.
    pub(super) fn are_meant(&self) -> bool {
        self.manifests.is_some()
    }

    /// Prints what is wrong with them.
    ///
    /// # Errors
    /// When one cannot be read, and when it `fails` by the numbers of errors and
    /// warnings.
    pub(super) fn run(
        &self,
        output: Output,
        fails: impl Fn(usize, usize) -> bool,
    ) -> Result<(), Error> {
        let Some(path) = &self.manifests else {
            return Ok(());
        };
        let texts = manifest::texts(path)?;
        if texts.is_empty() {
            return Err(Error::NoManifests(path.display().to_string()));
        }
        let report = look_at(&texts);
        report.print(output)?;
        let (errors, warnings) = (report.errors(), report.warnings());
        if fails(errors, warnings) {
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
