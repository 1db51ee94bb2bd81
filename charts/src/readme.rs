//! `README.md` of a chart: its values as tables.

use crate::values::{Row, Tag};
use std::fmt::Write as _;

/// The page, after its introduction.
pub(crate) fn readme(introduction: &str, rows: &[Row]) -> String {
    let mut page = introduction.to_owned();
    let mut section = None;
    for row in rows {
        if section != Some(&row.section) {
            section = Some(&row.section);
            let heading = if row.section.is_empty() {
                String::new()
            } else {
                format!("\n### {}\n", row.section)
            };
            let _ = write!(
                page,
                "{heading}\n| value | default | meaning |\n|---|---|---|\n"
            );
        }
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            row.name(),
            default(row),
            cell(&meaning(row))
        );
    }
    page
}

fn default(row: &Row) -> String {
    match &row.default {
        None => "not set".to_owned(),
        Some(default) => format!("`{}`", cell(&default.to_string())),
    }
}

fn meaning(row: &Row) -> String {
    let mut meaning = row.text.clone();
    for tag in &row.tags {
        match tag {
            Tag::Enum(texts) => {
                let texts: Vec<_> = texts.iter().map(|text| format!("`{text:?}`")).collect();
                let _ = write!(meaning, " One of {}.", texts.join(", "));
            }
            Tag::Resources if row.ignored().is_none() => {
                meaning.push_str(" `{cpu, memory, ephemeral-storage}.{request, limit}`.");
            }
            Tag::Config(who) => {
                let _ = write!(meaning, " Read by {who}; nothing else depends on it.");
            }
            Tag::Ignored(why) => {
                let _ = write!(meaning, " *Ignored*: {why}.");
            }
            Tag::Deprecated(instead) => {
                let _ = write!(meaning, " *Deprecated*: {instead}.");
            }
            _ => {}
        }
    }
    meaning.trim().to_owned()
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
