//! An explanation as people read it.

use super::explain::{Explanation, State};
use std::fmt::Write as _;

impl Explanation {
    /// In lines, each reason with what to do below it.
    pub(super) fn text(&self) -> String {
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
        let mut text = headline + "\n";
        for (number, reason) in self.reasons.iter().enumerate() {
            let (number, cause, remedy) = (number + 1, &reason.cause, &reason.remedy);
            let _ = write!(text, "\n{number}. {cause}\n   to do: {remedy}\n");
        }
        for note in &self.notes {
            let _ = write!(text, "\nnote: {note}\n");
        }
        text
    }
}
