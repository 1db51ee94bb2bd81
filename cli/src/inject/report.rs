//! What is told of each object, on standard error.

use crate::{Error, output};
use serde_json::Value;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Injected,
    Annotated,
    Uninjected,
    Skipped,
    /// It has neither pods nor anything to say to them.
    Unsupported,
    /// It does not say what it is.
    NoKind,
}

impl Verb {
    /// Of an object of another kind.
    pub(super) fn unsupported(object: &Value) -> Self {
        match object["kind"].is_string() {
            true => Self::Unsupported,
            false => Self::NoKind,
        }
    }
}

/// What became of an object, and what its owner should know.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) verb: Verb,
    pub(super) warnings: Vec<String>,
}

/// What became of all objects.
#[derive(Debug, Default)]
pub(super) struct Report {
    lines: Vec<String>,
    warnings: Vec<String>,
    errors: Vec<String>,
    supported: bool,
}

impl Report {
    pub(super) fn add(&mut self, object: &Value, outcome: Outcome) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&object["metadata"]["name"]);
        let subject = format!("{} {name:?}", text(&object["kind"]).to_lowercase());
        let word = match outcome.verb {
            Verb::Injected => "injected",
            Verb::Annotated => "annotated",
            Verb::Uninjected => "uninjected",
            Verb::Skipped | Verb::Unsupported => "skipped",
            Verb::NoKind => {
                let line = "document missing \"kind\" field, skipped";
                return self.lines.push(line.to_owned());
            }
        };
        self.supported |= outcome.verb != Verb::Unsupported;
        self.lines.push(format!("{subject} {word}"));
        let warnings = outcome.warnings.into_iter();
        self.warnings
            .extend(warnings.map(|warning| format!("warning: {subject}: {warning}")));
    }

    /// An object cannot be changed.
    pub(super) fn fail(&mut self, reason: String) {
        self.errors.push(reason);
    }

    /// Nothing is printed of an input.
    pub(super) fn left_out(&mut self, name: &str) {
        self.lines.push(format!("{name}: left out"));
    }

    /// Documents of an input were written anew.
    pub(super) fn lost_comments(&mut self, name: &str, count: usize) {
        if count > 0 {
            self.warnings.push(format!(
                "warning: {name}: {count} documents were written anew, without their comments"
            ));
        }
    }

    #[cfg(test)]
    pub(super) fn all_lines(&self) -> Vec<String> {
        self.lines.iter().chain(&self.warnings).cloned().collect()
    }

    pub(super) fn print(&self) {
        for line in self.lines.iter().chain(&self.warnings) {
            output::note(line);
        }
        if !self.supported && self.errors.is_empty() {
            output::note("no supported objects found");
        }
    }

    pub(super) fn result(self) -> Result<(), Error> {
        match self.errors.is_empty() {
            true => Ok(()),
            false => Err(Error::Inject(self.errors)),
        }
    }
}
