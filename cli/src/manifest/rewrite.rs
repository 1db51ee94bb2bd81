use super::{differences::differences, edit};
use ferrule_cluster::source::manifests::documents::parse_yaml;
use serde_json::Value;

/// A document's text that says what is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    pub(super) text: String,
    /// Whether all that did not have to change is as it was; else it was written
    /// anew, without its comments.
    pub(super) in_place: bool,
}

/// Changes the text of a document that says `from` so that it says `to`.
pub(super) fn rewrite(text: &str, from: &Value, to: &Value) -> Rewritten {
    let edited = differences(from, to)
        .iter()
        .try_fold(text.to_owned(), |text, operation| {
            edit::apply(&text, operation)
        });
    match edited.filter(|edited| says(edited, to)) {
        Some(text) => Rewritten {
            text,
            in_place: true,
        },
        None => Rewritten {
            text: anew(text, to),
            in_place: false,
        },
    }
}

fn says(text: &str, value: &Value) -> bool {
    parse_yaml(1, text).is_some_and(|document| document.content.as_ref() == Ok(value))
}

/// The value alone, between the line breaks that there were.
fn anew(old: &str, value: &Value) -> String {
    let first = if old.starts_with(['\n', '\r']) {
        "\n"
    } else {
        ""
    };
    let last = if old.ends_with('\n') { "\n" } else { "" };
    let yaml = serde_yaml::to_string(value).unwrap_or_default();
    let yaml = format!("{first}{}{last}", yaml.trim_end_matches('\n'));
    // JSON is YAML, and no value is beyond it.
    match says(&yaml, value) {
        true => yaml,
        false => format!("{first}{value}{last}"),
    }
}

#[cfg(test)]
mod tests;
