//! What a PromQL expression is about: metrics, labels and values of labels, by regular
//! expressions. A parser of PromQL brings twenty crates, for five kinds of token.

use regex::Regex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// What proxies have that is asked for (operations.md 13.6), and what Linkerd's
/// multicluster extension has.
const OF_OTHERS: [&str; 15] = [
    "request_total",
    "response_total",
    "response_latency_ms",
    "tcp_open_connections",
    "tcp_open_total",
    "tcp_read_bytes_total",
    "tcp_write_bytes_total",
    "route_response_total",
    "route_response_latency_ms",
    "inbound_http_authz_allow_total",
    "inbound_http_authz_deny_total",
    "identity_cert_expiration_timestamp_seconds",
    "process_resident_memory_bytes",
    "gateway_alive",
    // Prometheus' own.
    "up",
];
/// Labels of proxies' metrics, with their values; empty where there is no fixed set.
const OF_PROXIES: [(&str, &[&str]); 5] = [
    ("direction", &["inbound", "outbound"]),
    ("classification", &["success", "failure"]),
    ("tls", &["true"]),
    ("peer", &["src", "dst"]),
    ("dst_service", &[]),
];
/// Labels that a scrape adds.
const SCRAPED: [&str; 5] = ["namespace", "pod", "container", "component", "job"];
/// What `container` and `component` are, where this chart has them scraped.
const COMPONENTS: [&str; 3] = ["destination", "identity", "proxy-injector"];
/// What the PodMonitor of proxies makes of the label that says whose a pod is
/// (operations.md 13.6).
pub(super) const WORKLOADS: [&str; 7] = [
    "deployment",
    "statefulset",
    "daemonset",
    "replicaset",
    "replicationcontroller",
    "k8s_job",
    "cronjob",
];
const WORDS: [&str; 8] = [
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "inf",
    "group_left",
    "group_right",
];

static METRIC: LazyLock<Regex> = LazyLock::new(|| regex("[a-zA-Z_:][a-zA-Z0-9_:]*"));
pub(super) static GROUPING: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"));
static SELECTOR: LazyLock<Regex> = LazyLock::new(|| regex(r"([a-zA-Z0-9_:]+)\{([^}]*)\}"));
static MATCHER: LazyLock<Regex> = LazyLock::new(|| regex(r#"(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)""#));
static RANGE: LazyLock<Regex> = LazyLock::new(|| regex(r"\[[^\]]*\]"));
static ROW: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^\| `([a-z_]+)(?:\{([a-z_,]*)\})?` \| (\w+) \|"));

pub(super) fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a literal")
}

/// The metrics of docs/metrics.md, which is made of what is registered.
pub(super) struct Metrics(BTreeMap<String, Metric>);

struct Metric {
    is_histogram: bool,
    labels: BTreeSet<String>,
    /// Those that the page says of it: in its row, and beside the tables of its section.
    words: BTreeSet<String>,
}

impl Metrics {
    pub(super) fn of_page(page: &str) -> Self {
        Self(page.split("\n## ").flat_map(section).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// By the name of a sample.
    fn find(&self, sample: &str) -> Option<&Metric> {
        let plain = self.0.get(sample).filter(|metric| !metric.is_histogram);
        let mut family = ["_bucket", "_sum", "_count"].iter();
        let family = family.find_map(|suffix| self.0.get(sample.strip_suffix(suffix)?));
        plain.or(family.filter(|metric| metric.is_histogram))
    }

    /// What in an expression is of none of them.
    pub(super) fn unknown(&self, expression: &str) -> Vec<String> {
        let mut unknown = Vec::new();
        for selector in SELECTOR.captures_iter(expression) {
            for matcher in MATCHER.captures_iter(&selector[2]) {
                self.check_matcher(&selector[1], &matcher, &mut unknown);
            }
        }
        let plain = RANGE.replace_all(expression, " ");
        let plain = SELECTOR.replace_all(&plain, "$1 ");
        for grouping in GROUPING.captures_iter(&plain) {
            let whole = grouping.get(0).expect("it has matched");
            let scope = match &grouping[1] {
                "by" | "without" => aggregated(&plain, whole.start(), whole.end()),
                _ => &plain,
            };
            for sample in samples(scope) {
                for label in grouping[2].split(',').map(str::trim) {
                    if !self.has(sample, label) {
                        unknown.push(format!("{sample} by {label}"));
                    }
                }
            }
        }
        let names = samples(&plain).filter(|name| !is_of_others(name));
        let names = names.filter(|name| self.find(name).is_none());
        unknown.extend(names.map(ToOwned::to_owned));
        unknown
    }

    fn has(&self, sample: &str, label: &str) -> bool {
        SCRAPED.contains(&label)
            || label == "le" && sample.ends_with("_bucket")
            || is_of_others(sample)
                && (WORKLOADS.contains(&label) || OF_PROXIES.iter().any(|(of, _)| *of == label))
            || self
                .find(sample)
                .is_some_and(|of| of.labels.contains(label))
    }

    fn check_matcher(
        &self,
        sample: &str,
        matcher: &regex::Captures<'_>,
        unknown: &mut Vec<String>,
    ) {
        let (label, operator, text) = (&matcher[1], &matcher[2], &matcher[3]);
        if !self.has(sample, label) {
            unknown.push(format!("{sample}{{{label}}}"));
            return;
        }
        let is_known = |value: &str| {
            if label == "component" || label == "container" {
                return COMPONENTS.contains(&value);
            }
            match self.find(sample) {
                _ if SCRAPED.contains(&label) => true,
                Some(metric) => metric.words.contains(value),
                None => OF_PROXIES.iter().all(|(of, values)| {
                    *of != label || values.is_empty() || values.contains(&value)
                }),
            }
        };
        for value in values(text, operator.ends_with('~')) {
            if !is_known(&value) {
                unknown.push(format!("{sample}{{{label}={value}}}"));
            }
        }
    }
}

/// The metrics of a section of the page.
fn section(section: &str) -> Vec<(String, Metric)> {
    let text: String = section.split("```").step_by(2).collect();
    let (rows, prose): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with('|'));
    let rows = rows
        .iter()
        .filter_map(|line| Some((line, ROW.captures(line)?)));
    let metrics = rows.map(|(line, row)| {
        let labels = row.get(2).map_or("", |labels| labels.as_str());
        let metric = Metric {
            is_histogram: &row[3] == "histogram",
            labels: labels.split(',').map(ToOwned::to_owned).collect(),
            words: prose
                .iter()
                .chain([line])
                .flat_map(|line| words(line))
                .collect(),
        };
        (row[1].to_owned(), metric)
    });
    metrics.collect()
}

fn words(line: &str) -> impl Iterator<Item = String> {
    let is_of_word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let words = line.split(move |c| !is_of_word(c));
    words.map(|word| word.trim_matches('.').to_owned())
}

/// What is compared with; without patterns, numbers, and variables of dashboards.
fn values(text: &str, is_regex: bool) -> Vec<String> {
    if text.starts_with('$') {
        return Vec::new();
    }
    let alternatives = text.split('|').filter(|_| is_regex);
    let alternatives = alternatives.chain(Some(text).filter(|_| !is_regex));
    // A dot that is no pattern.
    let alternatives = alternatives.filter(|value| {
        let value = value.replace("[.]", "");
        !is_regex || !value.contains(|c: char| ".*+?[]()^\\".contains(c))
    });
    let is_number = |value: &String| value.chars().all(|c| c.is_ascii_digit());
    let values = alternatives.map(|value| value.replace("[.]", "."));
    values.filter(|value| !is_number(value)).collect()
}

/// The metrics of an expression without labels.
fn samples(expression: &str) -> impl Iterator<Item = &str> {
    let groupings: Vec<_> = GROUPING
        .find_iter(expression)
        .map(|found| found.range())
        .collect();
    METRIC.find_iter(expression).filter_map(move |name| {
        let is_function = expression[name.end()..].trim_start().starts_with('(');
        let follows_number = expression[..name.start()].ends_with(|c: char| c.is_ascii_digit());
        let is_label = groupings.iter().any(|range| range.contains(&name.start()));
        let word = name.as_str();
        // As in `sum by (...) (...)`.
        let is_aggregation = groupings.iter().any(|range| {
            range.start >= name.end() && expression[name.end()..range.start].trim().is_empty()
        });
        let is_word = is_function || is_aggregation || is_label || WORDS.contains(&word);
        (!is_word && !follows_number).then_some(word)
    })
}

fn is_of_others(sample: &str) -> bool {
    OF_OTHERS.contains(&sample.trim_end_matches("_bucket"))
}

/// What a `by (...)` between these bytes is about: the brackets after it, or before it.
fn aggregated(expression: &str, start: usize, end: usize) -> &str {
    let after = &expression[end..];
    if after.trim_start().starts_with('(') {
        return &after[..balanced(after.chars())];
    }
    let before = &expression[..start];
    &before[before.len() - balanced(before.chars().rev())..]
}

/// How many bytes it takes until each bracket has its other.
fn balanced(characters: impl Iterator<Item = char>) -> usize {
    let (mut length, mut open, mut begun) = (0, 0_i32, false);
    for c in characters {
        length += c.len_utf8();
        open += i32::from(c == '(') - i32::from(c == ')');
        begun |= open != 0;
        if begun && open == 0 {
            break;
        }
    }
    length
}

#[test]
fn what_is_not_there_is_found() {
    let page = "\n## A\n\n`kind` is Pod or Route.x.io.\n\n| `age{kind}` | gauge | Its age |\n\
        | `errors_total{kind,reason}` | counter | By reason: timeout, not_found |\n\
        | `took{step}` | histogram | How long |\n| `views` | gauge | Views |\n\
        ```\nrate(errors_total{reason=\"example\"}[1m])\n```\n";
    let metrics = Metrics::of_page(page);
    for (expression, unknown) in [
        ("rate(errors_total{kind=\"Pod\"}[5m]) > 0.1", vec![]),
        (
            "rate(errors{kind=\"Pod\"}[5m]) > 1e3",
            vec!["errors{kind}", "errors"],
        ),
        ("age{reason=\"x\"} > 1", vec!["age{reason}"]),
        ("age{kind=~\"Pod|Route[.]x[.]io|R.*\"}", vec![]),
        (
            "age{kind=~\"Pod|Pods\",namespace=\"a\"}",
            vec!["age{kind=Pods}"],
        ),
        ("errors_total{reason!=\"not_found\"}", vec![]),
        (
            "errors_total{reason=\"example\"}",
            vec!["errors_total{reason=example}"],
        ),
        (
            "views{component=\"identiy\"}",
            vec!["views{component=identiy}"],
        ),
        (
            "sum by (le, nothing) (views) == 0",
            vec!["views by le", "views by nothing"],
        ),
        (
            "sum by (kind) (age) / sum by (reason) (errors_total)",
            vec![],
        ),
        ("sum(age) by (reason) > 0", vec!["age by reason"]),
        (
            "age unless on (pod, reason) errors_total",
            vec!["age by reason"],
        ),
        ("sum by (le, step) (rate(took_bucket[1m]))", vec![]),
        ("took > 1", vec!["took"]),
        ("took_count > 1", vec![]),
        ("views_bucket > 1", vec!["views_bucket"]),
        (
            "sum by (cronjob) (response_total{direction=\"inbound\"})",
            vec![],
        ),
        (
            "response_total{direction=\"in\"}",
            vec!["response_total{direction=in}"],
        ),
        ("sum by (cronjob) (views)", vec!["views by cronjob"]),
    ] {
        assert_eq!(metrics.unknown(expression), unknown, "{expression}");
    }
}
