//! What is waited for, on standard error.

use crate::output::note;
use std::{
    io::{self, IsTerminal as _, Write as _},
    pin::pin,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long people wait without a sign.
const PATIENCE: Duration = Duration::from_secs(2);
const SECOND: Duration = Duration::from_secs(1);
/// What fits into a line of any terminal: a longer one would be two, of which one stays.
const WIDTH: usize = 79;

/// Says what is waited for: in one line that changes on a terminal, else in a line
/// whenever it is something else.
pub(crate) struct Progress {
    is_terminal: bool,
    last: String,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self {
            is_terminal: io::stderr().is_terminal(),
            last: String::new(),
        }
    }

    /// Shows what is waited for; the clock goes on by itself and is no news.
    pub(crate) fn show(&mut self, text: &str, clock: &str) {
        let Some(line) = self.line(text, clock) else {
            return;
        };
        if self.is_terminal {
            in_place(&line);
        } else {
            note(&line);
        }
    }

    /// Nothing is waited for any more.
    pub(crate) fn done(&mut self) {
        if self.is_terminal && !self.last.is_empty() {
            in_place("");
        }
        self.last.clear();
    }

    /// What is to be written, if that is news.
    fn line(&mut self, text: &str, clock: &str) -> Option<String> {
        let is_news = text != self.last;
        text.clone_into(&mut self.last);
        if !self.is_terminal {
            return is_news.then(|| format!("{text}{clock}"));
        }
        let room = WIDTH.saturating_sub(clock.chars().count());
        let shown = match text.chars().count() > room {
            true => text
                .chars()
                .take(room.saturating_sub(1))
                .chain(['…'])
                .collect(),
            false => text.to_owned(),
        };
        Some(shown + clock)
    }
}

/// Writes over what the line has.
fn in_place(text: &str) {
    let mut stderr = io::stderr().lock();
    // Nothing can be said to who closed standard error.
    let _ = write!(stderr, "\r\x1b[2K{text}");
    let _ = stderr.flush();
}

/// Waits for something, and says so where it takes longer than people wait without a sign.
pub(crate) async fn awaited<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let (start, mut progress) = (Instant::now(), Progress::new());
    let mut pause = PATIENCE;
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                progress.done();
                return done;
            }
            () = sleep(pause) => {
                let clock = match progress.is_terminal {
                    true => format!(" ({}s)", start.elapsed().as_secs()),
                    false => String::new(),
                };
                progress.show(what, &clock);
                pause = SECOND;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sees_the_clock_and_a_pipe_the_news() {
        for (is_terminal, expected) in [
            (
                true,
                [Some("pods (1s)"), Some("pods (2s)"), Some("nodes (3s)")],
            ),
            (false, [Some("pods (1s)"), None, Some("nodes (3s)")]),
        ] {
            let mut progress = Progress {
                is_terminal,
                last: String::new(),
            };
            let all = [("pods", " (1s)"), ("pods", " (2s)"), ("nodes", " (3s)")];
            let lines = all.map(|(text, clock)| progress.line(text, clock));
            let lines = lines.each_ref().map(Option::as_deref);
            assert_eq!(lines, expected, "terminal: {is_terminal}");
        }
    }

    #[test]
    fn a_line_on_a_terminal_is_one_line() {
        let mut progress = Progress {
            is_terminal: true,
            last: String::new(),
        };
        let line = progress.line(&"é".repeat(100), " (1s)").unwrap();
        assert_eq!(line.chars().count(), WIDTH);
        assert!(line.ends_with("é… (1s)"), "{line}");
    }

    #[tokio::test]
    async fn what_is_awaited_is_handed_on() {
        assert_eq!(awaited("an answer", async { 42 }).await, 42);
    }
}
