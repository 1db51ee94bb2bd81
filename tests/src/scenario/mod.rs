//! Scenarios of the specification that share one cluster and the processes which
//! serve it, each in a namespace and a network of its own, side by side.

pub mod objects;
mod stage;
mod stream;

pub use self::{
    stage::Stage,
    stream::{Following, once_open, once_refused, once_told},
};

use anyhow::{Result, ensure};
use futures::{FutureExt as _, StreamExt as _, future::LocalBoxFuture, stream as streams};

/// Enough that waiting for silence costs nothing, and few enough that two cores
/// answer at once.
const SIDE_BY_SIDE: usize = 16;

/// A scenario, or some that are one story, named by number, in a world `W`.
pub struct Scenario<W> {
    /// Of its function.
    pub name: &'static str,
    /// Plays it.
    pub run: fn(W) -> LocalBoxFuture<'static, Result<()>>,
}

/// Declares `all()`, the scenarios of a module: functions of a `World`.
#[macro_export]
macro_rules! scenarios {
    ($($name:ident,)*) => {
        pub(super) fn all() -> Vec<$crate::scenario::Scenario<World>> {
            vec![$($crate::scenario::Scenario {
                name: stringify!($name),
                run: |world| Box::pin($name(world)),
            }),*]
        }
    };
}

/// Plays scenarios, each on a stage of its own: the first is on that of number
/// `first`.
///
/// # Errors
/// If any fails: which ones, and why.
pub async fn play<W>(
    client: &kube::Client,
    first: u8,
    scenarios: Vec<Scenario<W>>,
    world: impl Fn(Stage) -> W,
) -> Result<()> {
    let runs = scenarios
        .into_iter()
        .zip(first..)
        .map(|(scenario, network)| {
            let world = &world;
            async move {
                let stage = Stage::create(client.clone(), network).await?;
                (scenario.run)(world(stage)).await
            }
            .map(move |result| (scenario.name, result))
        });
    let ended: Vec<_> = streams::iter(runs)
        .buffer_unordered(SIDE_BY_SIDE)
        .collect()
        .await;
    let failed: Vec<_> = ended
        .iter()
        .filter_map(|(name, result)| Some(format!("{name}: {:#}", result.as_ref().err()?)))
        .collect();
    ensure!(
        failed.is_empty(),
        "{} of {} failed\n\n{}",
        failed.len(),
        ended.len(),
        failed.join("\n\n")
    );
    Ok(())
}
