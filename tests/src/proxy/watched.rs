//! What a proxy has been told on a subject, and waiting for it to change.

use super::describe::Describe;
use anyhow::bail;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

/// What there is to say of a subject at a moment.
#[derive(Debug)]
pub struct Seen<T, E> {
    /// What all messages come to; `None` before the first, and while the last
    /// one is none that a proxy can use.
    pub value: Option<Arc<T>>,
    /// Messages read so far, over all streams.
    pub messages: usize,
    /// Those of them that told what the one before on the same stream had told
    /// already.
    pub redundant: usize,
    /// Calls that the server accepted.
    pub calls: usize,
    /// Calls that ended, for whatever reason.
    pub failures: usize,
    /// Why the last call ended, or its last message is invalid; `None` once
    /// another message came.
    pub failure: Option<E>,
    /// The proxy does not ask again: the failure is one that it takes as the
    /// last word.
    pub ended: bool,
}

/// A subject on which the control plane tells a proxy what is so, and goes on
/// telling. Dropping all its clones ends the proxy's interest.
pub struct Watched<T, E> {
    subject: Arc<str>,
    patience: Duration,
    seen: watch::Receiver<Seen<T, E>>,
}

/// A failure after which waiting makes no sense.
pub trait Failure: fmt::Display + Clone {
    /// Whether what was told is wrong, and not just late.
    fn is_invalid(&self) -> bool;
}

impl<T: Describe, E: Failure> Watched<T, E> {
    pub(crate) fn new(
        subject: impl Into<Arc<str>>,
        patience: Duration,
        seen: watch::Receiver<Seen<T, E>>,
    ) -> Self {
        let subject = subject.into();
        Self {
            subject,
            patience,
            seen,
        }
    }

    /// What this is about, such as `endpoints of web.shop:80`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What has been told up to now.
    pub fn seen(&self) -> Seen<T, E> {
        self.seen.borrow().clone()
    }

    /// The same with another limit for every wait.
    #[must_use]
    pub fn patient_for(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Waits for the first message, if none has come.
    ///
    /// # Errors
    /// As [`until`](Self::until).
    pub async fn first(&self) -> anyhow::Result<Arc<T>> {
        self.until("a first message", |_| true).await
    }

    /// Waits until what is told is as wanted. What was true only in between may
    /// go unseen.
    ///
    /// # Errors
    /// If that does not come in time or cannot come any more, or if a message is
    /// invalid; the error says what was told last.
    pub async fn until(
        &self,
        what: &str,
        mut is: impl FnMut(&T) -> bool,
    ) -> anyhow::Result<Arc<T>> {
        let seen = self
            .wait(what, |seen| seen.value.as_deref().is_some_and(&mut is))
            .await?;
        Ok(seen.value.expect("what was waited for"))
    }

    /// Waits until so many messages have come, over all streams.
    ///
    /// # Errors
    /// As [`until`](Self::until).
    pub async fn messages(&self, count: usize) -> anyhow::Result<Seen<T, E>> {
        let what = format!("{count} messages");
        self.wait(&what, |seen| seen.messages >= count).await
    }

    /// Waits for a failure: a refusal, a stream that ended, an invalid message.
    ///
    /// # Errors
    /// If all stays well.
    pub async fn failure(&self) -> anyhow::Result<E> {
        let mut seen = self.seen.clone();
        let failed = seen.wait_for(|seen| seen.failure.is_some());
        match timeout(self.patience, failed).await {
            Ok(Ok(seen)) => Ok(seen.failure.clone().expect("what was waited for")),
            Ok(Err(_)) => bail!("{}: the proxy is gone", self.subject),
            Err(_) => bail!("{}", self.still_waiting_for("a failure")),
        }
    }

    /// Whether nothing is told, and nothing fails, for so long from now.
    pub async fn is_silent_for(&self, time: Duration) -> bool {
        let mut seen = self.seen.clone();
        seen.borrow_and_update();
        timeout(time, seen.changed()).await.is_err()
    }

    /// Waits until all that was seen is as wanted.
    ///
    /// # Errors
    /// As [`until`](Self::until).
    pub async fn wait(
        &self,
        what: &str,
        mut is: impl FnMut(&Seen<T, E>) -> bool,
    ) -> anyhow::Result<Seen<T, E>> {
        let deadline = Instant::now() + self.patience;
        let mut seen = self.seen.clone();
        loop {
            {
                let now = seen.borrow_and_update();
                if is(&now) {
                    return Ok(now.clone());
                }
                let invalid = now.failure.as_ref().is_some_and(Failure::is_invalid);
                if now.ended || invalid {
                    bail!("{}: no {what} will come: {}", self.subject, now.describe());
                }
            }
            match timeout_at(deadline, seen.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => bail!("{}: the proxy is gone", self.subject),
                Err(_) => bail!("{}", self.still_waiting_for(what)),
            }
        }
    }

    /// Waits for something to be told or to fail that this clone has not waited
    /// for yet. `false` once nothing more can come.
    pub async fn changed(&mut self) -> bool {
        self.seen.changed().await.is_ok()
    }

    fn still_waiting_for(&self, what: &str) -> String {
        format!(
            "{}: still waiting for {what} after {:?}: {}",
            self.subject,
            self.patience,
            self.seen.borrow().describe()
        )
    }
}

impl<T: Describe, E: fmt::Display> Seen<T, E> {
    /// What was told last, for people.
    pub fn describe(&self) -> String {
        let mut text = match &self.value {
            Some(value) => value.describe(),
            None => "nothing was told".to_owned(),
        };
        text = format!(
            "{text} (messages: {}, calls: {}, failures: {}",
            self.messages, self.calls, self.failures
        );
        if let Some(failure) = &self.failure {
            text = format!("{text}, the last: {failure}");
        }
        text + ")"
    }
}

impl<T, E> Default for Seen<T, E> {
    fn default() -> Self {
        Self {
            value: None,
            messages: 0,
            redundant: 0,
            calls: 0,
            failures: 0,
            failure: None,
            ended: false,
        }
    }
}

impl<T, E: Clone> Clone for Seen<T, E> {
    fn clone(&self) -> Self {
        Self {
            value: self.value.clone(),
            failure: self.failure.clone(),
            ..*self
        }
    }
}

impl<T, E> Clone for Watched<T, E> {
    fn clone(&self) -> Self {
        Self {
            subject: self.subject.clone(),
            patience: self.patience,
            seen: self.seen.clone(),
        }
    }
}

impl<T, E> fmt::Debug for Watched<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.subject).finish()
    }
}
