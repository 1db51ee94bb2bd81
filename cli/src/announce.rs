//! What becomes of streams that are followed.

use crate::{
    error::Refusal,
    output::{self, Format},
};
use serde_json::{Value, json};
use std::io;

/// Says that streams are lost and found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Announcer {
    pub(crate) output: Format,
    /// What JSON calls that which is asked about.
    pub(crate) subject: &'static str,
}

impl Announcer {
    /// A stream was lost and is looked for.
    pub(crate) fn lost(self, refusal: &Refusal) -> io::Result<()> {
        match self.output {
            Format::Json => {
                let mut event = self.event("disconnected", refusal.subject());
                event["reason"] = json!(refusal.reason());
                output::print_json_line(&event)
            }
            Format::Table => {
                output::note(&format!(
                    "{} ! {}: {}; trying again",
                    output::clock(),
                    refusal.subject(),
                    refusal.reason(),
                ));
                Ok(())
            }
        }
    }

    /// A lost stream is open again.
    pub(crate) fn back(self, subject: &str) -> io::Result<()> {
        match self.output {
            Format::Json => output::print_json_line(&self.event("connected", subject)),
            Format::Table => {
                output::note(&format!("{} ! {subject}: connected", output::clock()));
                Ok(())
            }
        }
    }

    fn event(self, event: &str, subject: &str) -> Value {
        let mut event = json!({"time": output::timestamp(), "event": event});
        event[self.subject] = json!(subject);
        event
    }
}
