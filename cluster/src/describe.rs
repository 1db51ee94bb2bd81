//! Open streams as JSON, for people who look for a reason.

use crate::{Slot, Subscribers};
use serde_json::{Value, json};
use std::{cmp::Reverse, sync::Arc};

/// How many streams of one view are told one by one.
const SHOWN: usize = 1_000;

/// The streams on a view that is at `version`: how many, and what each was last
/// told. Those that are furthest behind come first.
pub fn streams(subscribers: &Subscribers, version: u64) -> Value {
    let mut slots = subscribers.slots();
    let behind = |slot: &Arc<Slot>| version.saturating_sub(slot.position());
    slots.sort_by_key(|slot| (Reverse(behind(slot)), Reverse(slot.age())));
    json!({
        "count": slots.len(),
        "behind": slots.iter().filter(|slot| behind(slot) > 0).count(),
        "omitted": slots.len().saturating_sub(SHOWN),
        "streams": slots
            .iter()
            .take(SHOWN)
            .map(|slot| stream(slot, behind(slot)))
            .collect::<Vec<_>>(),
    })
}

fn stream(slot: &Slot, behind: u64) -> Value {
    let client = slot.client();
    json!({
        "peer": client.map(|client| client.peer.to_string()),
        "client": client.map(|client| token(&client.token)),
        "openedSecondsAgo": slot.age().as_secs_f64(),
        "lastSentSecondsAgo": slot.sent_ago().map(|ago| ago.as_secs_f64()),
        "version": slot.position(),
        "behindBy": behind,
        "skipped": slot.skipped(),
    })
}

/// Tokens are JSON as a rule.
fn token(token: &str) -> Value {
    serde_json::from_str(token).unwrap_or_else(|_| token.into())
}
