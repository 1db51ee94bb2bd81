//! What is waited for, on standard error.

use super::engine::{Done, Outcome};
use crate::output::{note, span};
use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

/// Says what is waited for: in one line that changes on a terminal, else in a line
/// whenever it is something else.
pub(super) struct Progress {
    is_terminal: bool,
    last: String,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            last: String::new(),
        }
    }

    /// These checks are tried again for so long.
    pub(super) fn waiting<'a>(&mut self, all: impl Iterator<Item = &'a Done>, left: Duration) {
        let all: Vec<_> = all.collect();
        let Some(first) = all.first() else { return };
        let cause = match &first.outcome {
            Outcome::Found { cause, .. } => cause.lines().next().unwrap_or_default(),
            _ => "",
        };
        let more = match all.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let text = format!("waiting for: {}: {cause}{more}", first.row.title);
        if self.is_terminal {
            let mut stderr = io::stderr().lock();
            // Nothing can be said to who closed standard error.
            let _ = write!(stderr, "\r\x1b[2K{text}, {} left", span(left.as_secs()));
            let _ = stderr.flush();
        } else if text != self.last {
            note(&format!("{text}; at most {} longer", span(left.as_secs())));
        }
        self.last = text;
    }

    /// Nothing is waited for any more.
    pub(super) fn done(&mut self) {
        if self.is_terminal && !self.last.is_empty() {
            let mut stderr = io::stderr().lock();
            let _ = write!(stderr, "\r\x1b[2K");
            let _ = stderr.flush();
        }
    }
}
