//! What is wrong, for people and for programs.

use super::{
    finding::{Finding, Severity},
    object::Object,
};
use crate::{check::Output, output};
use ferrule_cluster::source::manifests::documents::Broken;
use serde::Serialize;
use std::{collections::HashMap, fmt, io};

/// All that was looked at.
#[derive(Debug)]
pub(super) struct Report {
    files: usize,
    /// How many were looked at.
    objects: usize,
    /// How many are of kinds that the mesh does not read.
    others: usize,
    checks: Vec<Check>,
    /// Where each object was found first: by group, kind, namespace and name.
    known: HashMap<[String; 4], (String, usize)>,
}

/// One finding about an object, or that there is none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    id: Id,
    category: &'static str,
    /// The object.
    description: String,
    severity: Severity,
    result: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    file: String,
    line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<Reference>,
}

/// What is looked for. Runbooks and filters go by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Id {
    /// A document can be read.
    #[serde(rename = "manifest-readable")]
    Readable,
    /// An object would be stored.
    #[serde(rename = "manifest-accepted")]
    Accepted,
    /// All of it is understood.
    #[serde(rename = "manifest-understood")]
    Understood,
    /// It is there once.
    #[serde(rename = "manifest-unique")]
    Unique,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Success,
    Warning,
    Error,
}

#[derive(Clone, Debug, Serialize)]
struct Reference {
    group: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

impl From<&Object<'_>> for Reference {
    fn from(object: &Object<'_>) -> Self {
        Self {
            group: object.group.to_owned(),
            kind: object.kind.to_owned(),
            namespace: object.namespace.map(str::to_owned),
            name: object.name.unwrap_or("(without a name)").to_owned(),
        }
    }
}

const CATEGORY: &str = "manifests";

impl Report {
    pub(super) fn new(files: usize) -> Self {
        Self {
            files,
            objects: 0,
            others: 0,
            checks: Vec::new(),
            known: HashMap::new(),
        }
    }

    /// A document that cannot be read.
    pub(super) fn broken(&mut self, file: &str, broken: &Broken) {
        let finding = Finding::error(&broken.text);
        self.push(Id::Readable, (file, broken.line), None, Some(finding));
    }

    /// A document that is no object.
    pub(super) fn no_object(&mut self, at: (&str, usize), mistake: &str) {
        let finding = Finding::warning(mistake);
        self.push(Id::Readable, at, None, Some(finding));
    }

    /// An object that begins at a line of a file, and what was found in which line;
    /// `None` if the mesh does not read its kind.
    pub(super) fn add(
        &mut self,
        at: (&str, usize),
        object: &Object<'_>,
        findings: Option<Vec<(usize, Finding)>>,
    ) {
        let Some(findings) = findings else {
            self.others += 1;
            return;
        };
        self.objects += 1;
        let reference = Some(Reference::from(object));
        if let Some((file, line)) = self.other(at, object) {
            let finding = Finding::warning(format!(
                "metadata.name: this object is also at {file}:{line}, and what is applied last \
                 holds"
            ));
            self.push(Id::Unique, at, reference.clone(), Some(finding));
        }
        if findings.is_empty() {
            self.push(Id::Accepted, at, reference, None);
            return;
        }
        for (line, finding) in findings {
            let id = match finding.severity {
                Severity::Error => Id::Accepted,
                Severity::Warning => Id::Understood,
            };
            self.push(id, (at.0, line), reference.clone(), Some(finding));
        }
    }

    /// Where the same object was found before.
    fn other(
        &mut self,
        (file, line): (&str, usize),
        object: &Object<'_>,
    ) -> Option<(String, usize)> {
        let namespace = object.namespace.unwrap_or_default();
        let key = [object.group, object.kind, namespace, object.name?].map(str::to_owned);
        self.known.insert(key, (file.to_owned(), line))
    }

    fn push(
        &mut self,
        id: Id,
        (file, line): (&str, usize),
        object: Option<Reference>,
        finding: Option<Finding>,
    ) {
        let severity = finding.as_ref().map(|finding| finding.severity);
        self.checks.push(Check {
            id,
            category: CATEGORY,
            description: object
                .as_ref()
                .map_or_else(|| "a document".to_owned(), Reference::to_string),
            severity: severity.unwrap_or(Severity::Error),
            result: match severity {
                None => Outcome::Success,
                Some(Severity::Warning) => Outcome::Warning,
                Some(Severity::Error) => Outcome::Error,
            },
            error: finding.map(|finding| finding.text),
            file: file.to_owned(),
            line,
            object,
        });
    }

    fn count(&self, outcome: Outcome) -> usize {
        let those = self.checks.iter().filter(|check| check.result == outcome);
        those.count()
    }

    pub(super) fn errors(&self) -> usize {
        self.count(Outcome::Error)
    }

    pub(super) fn warnings(&self) -> usize {
        self.count(Outcome::Warning)
    }

    pub(super) fn print(&self, output: Output) -> io::Result<()> {
        match output {
            Output::Table => {
                output::print_as_it_is(&format!("{}{}\n", self.lines(), self.summary()))
            }
            Output::Short => output::print_as_it_is(&self.lines()),
            Output::Json => output::print_json(&self.json()),
        }
    }

    /// A line for each problem, in the order of files and lines.
    pub(super) fn lines(&self) -> String {
        let wrong = self.checks.iter().filter(|check| check.error.is_some());
        let mut wrong: Vec<_> = wrong.collect();
        wrong.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        let lines = wrong.into_iter().map(|check| {
            let warning = match check.result {
                Outcome::Warning => "warning: ",
                _ => "",
            };
            let error = check.error.as_deref().unwrap_or_default();
            let Check {
                file,
                line,
                description,
                ..
            } = check;
            format!("{file}:{line} {description}: {warning}{error}\n")
        });
        lines.collect()
    }

    pub(super) fn summary(&self) -> String {
        let of = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let seen = of(self.objects, "object");
        let problems = match (self.errors(), self.warnings()) {
            (0, 0) => "no problems".to_owned(),
            (errors, 0) => of(errors, "error"),
            (0, warnings) => of(warnings, "warning"),
            (errors, warnings) => format!("{}, {}", of(errors, "error"), of(warnings, "warning")),
        };
        let others = match self.others {
            0 => String::new(),
            others => format!(" ({others} of other kinds not looked at)"),
        };
        format!("{seen} in {}{others}: {problems}", of(self.files, "file"))
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "success": self.errors() == 0,
            "categories": [{"categoryName": CATEGORY, "checks": self.checks}],
        })
    }
}
