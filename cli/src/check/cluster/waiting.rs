//! Checks that are tried again, as they are told to who waits.

use super::engine::{Done, Outcome};
use crate::{output::span, progress::Progress};
use std::time::Duration;

/// These checks are tried again for so long.
pub(super) fn show<'a>(
    progress: &mut Progress,
    all: impl Iterator<Item = &'a Done>,
    left: Duration,
) {
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
    let clock = format!("; at most {} longer", span(left.as_secs()));
    progress.show(&text, &clock);
}
