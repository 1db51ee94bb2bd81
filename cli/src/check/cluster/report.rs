//! What was found, for people and for programs.

use super::{
    engine::{Done, Outcome},
    row::{Category, Severity},
};
use crate::{check::Output, output};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _},
};

/// Where checks are explained.
const PAGE: &str = "docs/checks.md";

/// How checks look on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// `√ ‼ ×`, for people; else words, for pipes and old terminals.
    pub(super) is_terminal: bool,
    pub(super) has_colours: bool,
    /// Checks that were skipped are told, too.
    pub(super) is_verbose: bool,
}

impl Style {
    pub(super) fn of_stdout(has_colours: bool, is_verbose: bool) -> Self {
        Self {
            is_terminal: io::stdout().is_terminal(),
            has_colours,
            is_verbose,
        }
    }

    fn mark(self, mark: Mark) -> String {
        let (sign, word, colour) = match mark {
            Mark::Success => ("√", "ok  ", 32),
            Mark::Warning => ("‼", "warn", 33),
            Mark::Error => ("×", "FAIL", 31),
            Mark::Skipped => ("-", "skip", 90),
        };
        match (self.is_terminal, self.has_colours) {
            (true, true) => format!("\x1b[{colour}m{sign}\x1b[0m"),
            (true, false) => sign.to_owned(),
            (false, _) => word.to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Success,
    Warning,
    Error,
    Skipped,
}

impl From<&Outcome> for Mark {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Found { is_error: true, .. } => Self::Error,
            Outcome::Found { .. } => Self::Warning,
            Outcome::Skipped(_) | Outcome::Stopped(_) => Self::Skipped,
        }
    }
}

/// All that was looked at.
pub(super) struct Report {
    pub(super) done: Vec<Done>,
    pub(super) style: Style,
}

impl Report {
    fn count(&self, mark: Mark) -> usize {
        let those = self
            .done
            .iter()
            .filter(|done| Mark::from(&done.outcome) == mark);
        those.count()
    }

    pub(super) fn errors(&self) -> usize {
        self.count(Mark::Error)
    }

    pub(super) fn warnings(&self) -> usize {
        self.count(Mark::Warning)
    }

    pub(super) fn print(&self, output: Output) -> io::Result<()> {
        match output {
            Output::Table => output::print_as_it_is(&self.table(false)),
            Output::Short => output::print_as_it_is(&self.table(true)),
            Output::Json => output::print_json(&self.json()),
        }
    }

    /// A line for each check, below its category; or only what is wrong.
    fn table(&self, is_short: bool) -> String {
        let mut text = String::new();
        for category in Category::ALL {
            let of = self
                .done
                .iter()
                .filter(|done| done.row.category == category);
            let shown = of.filter(|done| match Mark::from(&done.outcome) {
                Mark::Success => !is_short,
                Mark::Skipped => self.style.is_verbose && !is_short,
                Mark::Warning | Mark::Error => true,
            });
            let mut shown = shown.peekable();
            if shown.peek().is_none() {
                continue;
            }
            let name = category.name();
            let _ = writeln!(text, "{name}\n{}", "-".repeat(name.len()));
            for done in shown {
                text += &self.lines(done);
            }
            text += "\n";
        }
        let mark = match (self.errors(), self.warnings()) {
            (0, 0) if is_short => return text,
            (0, 0) => Mark::Success,
            (0, _) => Mark::Warning,
            _ => Mark::Error,
        };
        text += &self.summary(mark);
        text
    }

    fn lines(&self, done: &Done) -> String {
        let mark = self.style.mark(Mark::from(&done.outcome));
        let title = done.row.title;
        let mut text = format!("{mark} {title}\n");
        match &done.outcome {
            Outcome::Success => {}
            Outcome::Skipped(reason) => {
                let _ = writeln!(text, "    skipped: {reason}");
            }
            Outcome::Stopped(id) => {
                let _ = writeln!(text, "    skipped: it needs {id}");
            }
            Outcome::Found { cause, remedy, .. } => {
                for line in cause.lines() {
                    let _ = writeln!(text, "    {line}");
                }
                let _ = writeln!(
                    text,
                    "    to do: {remedy}\n    see {}",
                    hint(done.row.anchor())
                );
            }
        }
        text
    }

    fn summary(&self, mark: Mark) -> String {
        let of = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let mut parts = vec![of(self.count(Mark::Success), "check") + " passed"];
        let counts = [(self.errors(), "error"), (self.warnings(), "warning")];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        parts.extend(counts.map(|(count, what)| of(count, what)));
        let stopped = self
            .done
            .iter()
            .filter(|done| matches!(done.outcome, Outcome::Stopped(_)));
        match stopped.count() {
            0 => {}
            count => parts.push(format!("{count} not made, since what they need failed")),
        }
        format!(
            "Status check results are {}: {}\n",
            self.style.mark(mark).trim_end(),
            parts.join(", ")
        )
    }

    /// What `linkerd check -o json` prints, and more (operations.md 12.1).
    pub(super) fn json(&self) -> Value {
        let categories = Category::ALL.into_iter().filter_map(|category| {
            let of = self
                .done
                .iter()
                .filter(|done| done.row.category == category);
            let checks: Vec<_> = of.filter_map(check).collect();
            (!checks.is_empty()).then(|| json!({"categoryName": category.name(), "checks": checks}))
        });
        let categories: Vec<_> = categories.collect();
        let skipped = self.done.iter().filter_map(|done| {
            let reason = match &done.outcome {
                Outcome::Skipped(reason) => reason.clone(),
                Outcome::Stopped(id) => format!("it needs {id}"),
                Outcome::Success | Outcome::Found { .. } => return None,
            };
            let (id, category) = (done.row.id, done.row.category.name());
            Some(json!({"id": id, "category": category, "reason": reason}))
        });
        json!({
            "success": self.errors() == 0,
            "categories": categories,
            "skipped": skipped.collect::<Vec<_>>(),
        })
    }
}

/// Where it says more about a check.
fn hint(anchor: &str) -> String {
    format!("{PAGE}#{anchor}")
}

/// What a program is told of a check that was made.
fn check(done: &Done) -> Option<Value> {
    let row = done.row;
    let mut check = json!({
        "id": row.id,
        "category": row.category.name(),
        "description": row.title,
        "severity": row.severity,
        "durationMs": u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
    });
    check["result"] = match &done.outcome {
        Outcome::Success => "success",
        Outcome::Skipped(_) | Outcome::Stopped(_) => return None,
        Outcome::Found {
            is_error,
            cause,
            remedy,
        } => {
            check["error"] = cause.clone().into();
            check["remedy"] = remedy.clone().into();
            check["hint"] = hint(row.anchor()).into();
            if *is_error { "error" } else { "warning" }
        }
    }
    .into();
    debug_assert!(row.severity != Severity::Warning || check["result"] != "error");
    Some(check)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::cluster::table;
    use std::time::Duration;

    const PLAIN: Style = Style {
        is_terminal: false,
        has_colours: false,
        is_verbose: false,
    };

    fn report(style: Style) -> Report {
        let found = |is_error, cause: &str| Outcome::Found {
            is_error,
            cause: cause.to_owned(),
            remedy: "do this".to_owned(),
        };
        let outcomes = [
            ("k8s-api-client", Outcome::Success),
            (
                "k8s-api-version",
                found(true, "nobody answers\nnobody at all"),
            ),
            ("k8s-api-clock-skew", found(false, "it is late")),
            ("k8s-version", Outcome::Stopped("k8s-api-version")),
            (
                "cni-plugin-ready",
                Outcome::Skipped("cniEnabled is not set".to_owned()),
            ),
        ];
        let done = outcomes.into_iter().map(|(id, outcome)| Done {
            row: table::all().into_iter().find(|row| row.id == id).unwrap(),
            outcome,
            took: Duration::from_millis(7),
        });
        Report {
            done: done.collect(),
            style,
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_check_and_below_it_cause_and_remedy() {
        assert_eq!(
            report(PLAIN).table(false),
            "kubernetes-api\n\
             --------------\n\
             ok   there is a kubeconfig that says where the API server is\n\
             FAIL the API server answers\n\
             \x20   nobody answers\n\
             \x20   nobody at all\n\
             \x20   to do: do this\n\
             \x20   see docs/checks.md#k8s-api\n\
             warn the clocks of the API server and of this machine agree\n\
             \x20   it is late\n\
             \x20   to do: do this\n\
             \x20   see docs/checks.md#pre-k8s-clock-skew\n\
             \n\
             Status check results are FAIL: 1 check passed, 1 error, 1 warning, 1 not made, since \
             what they need failed\n"
        );
    }

    #[test]
    fn what_is_short_has_only_what_is_wrong() {
        let text = report(PLAIN).table(true);
        assert!(!text.contains("ok   "), "{text}");
        assert!(text.contains("FAIL the API server answers"), "{text}");
        let mut good = report(PLAIN);
        good.done.truncate(1);
        assert_eq!(good.table(true), "");
    }

    #[test]
    fn a_terminal_has_signs_and_colours_and_says_what_was_skipped_if_asked() {
        let style = Style {
            is_terminal: true,
            has_colours: false,
            is_verbose: true,
        };
        let text = report(style).table(false);
        for line in [
            "√ there is a kubeconfig",
            "× the API server answers",
            "‼ the clocks",
            "- the API server is of a version that is supported\n    skipped: it needs k8s-api-version",
            "skipped: cniEnabled is not set",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let text = report(Style {
            has_colours: true,
            ..style
        })
        .table(false);
        assert!(text.contains("\x1b[31m×\x1b[0m the API server"), "{text}");
    }

    #[test]
    fn json_is_linkerds_with_an_id_and_a_remedy() {
        let printed = report(PLAIN).json();
        assert_eq!(printed["success"], false);
        assert_eq!(printed["categories"].as_array().map(Vec::len), Some(1));
        let api = &printed["categories"][0];
        assert_eq!(api["categoryName"], "kubernetes-api");
        assert_eq!(
            api["checks"][1],
            json!({
                "id": "k8s-api-version",
                "category": "kubernetes-api",
                "description": "the API server answers",
                "severity": "fatal",
                "result": "error",
                "error": "nobody answers\nnobody at all",
                "remedy": "do this",
                "hint": "docs/checks.md#k8s-api",
                "durationMs": 7,
            })
        );
        assert_eq!(api["checks"][2]["result"], "warning");
        assert_eq!(
            printed["skipped"][0],
            json!({
                "id": "k8s-version", "category": "kubernetes-version",
                "reason": "it needs k8s-api-version",
            })
        );
    }
}
