//! How long tests wait for what must happen.

use anyhow::{Result, ensure};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long anything may take before a test gives up: two cores that others use too, an API
/// server that has just started. No test is quicker for a shorter one.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Looks again and again until there is something, for [`PATIENCE`].
///
/// # Errors
/// The first that `look` has; that there was nothing, with `what`.
pub async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "not yet: {what}");
        sleep(Duration::from_millis(50)).await;
    }
}
