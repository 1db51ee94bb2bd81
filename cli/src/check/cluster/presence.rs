//! Whether objects are there.

use super::{
    read::{Known, get},
    row::{Answer, none_of},
};
use futures::future::join_all;
use kube::Api;

/// Fails for each object that is not there.
pub(super) async fn there<K: Known>(
    api: Api<K>,
    names: impl IntoIterator<Item = impl AsRef<str>>,
) -> Answer {
    let reads = names.into_iter().map(|name| {
        let api = api.clone();
        async move {
            let found = get(api, name.as_ref()).await;
            found.map(|found| found.is_none().then_some(name))
        }
    });
    let mut missing = Vec::new();
    for read in join_all(reads).await {
        let kind = K::kind(&());
        missing.extend(read?.map(|name| format!("there is no {kind} {}", name.as_ref())));
    }
    none_of(missing)
}
