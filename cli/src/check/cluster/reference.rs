//! The page that explains every check, `docs/checks.md`.

use super::{
    row::{Category, Row},
    table,
};
use std::fmt::Write as _;

/// The reference page of checks, `docs/checks.md`.
pub fn reference() -> String {
    let mut page = INTRODUCTION.to_owned();
    for category in Category::ALL {
        let _ = writeln!(page, "\n## {}\n\n{}", category.name(), when(category));
        let mut anchors: Vec<&str> = Vec::new();
        for row in table::of_category(category) {
            if !anchors.contains(&row.anchor()) {
                anchors.push(row.anchor());
            }
        }
        for anchor in anchors {
            // Names of one anchor in several categories go to the first.
            let first = table::all().into_iter().find(|row| row.anchor() == anchor);
            if first.is_some_and(|row| row.category == category) {
                let _ = writeln!(page, "\n<a id=\"{anchor}\"></a>");
            }
            let rows = table::of_category(category).filter(|row| row.anchor() == anchor);
            rows.for_each(|row| page += &section(row));
        }
    }
    page += NOT_HERE;
    for (what, why) in table::LEFT_OUT {
        let _ = writeln!(page, "| {what} | {why} |");
    }
    page
}

fn section(row: &Row) -> String {
    let retried = if row.retried { ", waited for" } else { "" };
    let needs: Vec<_> = row.needs.iter().map(|need| format!("`{need}`")).collect();
    let needs = match needs.is_empty() {
        true => String::new(),
        false => format!("\n- needs: {}", needs.join(", ")),
    };
    let after: Vec<_> = row
        .after
        .iter()
        .filter(|id| **id != "k8s-api-version")
        .collect();
    let after: Vec<_> = after.into_iter().map(|id| format!("`{id}`")).collect();
    let after = match after.is_empty() {
        true => String::new(),
        false => format!("\n- not made if this fails: {}", after.join(", ")),
    };
    format!(
        "\n### {}\n\n{}.\n\n- {}{retried}{needs}{after}\n- if not: {}\n",
        row.id,
        capitalised(row.title),
        row.severity.as_str(),
        row.remedy,
    )
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn when(category: Category) -> &'static str {
    match category {
        Category::KubernetesApi | Category::KubernetesVersion | Category::GatewayApi => "Always.",
        Category::Setup => "With `--pre`.",
        Category::Definitions => "With `--crds`.",
        Category::Cni => {
            "After an installation, where `cniEnabled` is set; with `--pre \
             --linkerd-cni-enabled` before it."
        }
        Category::DataPlane | Category::DataPlaneIdentity => "With `--proxy`.",
        Category::Version | Category::Extensions => "After an installation, without `--proxy`.",
        Category::Existence
        | Category::Config
        | Category::Identity
        | Category::Webhooks
        | Category::ControlPlane
        | Category::HighAvailability => "After an installation.",
    }
}

const INTRODUCTION: &str = "\
# Checks

<!-- Written by `make docs` from the tables in cli/src/check/cluster. -->

What `ferrule check` looks at, and what to do about each failure. `ferrule check --pre`
is for before an installation, `ferrule check` for after it, `ferrule check --proxy`
looks at workloads, too (`-n` names one namespace), `ferrule check --crds` at the
definitions alone.

| severity | a failure |
|---|---|
| fatal | is an error, and checks that make no sense without this one are not made |
| error | is an error: exit code 1 |
| warning | changes the exit code only with `--fail-on-warning`: 2 if there are no errors |

What is \"waited for\" is looked at again every five seconds for as long as `--wait` says
(five minutes; `--wait 0s` looks once). Checks only read, but for dry runs, by which the
API server calls the webhooks and stores nothing. What you may not read is a warning
that says what you may not (`skipped: forbidden: you may not ...`). What is about
something that is not there is left out; `--verbose` says what and why.

`-o json` prints `success`, `categories` (each with `categoryName` and `checks`) and
`skipped`. A check has `id`, `category`, `description`, `severity` (`fatal`, `error`,
`warning`), `result` (`success`, `warning`, `error`), `durationMs`, and where it is not well
`error` (the cause), `remedy` and `hint` (where on this page it is). Ids are stable. They
are Linkerd's where Linkerd has such a check; where it has one name for several, each has
something more.

`ferrule check --manifests` looks at files instead, without a cluster.
";

const NOT_HERE: &str = "
## What Linkerd has and Ferrule does not

| check | because |
|---|---|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_docs_is_the_table() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/checks.md");
        let page = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            page == reference(),
            "docs/checks.md is not what the tables of checks say: run `make docs`"
        );
    }

    #[test]
    fn every_anchor_is_on_the_page_once() {
        let page = reference();
        for row in table::all() {
            let anchor = format!("<a id=\"{}\"></a>", row.anchor());
            assert_eq!(page.matches(&anchor).count(), 1, "{}", row.anchor());
        }
    }
}
