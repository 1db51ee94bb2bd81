//! Printing what is told, as it changes.

use anyhow::{anyhow, bail};
use ferrule_proto::{destination::DestinationProfile, inbound::Server, outbound::OutboundPolicy};
use ferrule_tests::{Certificate, Describe, EndpointSet, Failure, Watched};
use std::{
    io::{Write as _, stdout},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// What can be said of a change, in lines.
pub(crate) trait Report: Describe + PartialEq {
    fn changes(&self, _before: Option<&Self>) -> Vec<String> {
        vec![self.describe()]
    }
}

impl Report for DestinationProfile {}
impl Report for Server {}
impl Report for OutboundPolicy {}

impl Report for Certificate {
    fn changes(&self, before: Option<&Self>) -> Vec<String> {
        let verb = if before.is_some() {
            "renewed"
        } else {
            "certified"
        };
        vec![format!("{verb}, {}", self.describe())]
    }
}

impl Report for EndpointSet {
    /// One line for each endpoint that came, went or changed.
    fn changes(&self, before: Option<&Self>) -> Vec<String> {
        let none = EndpointSet::default();
        let before = before.unwrap_or(&none);
        let gone = before.iter().filter(|(addr, _)| !self.contains_key(addr));
        let mut lines: Vec<_> = gone.map(|(addr, _)| format!("- {addr}")).collect();
        for (addr, endpoint) in self.iter() {
            let sign = match before.get(addr) {
                None => '+',
                Some(before) if before != endpoint => '~',
                Some(_) => continue,
            };
            lines.push(format!(
                "{sign} {}",
                EndpointSet::describe_one(addr, endpoint)
            ));
        }
        if self.is_empty() {
            lines.push(self.describe());
        }
        lines
    }
}

/// Whether to go on after something was told, and for how long to wait for it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    Stopped,
    Told { wait: Duration },
}

/// Prints what is told, and calls `told` with it. Ends once it is told or is
/// never going to be; a failure that `accepts` holds of counts as told.
pub(crate) async fn report<T: Report, E: Failure>(
    mut watched: Watched<T, E>,
    until: Until,
    accepts: impl Fn(&E) -> bool,
    mut told: impl FnMut(&T),
) -> anyhow::Result<()> {
    let deadline = match until {
        Until::Told { wait } => Some(Instant::now() + wait),
        Until::Stopped => None,
    };
    let subject = watched.subject().to_owned();
    let (mut last, mut failures) = (None::<Arc<T>>, 0);
    loop {
        let seen = watched.seen();
        if let Some(now) = &seen.value
            && last.as_deref() != Some(&**now)
        {
            for line in now.changes(last.as_deref()) {
                writeln!(stdout(), "{subject}: {line}")?;
            }
            told(now);
            last = Some(now.clone());
        }
        let invalid = seen.failure.as_ref().filter(|failure| failure.is_invalid());
        if let Some(failure) = &seen.failure
            && (seen.failures > failures || invalid.is_some())
        {
            let then = if seen.ended {
                ", and it is not asked again"
            } else {
                ""
            };
            writeln!(stdout(), "{subject}: {failure}{then}")?;
            failures = seen.failures;
        }
        if deadline.is_some() {
            match &seen.failure {
                Some(failure) if seen.ended && accepts(failure) => return Ok(()),
                Some(failure) if seen.ended || invalid.is_some() => {
                    bail!("{subject}: {failure}");
                }
                _ if seen.value.is_some() => return Ok(()),
                _ => {}
            }
        }
        match deadline {
            None if !watched.changed().await => return Ok(()),
            None => {}
            Some(deadline) => {
                let changed = timeout_at(deadline, watched.changed()).await;
                let goes_on = changed.map_err(|_| anyhow!("{subject}: {}", seen.describe()))?;
                if !goes_on {
                    return Ok(());
                }
            }
        }
    }
}
