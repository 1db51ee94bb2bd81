//! `docs/alerts.md`: what `runbook.yaml` of the control plane's chart says of each alert.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// What an alert has in that file: the key, and what the page says before it.
const PARTS: [(&str, &str); 3] = [
    ("summary", ""),
    ("lost", "**Meanwhile**: "),
    ("first", "**First**: "),
];

/// The page; alerts are in the order of their names.
///
/// # Errors
/// If it is no YAML, or what an alert lacks.
pub(crate) fn page(runbook: &str) -> Result<String, String> {
    let alerts: Map<String, Value> =
        serde_yaml::from_str(runbook).map_err(|error| error.to_string())?;
    let mut alerts: Vec<_> = alerts.iter().collect();
    alerts.sort_by_key(|(name, _)| *name);
    let mut page = INTRODUCTION.to_owned();
    for (name, alert) in alerts {
        let part = |key: &str| match alert[key].as_str() {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(format!("{name} has no {key}")),
        };
        let _ = write!(page, "\n## {name}\n\n*{}.*", part("severity")?);
        for (key, before) in PARTS {
            let space = if before.is_empty() { " " } else { "\n\n" };
            let _ = write!(page, "{space}{before}{}", linked(part(key)?));
        }
        page.push('\n');
    }
    Ok(page)
}

/// Pages of docs/ that a text names are links in the page, which is there, too.
fn linked(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace).map(|word| {
        let Some((before, rest)) = word.split_once("docs/") else {
            return word.to_owned();
        };
        let is_of_path = |c: char| c.is_ascii_alphanumeric() || "-_#.".contains(c);
        let end = rest.find(|c| !is_of_path(c)).unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches('.');
        let name = path.split('#').next().unwrap_or(path);
        format!("{before}[{name}]({path}){}", &rest[path.len()..])
    });
    words.collect()
}

const INTRODUCTION: &str = "\
<!-- Made by `make charts` from charts/ferrule-control-plane/runbook.yaml: do not edit. -->

# Alerts

What each alert of the chart (`alerts.enabled`) means, what is lost until it is seen to, and
what to do first. The rules say the same in their annotations; with `alerts.runbookURL`
they also say where this page is. Metrics are in [metrics.md](metrics.md); by what one
sees rather than by alerts, see [troubleshooting.md](troubleshooting.md).
";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn pages_that_are_named_are_links() {
        for (text, expected) in [
            ("see docs/a.md.", "see [a.md](a.md)."),
            ("by (docs/a-b.md#c-d), e", "by ([a-b.md](a-b.md#c-d)), e"),
            ("docs/a.md and docs/b.md", "[a.md](a.md) and [b.md](b.md)"),
            ("none of docs", "none of docs"),
        ] {
            assert_eq!(linked(text), expected);
        }
    }

    #[test]
    fn an_alert_that_lacks_something_is_named() {
        let whole = "A: {severity: info, summary: B., lost: C., first: D.}";
        assert!(
            page(whole)
                .unwrap()
                .ends_with("\n## A\n\n*info.* B.\n\n**Meanwhile**: C.\n\n**First**: D.\n")
        );
        let error = page("A: {severity: info, summary: B., lost: C.}").unwrap_err();
        assert_eq!(error, "A has no first");
    }
}
