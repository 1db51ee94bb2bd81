//! The time in which one replica leads.

use super::{
    Restarts, Settings, Stats,
    bundle::{self, Bundle},
    events::{About, Reason, Teller},
    journal::{Entry, Journal},
    objects::Objects,
    standings::Standings,
    workload::{Numbers, Workload},
};
use crate::lease::Leadership;
use ferrule_identity::{Among, Census, Trusts, Wanted};
use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{Client, core::Selector};
use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How often pods are counted while all trust the bundle: some may be started by an
/// injector that has not heard of it.
const COUNT_AT_REST: Duration = Duration::from_secs(600);
/// While none of those who do not wants to be restarted.
pub(super) const COUNT_IDLE: Duration = Duration::from_secs(60);
/// While somebody waits; and so that the API server is not busy with it for more than a
/// thirtieth of its time.
pub(super) const COUNT_WAITING: Duration = Duration::from_secs(10);
pub(super) const SHARE: u32 = 30;
/// After something could not be read or written.
const AGAIN: Duration = Duration::from_secs(5);
/// How many intervals to wait after a restart that was in vain: the next may be, too.
const AFTER_VAIN: u32 = 20;

pub(super) struct Term<'a> {
    pub(super) client: &'a Client,
    pub(super) settings: &'a Settings,
    pub(super) leadership: Leadership,
    pub(super) stats: &'a Stats,
    pub(super) objects: Objects,
    pub(super) journal: Journal,
    pub(super) teller: Teller,
    /// What was read last, until somebody changes it.
    pub(super) bundle: Option<Bundle>,
    /// What was restarted last; `None` until it was read.
    pub(super) last: Option<Option<Entry>>,
    /// How far its rollout was, and since when.
    pub(super) progress: Option<(Numbers, Instant)>,
    pub(super) count: Option<Count>,
    /// What was said of whom, so that it is said once.
    pub(super) told: HashMap<(String, String), String>,
    /// How it stands with those that want to be restarted.
    pub(super) standings: Standings,
    /// Of whom nothing more is to be found out until pods are counted again.
    pub(super) settled: HashSet<(String, String)>,
}

/// The pods as they were counted last.
pub(super) struct Count {
    pub(super) census: Census,
    /// For which bundle.
    bundle: Bundle,
    pub(super) again: Instant,
}

/// What happens next.
pub(super) enum Next {
    /// Nothing before this has passed.
    In(Duration),
    /// Everything is to be looked at again.
    Now,
}

impl<'a> Term<'a> {
    pub(super) fn new(restarts: &'a Restarts) -> Self {
        let Restarts {
            client,
            settings,
            leadership,
            timeout,
            stats,
        } = restarts;
        Self {
            client,
            settings,
            leadership: leadership.clone(),
            stats,
            objects: Objects::new(client, *timeout),
            journal: Journal::new(client, &settings.control_plane, *timeout),
            teller: Teller::new(client),
            bundle: None,
            last: None,
            progress: None,
            count: None,
            told: HashMap::new(),
            standings: Standings::default(),
            settled: HashSet::new(),
        }
    }

    /// Never ends.
    pub(super) async fn run(&mut self) {
        let Settings {
            control_plane,
            bundle,
            ..
        } = self.settings;
        let mut changes = pin!(bundle::changes(self.client, control_plane, bundle));
        let mut problem = None;
        loop {
            let pause = match self.turn().await {
                Ok(Next::Now) => Duration::ZERO,
                Ok(Next::In(pause)) => {
                    if problem.take().is_some() {
                        tracing::info!("workloads can be restarted again");
                    }
                    pause
                }
                Err(error) => {
                    let error = error.to_string();
                    if problem.as_ref() != Some(&error) {
                        tracing::warn!("workloads cannot be restarted: {error}");
                        problem = Some(error);
                    }
                    AGAIN
                }
            };
            self.note().await;
            tokio::select! {
                Some(()) = changes.next() => self.bundle = None,
                () = sleep(pause) => {}
            }
        }
    }

    async fn turn(&mut self) -> kube::Result<Next> {
        if self.bundle.is_none() {
            let Settings {
                control_plane,
                bundle,
                ..
            } = self.settings;
            self.bundle = Bundle::read(self.client, control_plane, bundle).await?;
        }
        if self.last.is_none() {
            let (last, standings) = self.journal.read().await?;
            self.standings.found(standings);
            if let Some(entry) = last.as_ref().filter(|entry| entry.ended.is_none()) {
                tracing::info!("going on with the restart of {entry}");
            }
            self.last = Some(last);
        }
        let last = self.last.clone().flatten();
        if let Some(entry) = last.filter(|entry| entry.ended.is_none()) {
            return self.attend(entry).await;
        }
        let Some(bundle) = self.bundle.clone() else {
            return Ok(Next::In(COUNT_AT_REST));
        };
        if self.is_due(&bundle) {
            self.count(&bundle).await?;
        }
        let Some(count) = &self.count else {
            return Ok(Next::Now);
        };
        let until_count = count.again.saturating_duration_since(Instant::now());
        if count.census.laggards.is_empty() {
            return Ok(Next::In(until_count));
        }
        let pause = self.pause(&bundle);
        if !pause.is_zero() {
            return Ok(Next::In(pause.min(until_count)));
        }
        self.choose(&bundle).await
    }

    /// Writes down how it stands with whom, if that has changed. It is for people only, and
    /// is written again when something has happened.
    async fn note(&mut self) {
        let Some(standings) = self.standings.unwritten() else {
            return;
        };
        if !self.leadership.is_leader() {
            return;
        }
        match self.journal.note(&standings).await {
            Ok(()) => self.standings.written(standings),
            Err(error) => tracing::debug!("cannot write down who waits: {error}"),
        }
    }

    fn is_due(&self, bundle: &Bundle) -> bool {
        self.count
            .as_ref()
            .is_none_or(|count| count.bundle != *bundle || count.again <= Instant::now())
    }

    async fn count(&mut self, bundle: &Bundle) -> kube::Result<()> {
        let begun = Instant::now();
        let wanted = wanted(bundle);
        let census = Census::take(self.client, &self.settings.control_plane, wanted).await?;
        self.stats.set_laggards(&census);
        let is_same = self
            .count
            .as_ref()
            .is_some_and(|count| count.bundle == *bundle);
        self.settled.clear();
        if !is_same {
            let (pods, behind) = (census.pods, census.behind());
            if behind > 0 {
                tracing::info!(pods, behind, "do not trust all that is published: {census}");
            }
        }
        let is_namespace = |owner: &str| owner.starts_with("namespace/");
        self.told
            .retain(|who, _| is_namespace(&who.1) || census.laggards.contains_key(who));
        self.standings
            .retain(|who| census.laggards.contains_key(who));
        let pause = if census.laggards.is_empty() {
            self.told.clear();
            self.stats.set_waiting(0);
            COUNT_AT_REST
        } else {
            COUNT_WAITING
        };
        self.count = Some(Count {
            census,
            bundle: bundle.clone(),
            again: Instant::now() + pause.max(begun.elapsed() * SHARE),
        });
        Ok(())
    }

    /// How long it is until something may be restarted.
    fn pause(&self, bundle: &Bundle) -> Duration {
        let Settings {
            interval, settle, ..
        } = *self.settings;
        let rest = self.last.iter().flatten().filter_map(|entry| {
            let interval = interval * if entry.futile { AFTER_VAIN } else { 1 };
            Some(interval.saturating_sub(since(entry.ended?)))
        });
        let settled = bundle.published.map(since);
        let settle = settled.map(|settled| settle.saturating_sub(settled));
        rest.chain(settle).max().unwrap_or_default()
    }

    /// How many pods of a workload do not trust the bundle, as of now.
    pub(super) async fn behind(
        &self,
        bundle: &Bundle,
        (namespace, owner): &(String, String),
        workload: &Workload,
    ) -> kube::Result<usize> {
        let selector = workload.spec.selector.clone().unwrap_or_default();
        // What cannot be read selects all here; owners are looked at anyway.
        let labels = Selector::try_from(selector).unwrap_or_default().to_string();
        let among = Among {
            namespace: Some(namespace),
            labels: Some(&labels),
        };
        let (client, control_plane) = (self.client, &self.settings.control_plane);
        let census = Census::take_among(client, control_plane, wanted(bundle), among).await?;
        let who = (namespace.clone(), owner.clone());
        Ok(census.laggards.get(&who).copied().unwrap_or_default())
    }

    /// Says it of the bundle that there is, unless it was what was said of them last.
    pub(super) async fn tell_once(&mut self, about: About<'_>, reason: Reason, text: &str) {
        let bundle = self.bundle.as_ref().map(|bundle| &*bundle.id);
        let bundle = bundle.unwrap_or_default();
        let thing = match reason {
            // How many pods there are, and what was said before, is nothing new.
            Reason::Futile => bundle.to_owned(),
            _ => format!("{bundle} {text}"),
        };
        self.tell_of(about, reason, text, &thing).await;
    }

    /// Says what became of a restart, likewise.
    pub(super) async fn tell_restart(&mut self, entry: &Entry, reason: Reason, text: &str) {
        let about = About {
            api_version: "apps/v1",
            kind: entry.kind.as_str(),
            namespace: &entry.namespace,
            name: &entry.name,
            uid: Some(&entry.uid),
        };
        let thing = match reason {
            Reason::Futile => entry.bundle.clone(),
            _ => entry.begun.to_string(),
        };
        self.tell_of(about, reason, text, &thing).await;
    }

    async fn tell_of(&mut self, about: About<'_>, reason: Reason, text: &str, thing: &str) {
        let who = (about.namespace.to_owned(), owner(about.kind, about.name));
        let told = self.told.insert(who, text.to_owned());
        if told.as_deref() != Some(text) {
            self.teller.tell(about, reason, text, thing).await;
        }
    }
}

/// What all should trust. Who is about to end need not.
fn wanted(bundle: &Bundle) -> Wanted<'_> {
    Wanted {
        trusts: Trusts::Anchors(&bundle.fingerprints),
        published: bundle.published,
        ending: false,
    }
}

/// How long ago that was by our clock; nothing if it is to come.
pub(super) fn since(time: Timestamp) -> Duration {
    let elapsed = Timestamp::now().duration_since(time);
    Duration::try_from(elapsed).unwrap_or_default()
}

/// As pods' owners are called.
fn owner(kind: &str, name: &str) -> String {
    format!("{}/{name}", kind.to_lowercase())
}
