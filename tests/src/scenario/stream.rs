//! Streams whose messages are looked at one by one.

use anyhow::{Context as _, Result, bail, ensure};
use ferrule_test_cluster::PATIENCE;
use futures::{Stream, StreamExt as _, stream::BoxStream};
use std::{fmt::Debug, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Code, Status};

/// For a stream to tell what it has to tell at once.
const FIRST: Duration = Duration::from_millis(500);
/// For nothing to come.
const SILENCE: Duration = Duration::from_millis(300);

/// Opens streams until one is first told what is wanted: the objects arrive when
/// their watches bring them.
///
/// # Errors
/// If none is within half a minute.
pub async fn once_told<T: Debug + PartialEq>(
    path: &str,
    wanted: T,
    open: impl AsyncFn() -> Result<Following<T>, Status>,
) -> Result<Following<T>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = match open().await {
            Err(status) => format!("{status:?}"),
            Ok(mut stream) => match timeout(FIRST, stream.next()).await {
                Err(_) => "silence".to_owned(),
                Ok(told) => match told? {
                    told if told == wanted => return Ok(stream),
                    told => format!("{told:#?}"),
                },
            },
        };
        if Instant::now() > deadline {
            bail!("{path}: wanted {wanted:#?}\nbut told {told}");
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Opens streams until one is not refused.
///
/// # Errors
/// If all are for half a minute.
pub async fn once_open<T>(
    path: &str,
    open: impl AsyncFn() -> Result<Following<T>, Status>,
) -> Result<Following<T>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match open().await {
            Ok(stream) => return Ok(stream),
            Err(status) => ensure!(Instant::now() < deadline, "{path}: {status:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Asks until it is refused in words that begin like this.
///
/// # Errors
/// If it is not within half a minute.
pub async fn once_refused(
    path: &str,
    code: Code,
    words: &str,
    ask: impl AsyncFn() -> Result<(), Status>,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        match &answer {
            Err(status) if status.code() == code && status.message().starts_with(words) => {
                return Ok(());
            }
            _ => ensure!(
                Instant::now() < deadline,
                "{path}: wanted {code:?} {words:?}, but {answer:?}"
            ),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// A stream whose messages are looked at one by one.
pub struct Following<T>(BoxStream<'static, Result<T>>);

impl<T: Debug + PartialEq> Following<T> {
    /// Of these messages.
    pub fn new(messages: impl Stream<Item = Result<T>> + Send + 'static) -> Self {
        Self(messages.boxed())
    }

    async fn next(&mut self) -> Result<T> {
        self.0.next().await.context("the stream ended")?
    }

    /// The next message is this one.
    ///
    /// # Errors
    /// If another one comes, or none within half a minute.
    pub async fn tells(&mut self, wanted: T) -> Result<()> {
        let told = timeout(PATIENCE, self.next()).await;
        let told = told.with_context(|| format!("nothing came, but wanted {wanted:#?}"))??;
        ensure!(told == wanted, "wanted {wanted:#?}\nbut told {told:#?}");
        Ok(())
    }

    /// Nothing comes for a while, and the stream stays open.
    ///
    /// # Errors
    /// If something comes, or it ends.
    pub async fn is_silent(&mut self) -> Result<()> {
        match timeout(SILENCE, self.next()).await {
            Err(_) => Ok(()),
            Ok(told) => bail!("wanted silence, but told {:#?}", told?),
        }
    }

    /// It ends well, and tells nothing before.
    ///
    /// # Errors
    /// If something comes, it fails, or it goes on for half a minute.
    pub async fn ends(&mut self) -> Result<()> {
        let next = timeout(PATIENCE, self.0.next()).await;
        match next.context("the stream goes on, but was to end")? {
            None => Ok(()),
            Some(told) => bail!("wanted the end, but told {:#?}", told?),
        }
    }
}
