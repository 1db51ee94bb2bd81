//! Changes made through the API server, and when the streams heard of them.

use std::time::Duration;

use anyhow::Result;
use tokio::time::{MissedTickBehavior, interval};

use crate::processes::Generator;
use crate::quantiles::Quantiles;
use crate::world::{Change, World};

const PATIENCE: Duration = Duration::from_secs(20);

/// How changes reached the streams that are about what changed.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    /// From the PATCH's answer to each message. What a stream hears before the driver has its
    /// answer is below zero.
    pub(crate) each_ms: Quantiles,
    /// The same to the last message of each change.
    pub(crate) last_ms: Quantiles,
    /// Messages by which the streams heard less often, or more often, than once of each change.
    pub(crate) off: usize,
}

/// Makes `count` changes of the first Service, one each `pause`, and listens to `streams` streams.
pub(crate) async fn make(
    world: &World,
    generator: &mut Generator,
    streams: usize,
    count: usize,
    pause: Duration,
) -> Result<Heard> {
    let toggle = |number| world.toggle(0, number);
    let heard = record(generator, streams, count, pause, toggle).await?;
    Ok(Heard::of(&heard, streams))
}

/// The same with other changes, of which `change` makes the one of a number: when the messages of
/// each came, in milliseconds from its answer.
pub(crate) async fn record<F: Future<Output = Result<Change>>>(
    generator: &mut Generator,
    streams: usize,
    count: usize,
    pause: Duration,
    change: impl Fn(usize) -> F,
) -> Result<Vec<Vec<f64>>> {
    let mut ticks = interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut changes = Vec::with_capacity(count);
    for number in 0..count {
        ticks.tick().await;
        changes.push(change(number).await?);
    }
    let times = generator.later(streams * count, PATIENCE).await?;
    Ok(by_change(&changes, &times))
}

fn by_change(changes: &[Change], times: &[u64]) -> Vec<Vec<f64>> {
    let mut by_change = vec![Vec::new(); changes.len()];
    for &time in times {
        // Of the changes that were sent, a message is about the last.
        let sent = changes.partition_point(|change| change.sent <= time);
        if let Some(number) = sent.checked_sub(1) {
            let answered = changes[number].answered;
            by_change[number].push((time as f64 - answered as f64) / 1e6);
        }
    }
    by_change
}

impl Heard {
    /// Of what was [recorded](record).
    pub(crate) fn of(by_change: &[Vec<f64>], streams: usize) -> Self {
        let last = by_change
            .iter()
            .filter_map(|times| times.iter().copied().max_by(f64::total_cmp));
        Self {
            last_ms: Quantiles::of(last.collect()),
            off: by_change
                .iter()
                .map(|times| times.len().abs_diff(streams))
                .sum(),
            each_ms: Quantiles::of(by_change.concat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_about_the_last_change_sent_before_it() {
        let change = |sent, answered| Change { sent, answered };
        let changes = [
            change(10_000_000, 12_000_000),
            change(20_000_000, 21_000_000),
        ];
        let times = [11_000_000, 15_000_000, 23_000_000];
        let heard = Heard::of(&by_change(&changes, &times), 2);
        assert_eq!(heard.each_ms.min, -1.0);
        assert_eq!(heard.each_ms.max, 3.0);
        assert_eq!((heard.last_ms.min, heard.last_ms.max), (2.0, 3.0));
        assert_eq!(heard.off, 1);
    }
}
