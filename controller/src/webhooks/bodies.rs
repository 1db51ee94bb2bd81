//! The bodies of reviews, and the memory that they may take together.

use super::review::{LARGE, Unanswerable};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The largest body: an object may have 3 MiB, and an update carries two.
pub(super) const MAX_BODY: usize = 10 << 20;
/// How many small bodies there may be at once, of 64 KiB each.
const SMALL: usize = 1024;
/// What the larger ones may take together.
const MAX_LARGE: usize = 64 << 20;
/// How long a body may take. An API server sends it at once, and gives up after
/// ten seconds, or as many as are registered.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Room for bodies. A body has all that it will need before it is read, so that
/// none waits for room while it holds some; and those who send large ones slowly
/// are in nobody's way who sends a small one, as most reviews are.
#[derive(Clone)]
pub(super) struct Bodies {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self {
            small: Arc::new(Semaphore::new(SMALL)),
            large: Arc::new(Semaphore::new(MAX_LARGE)),
        }
    }

    /// All of a body, and its room.
    pub(super) async fn read(
        &self,
        body: Body,
    ) -> Result<(Bytes, OwnedSemaphorePermit), Unanswerable> {
        let reading = async {
            let (room, longest) = self.room(body.size_hint().exact()).await?;
            Ok((whole(body, longest).await?, room))
        };
        let read = tokio::time::timeout(BODY_TIMEOUT, reading).await;
        read.unwrap_or(Err(Unanswerable::TooSlow))
    }

    /// Room for a body of this length, if it says one, and how long it may be then.
    async fn room(
        &self,
        length: Option<u64>,
    ) -> Result<(OwnedSemaphorePermit, usize), Unanswerable> {
        let length = match length {
            Some(length) => usize::try_from(length).map_err(|_| Unanswerable::TooLarge)?,
            // It does not say.
            None => MAX_BODY,
        };
        let room = if length > MAX_BODY {
            return Err(Unanswerable::TooLarge);
        } else if length <= LARGE {
            self.small.clone().acquire_owned().await
        } else {
            let share = u32::try_from(length).map_err(|_| Unanswerable::TooLarge)?;
            self.large.clone().acquire_many_owned(share).await
        };
        let room = room.map_err(|_| Unanswerable::TooSlow)?;
        Ok((room, length))
    }
}

async fn whole(mut body: Body, longest: usize) -> Result<Bytes, Unanswerable> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unanswerable::NoReview(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > longest {
            return Err(Unanswerable::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use std::io;

    /// A body that never ends, of which so much is said to come.
    fn endless(length: usize) -> Body {
        struct Endless(u64);
        impl http_body::Body for Endless {
            type Data = Bytes;
            type Error = io::Error;

            fn poll_frame(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, io::Error>>> {
                std::task::Poll::Pending
            }

            fn size_hint(&self) -> http_body::SizeHint {
                http_body::SizeHint::with_exact(self.0)
            }
        }
        Body::new(Endless(length as u64))
    }

    #[tokio::test(start_paused = true)]
    async fn slow_large_bodies_are_in_no_small_ones_way() {
        let bodies = Bodies::new();
        let slow = (0..20).map(|_| {
            let bodies = bodies.clone();
            tokio::spawn(async move { bodies.read(endless(MAX_BODY)).await.is_err() })
        });
        let slow: Vec<_> = slow.collect();
        tokio::task::yield_now().await;
        let (read, _room) = bodies.read(Body::from("{}")).await.ok().expect("read");
        assert_eq!(read, "{}");
        for ended in slow {
            assert!(ended.await.expect("no panic"), "it never comes");
        }
        let (read, _room) = bodies
            .read(Body::from(vec![b' '; LARGE + 1]))
            .await
            .ok()
            .expect("the room is free again");
        assert_eq!(read.len(), LARGE + 1);
    }

    #[tokio::test]
    async fn a_body_that_is_too_large_is_refused_whether_it_says_so_or_not() {
        let bodies = Bodies::new();
        let said = bodies.read(endless(MAX_BODY + 1)).await;
        assert!(matches!(said, Err(Unanswerable::TooLarge)));
        let chunk = Bytes::from(vec![b' '; 1 << 20]);
        let chunks = stream::iter((0..11).map(move |_| Ok::<_, io::Error>(chunk.clone())));
        let unsaid = bodies.read(Body::from_stream(chunks)).await;
        assert!(matches!(unsaid, Err(Unanswerable::TooLarge)));
    }
}
