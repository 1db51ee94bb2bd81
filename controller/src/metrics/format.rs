//! The two text formats that Prometheus reads.

use std::fmt::Write as _;

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// OpenMetrics 1.0
    OpenMetrics,
    /// Prometheus' text format 0.0.4
    Text,
}

impl Format {
    /// The format for a client with these Accept headers: OpenMetrics for those
    /// who ask for it, text for everybody else, browsers among them.
    pub(crate) fn accepted<'a>(mut accept: impl Iterator<Item = &'a str>) -> Self {
        if accept.any(|value| value.contains("application/openmetrics-text")) {
            Format::OpenMetrics
        } else {
            Format::Text
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// OpenMetrics as the older format: there a counter is declared by the name of
/// its samples, whatever that is, and nothing marks the end.
pub(super) fn to_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                // What grows, and has a name that only this format allows.
                "unknown" => ("", "counter"),
                kind => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                let _ = writeln!(text, "# HELP {name}{suffix} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_who_ask() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4";
        for (accept, format) in [
            (vec![prometheus], Format::OpenMetrics),
            (vec!["text/html", "*/*"], Format::Text),
            (vec![], Format::Text),
        ] {
            assert_eq!(
                Format::accepted(accept.iter().copied()),
                format,
                "{accept:?}"
            );
        }
    }

    #[test]
    fn the_older_format_declares_counters_by_the_name_of_their_samples() {
        let open_metrics = "\
# HELP streams Streams.
# TYPE streams counter
streams_total{a=\"b\"} 3
# HELP known Known.
# TYPE known unknown
known 0
# EOF
";
        let text = "\
# HELP streams_total Streams.
# TYPE streams_total counter
streams_total{a=\"b\"} 3
# HELP known Known.
# TYPE known counter
known 0
";
        assert_eq!(to_text(open_metrics), text);
    }
}
