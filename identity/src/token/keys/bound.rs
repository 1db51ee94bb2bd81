//! Which pods and service accounts exist, as far as the API server has told.

use aws_lc_rs::digest::{SHA256, digest};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::{
    Api, Client, ResourceExt as _,
    core::{ApiResource, DynamicObject, ObjectMeta, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
    time::{Duration, SystemTime},
};
use tracing::warn;

/// For how long the API server takes the tokens of a pod that should have ended.
const GRACE: Duration = Duration::from_secs(60);
/// How many objects are listed at once.
const PAGE: u32 = 500;

/// The pods and service accounts of the cluster: 16 bytes of each one's uid, and when
/// it is to be gone. Only metadata is watched.
#[derive(Default)]
pub(super) struct BoundObjects {
    pods: Known,
    accounts: Known,
}

/// Objects of one kind.
#[derive(Default)]
struct Known(RwLock<HashMap<Uid, Option<SystemTime>>>);

/// Of an object of either kind: a watcher is much code, and is compiled for each type.
type Metadata = PartialObjectMeta<DynamicObject>;

/// The beginning of a uid's SHA-256: uids are UUIDs, and need not be.
type Uid = [u8; 16];

impl BoundObjects {
    /// Whether there is such a pod or service account, for which tokens are taken.
    pub(super) fn exists(&self, uid: &str, now: SystemTime) -> bool {
        let uid = short(uid);
        self.pods.exists(&uid, now) || self.accounts.exists(&uid, now)
    }

    /// Follows both until it is cancelled. While it cannot, what was last known
    /// counts.
    pub(super) async fn follow(&self, client: &Client) {
        tokio::join!(
            self.pods.follow(client, ApiResource::erase::<Pod>(&())),
            self.accounts
                .follow(client, ApiResource::erase::<ServiceAccount>(&())),
        );
    }
}

impl Known {
    fn exists(&self, uid: &Uid, now: SystemTime) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known
            .get(uid)
            .is_some_and(|ends| ends.is_none_or(|ends| now < ends + GRACE))
    }

    async fn follow(&self, client: &Client, kind: ApiResource) {
        let api: Api<Metadata> = Api::all_with(client.clone(), &kind);
        let config = watcher::Config::default().page_size(PAGE);
        let mut events = Box::pin(watcher(api, config).default_backoff());
        let mut listed = HashMap::new();
        let mut said = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    said = false;
                    self.take(event, &mut listed);
                }
                Err(error) if !said => {
                    said = true;
                    let kind = &kind.plural;
                    warn!("tokens of new {kind} are reviewed by the API server: {error}");
                }
                Err(_) => {}
            }
        }
    }

    fn take(&self, event: Event<Metadata>, listed: &mut HashMap<Uid, Option<SystemTime>>) {
        let write = || self.0.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => listed.extend(entry(&object.metadata)),
            // Those that have gone meanwhile go with the old map.
            Event::InitDone => *write() = std::mem::take(listed),
            Event::Apply(object) => write().extend(entry(&object.metadata)),
            Event::Delete(object) => {
                write().remove(&short(&object.uid().unwrap_or_default()));
            }
        }
    }
}

fn entry(metadata: &ObjectMeta) -> Option<(Uid, Option<SystemTime>)> {
    let ends = metadata.deletion_timestamp.as_ref();
    Some((
        short(metadata.uid.as_deref()?),
        ends.map(|time| SystemTime::from(time.0)),
    ))
}

fn short(uid: &str) -> Uid {
    let hash = digest(&SHA256, uid.as_bytes());
    let short = hash.as_ref().first_chunk();
    *short.expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
    use std::marker::PhantomData;

    fn pod(uid: &str, ends: Option<SystemTime>) -> Metadata {
        PartialObjectMeta {
            types: None,
            metadata: ObjectMeta {
                uid: Some(uid.into()),
                deletion_timestamp: ends.map(|ends| Time(Timestamp::try_from(ends).unwrap())),
                ..ObjectMeta::default()
            },
            _phantom: PhantomData,
        }
    }

    #[test]
    fn what_is_deleted_or_not_listed_again_is_gone_and_what_ends_ends_a_minute_later() {
        let bound = BoundObjects::default();
        let mut listed = HashMap::new();
        let now = SystemTime::now();
        let mut take = |event| bound.pods.take(event, &mut listed);
        let exists = |uid| bound.exists(uid, now);
        take(Event::Init);
        take(Event::InitApply(pod("a", None)));
        assert!(!exists("a"), "the list is not whole");
        take(Event::InitApply(pod("b", None)));
        take(Event::InitDone);
        take(Event::Apply(pod("c", None)));
        assert!(exists("a") && exists("b") && exists("c") && !exists("d"));

        take(Event::Delete(pod("a", None)));
        take(Event::Apply(pod("b", Some(now - GRACE / 2))));
        take(Event::Apply(pod("c", Some(now - GRACE * 2))));
        assert!(!exists("a") && exists("b") && !exists("c"));

        take(Event::Init);
        take(Event::InitApply(pod("d", None)));
        assert!(exists("b"), "until the list is whole");
        take(Event::InitDone);
        assert!(!exists("b") && exists("d"));
    }
}
