//! An explanation as people read it.

use super::explain::{Explanation, State};
use std::fmt::Write as _;

const GREEN: u8 = 32;
const RED: u8 = 31;
const BOLD: u8 = 1;

impl Explanation {
    /// In lines, each reason with what to do below it.
    pub(super) fn text(&self, has_colours: bool) -> String {
        let coloured = |text: &str, colour: u8| match has_colours {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        };
        let subject = &self.subject;
        let headline = match (self.state, self.reasons.is_empty()) {
            (State::Injected, true) => format!("{subject} has a proxy, as it would get today"),
            (State::Injected, false) => {
                format!("{subject} has a proxy, but not as it would get today:")
            }
            (State::WouldBeInjected, true) => {
                format!("{subject} gets a proxy: nothing is in the way")
            }
            (State::WouldBeInjected, false) => {
                format!("{subject} has no proxy, and would get one today:")
            }
            (State::NotInjected, _) => format!("{subject} gets no proxy:"),
            (State::Refused, _) => format!("{subject} is not created:"),
        };
        let is_well = self.reasons.is_empty();
        let mut text = coloured(&headline, if is_well { GREEN } else { RED }) + "\n";
        for (number, reason) in self.reasons.iter().enumerate() {
            let (number, cause, remedy) = (number + 1, &reason.cause, &reason.remedy);
            let to_do = coloured("to do:", BOLD);
            let _ = write!(text, "\n{number}. {cause}\n   {to_do} {remedy}\n");
        }
        for note in &self.notes {
            let _ = write!(text, "\nnote: {note}\n");
        }
        text
    }
}
