//! The tables of docs/metrics.md, made of what the collectors register.

use super::{Part, writer::Declared};
use prometheus_client::{metrics::MetricType, registry::Registry};
use std::{cell::RefCell, fmt::Write as _};

thread_local! {
    static DECLARED: RefCell<Vec<Metric>> = const { RefCell::new(Vec::new()) };
}

/// A family of samples as it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Metric {
    /// As in queries.
    pub(super) name: String,
    kind: &'static str,
    labels: Vec<String>,
    help: String,
}

/// Notes a family that is being written.
pub(super) fn declare(declared: &Declared<'_>, help: &str, metric_type: MetricType) {
    let (suffix, kind) = match metric_type {
        MetricType::Counter => ("_total", "counter"),
        MetricType::Gauge => ("", "gauge"),
        MetricType::Histogram => ("", "histogram"),
        // What grows, and has a name that OpenMetrics does not allow a counter.
        _ => ("", "counter"),
    };
    let metric = Metric {
        name: format!("{}{suffix}", declared.name),
        kind,
        labels: declared.labels().map(ToOwned::to_owned).collect(),
        help: help.to_owned(),
    };
    DECLARED.with_borrow_mut(|all| all.push(metric));
}

/// What a collector registers.
fn metrics(part: Part) -> Vec<Metric> {
    let mut registry = Registry::default();
    registry.register_collector(part.collector);
    DECLARED.take();
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("a String");
    DECLARED.take()
}

/// A table of the page: its name, whose it is, and its rows.
pub(super) struct Table {
    pub(super) name: &'static str,
    text: String,
    pub(super) metrics: Vec<Metric>,
}

/// All tables, those of parts that share one joined.
pub(super) fn tables(parts: Vec<Part>) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for part in parts {
        let (name, roles) = (part.table, part.roles);
        let metrics = metrics(part);
        match tables.iter_mut().find(|table| table.name == name) {
            Some(table) => table.metrics.extend(metrics),
            None => {
                let roles: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
                let text = match roles.split_last() {
                    None => "In every process:".to_owned(),
                    Some((role, [])) => format!("With the role {role}:"),
                    Some((role, others)) => {
                        format!("With the roles {} or {role}:", others.join(", "))
                    }
                };
                tables.push(Table {
                    name,
                    text,
                    metrics,
                });
            }
        }
    }
    tables
}

impl Table {
    fn markdown(&self) -> String {
        let mut text = format!(
            "\n{}\n\n| metric | type | meaning |\n|---|---|---|\n",
            self.text
        );
        for Metric {
            name,
            kind,
            labels,
            help,
        } in &self.metrics
        {
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!("{{{}}}", labels.join(","))
            };
            let help = help.replace('|', "\\|");
            let _ = writeln!(text, "| `{name}{labels}` | {kind} | {help} |");
        }
        text.push('\n');
        text
    }
}

/// The page with these tables in their places.
///
/// # Panics
/// If one has no place, or a place no table.
pub(super) fn page(page: &str, tables: &[Table]) -> String {
    let mut rest = page;
    let mut written = String::new();
    let mut places = Vec::new();
    while let Some((before, after)) = rest.split_once("<!-- metrics: ") {
        let (name, after) = after.split_once(" -->\n").expect("a name");
        let (_, after) = after.split_once("<!-- end -->").expect("an end");
        let table = tables.iter().find(|table| table.name == name);
        let table = table.unwrap_or_else(|| panic!("there is no table {name:?}"));
        let _ = write!(
            written,
            "{before}<!-- metrics: {name} -->\n{}<!-- end -->",
            table.markdown()
        );
        places.push(name);
        rest = after;
    }
    written.push_str(rest);
    for table in tables {
        let found = places.iter().filter(|place| **place == table.name).count();
        assert_eq!(found, 1, "places of table {:?}", table.name);
    }
    written
}
