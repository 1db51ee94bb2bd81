//! Standard output: aligned columns for people, JSON for programs.

use crate::Error;
use clap::Args;
use comfy_table::{Cell, ContentArrangement, Table, presets};
use serde::Serialize;
use std::{
    convert::Infallible,
    io::{self, IsTerminal as _, Write},
};

/// Whether there are colours.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Colours {
    /// No colours, on a terminal either
    #[arg(long, env = "NO_COLOR", value_parser = is_set)]
    no_color: bool,
}

/// Whatever is written there counts, as <https://no-color.org> has it.
fn is_set(text: &str) -> Result<bool, Infallible> {
    Ok(!text.is_empty())
}

impl Colours {
    /// Whether standard output is for a person who wants them.
    pub(crate) fn are_wanted(self) -> bool {
        io::stdout().is_terminal() && !self.no_color
    }
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for people; with --watch, then a line for each change
    #[default]
    Table,
    /// All of it for programs; with --watch, an object a line for each event
    Json,
}

/// Columns separated by three spaces, nothing else, as kubectl prints them.
pub(crate) fn table<R: IntoIterator<Item = String>>(
    header: Option<&[&str]>,
    rows: impl IntoIterator<Item = R>,
) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if let Some(header) = header {
        table.add_row(header.iter().map(Cell::new));
    }
    for row in rows {
        table.add_row(row.into_iter().map(Cell::new));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table.trim_fmt()
}

/// Prints text and ends the line.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Prints text that ends its own lines.
pub(crate) fn print_as_it_is(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// No error if whoever read the output, `head` say, has seen enough.
pub(crate) fn seen_enough(result: Result<(), Error>) -> Result<(), Error> {
    match result {
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Prints a value over several lines.
pub(crate) fn print_json(value: &impl Serialize) -> io::Result<()> {
    print(&serde_json::to_string_pretty(value).map_err(io::Error::from)?)
}

/// Prints a value on a line of its own.
pub(crate) fn print_json_line(value: &impl Serialize) -> io::Result<()> {
    print(&serde_json::to_string(value).map_err(io::Error::from)?)
}

/// Tells the user what belongs to no answer.
pub(crate) fn note(text: &str) {
    // Nothing can be said to who closed standard error.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A span of seconds in the largest unit that leaves two of it: `90d`, `47h`,
/// `119m`.
pub(crate) fn span(seconds: impl Into<i128>) -> String {
    let seconds = seconds.into();
    for (unit, size) in [("d", 24 * 3600), ("h", 3600), ("m", 60)] {
        if seconds >= 2 * size {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

/// The time of day where the user is.
pub(crate) fn clock() -> String {
    jiff::Zoned::now().strftime("%H:%M:%S%.3f").to_string()
}

/// The time for programs: RFC 3339, UTC.
pub(crate) fn timestamp() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        colours: Colours,
    }

    #[test]
    fn no_colours_is_said_by_a_flag_or_by_any_text_in_the_variable() {
        let flag = Command::try_parse_from(["command", "--no-color"]).unwrap();
        assert!(flag.colours.no_color);
        for (text, counts) in [("1", true), ("0", true), ("false", true), ("", false)] {
            assert_eq!(is_set(text), Ok(counts), "{text:?}");
        }
    }
}
