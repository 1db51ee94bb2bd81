//! What was measured, as a table to read and as JSON to compare.

use std::fmt;
use std::fs;

use jiff::Zoned;
use serde::Serialize;

/// One number, and what it must reach: not exceed, but for rates.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) row: String,
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) measured: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<f64>,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
    Mib,
    /// Millions of bytes, as downloads are.
    Megabytes,
    Kib,
    Times,
    Messages,
    /// Of what was done.
    Count,
    /// A rate.
    PerSecond,
}

impl Finding {
    fn verdict(&self) -> &'static str {
        match self.target {
            None => "",
            Some(target) if self.unit.reaches(self.measured, target) => "ok",
            Some(_) => "**miss**",
        }
    }
}

impl Unit {
    fn reaches(self, measured: f64, target: f64) -> bool {
        match self {
            Self::PerSecond => measured >= target,
            _ => measured <= target,
        }
    }

    fn show(self, value: f64) -> String {
        match self {
            Self::Seconds => format!("{value:.3} s"),
            Self::Milliseconds => format!("{value:.2} ms"),
            Self::Microseconds => format!("{value:.1} us"),
            Self::Mib => format!("{value:.1} MiB"),
            Self::Megabytes => format!("{value:.1} MB"),
            Self::Kib => format!("{value:.2} KiB"),
            Self::Times => format!("{value:.2}x"),
            Self::Messages | Self::Count => format!("{value}"),
            Self::PerSecond => format!("{value:.0}/s"),
        }
    }
}

/// Where and when it was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Circumstances {
    date: String,
    processor: String,
    cores: usize,
    memory: String,
    kernel: String,
    release: bool,
}

impl Circumstances {
    pub(crate) fn now() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let value = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or("unknown".to_owned(), |(_, value)| value.trim().to_owned())
        };
        Self {
            date: Zoned::now().date().to_string(),
            processor: value(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(0, Into::into),
            memory: value(&read("/proc/meminfo"), "MemTotal"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            release: cfg!(not(debug_assertions)),
        }
    }
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Results {
    pub(crate) circumstances: Circumstances,
    pub(crate) findings: Vec<Finding>,
    /// Rows that could not be measured, and why.
    pub(crate) failures: Vec<(String, String)>,
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Circumstances {
            date,
            processor,
            cores,
            memory,
            kernel,
            release,
        } = &self.circumstances;
        writeln!(
            f,
            "{date}; {cores} cores of {processor}, {memory}, Linux {kernel}"
        )?;
        if !release {
            writeln!(
                f,
                "The generator is a debug build: these numbers mean nothing."
            )?;
        }
        writeln!(f)?;
        let header = ["row", "what", "target", "measured", ""].map(str::to_owned);
        let rows = self.findings.iter().map(|finding| {
            let target = finding.target.map(|target| finding.unit.show(target));
            [
                finding.row.clone(),
                finding.what.clone(),
                target.unwrap_or_default(),
                finding.unit.show(finding.measured),
                finding.verdict().to_owned(),
            ]
        });
        write_table(f, &std::iter::once(header).chain(rows).collect::<Vec<_>>())?;
        for (row, reason) in &self.failures {
            writeln!(f, "\n{row} could not be measured: {reason}")?;
        }
        Ok(())
    }
}

/// Markdown, aligned for those who read it as it is.
fn write_table(f: &mut fmt::Formatter<'_>, lines: &[[String; 5]]) -> fmt::Result {
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].len())
            .max()
            .unwrap_or(0)
    };
    let widths = [0, 1, 2, 3, 4].map(width);
    for (number, line) in lines.iter().enumerate() {
        write!(f, "|")?;
        for (cell, width) in line.iter().zip(widths) {
            write!(f, " {cell:width$} |")?;
        }
        writeln!(f)?;
        if number == 0 {
            let rule = widths.map(|width| "-".repeat(width + 2)).join("|");
            writeln!(f, "|{rule}|")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_reaches_its_target_is_ok() {
        let verdict = |unit, measured, target| {
            let finding = Finding {
                row: String::new(),
                what: String::new(),
                unit,
                measured,
                target,
            };
            finding.verdict()
        };
        for (unit, measured, target, expected) in [
            (Unit::Seconds, 2.0, Some(2.0), "ok"),
            (Unit::Seconds, 2.1, Some(2.0), "**miss**"),
            (Unit::Seconds, 2.1, None, ""),
            (Unit::PerSecond, 3_000.0, Some(3_000.0), "ok"),
            (Unit::PerSecond, 2_999.0, Some(3_000.0), "**miss**"),
        ] {
            let found = verdict(unit, measured, target);
            assert_eq!(found, expected, "{measured} for {target:?}");
        }
    }
}
