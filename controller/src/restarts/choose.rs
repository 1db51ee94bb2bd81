//! Who is restarted next.

use super::{
    bundle::Bundle,
    events::{About, Reason},
    journal::Entry,
    objects::AllSaid,
    opt_in::{OptIn, Said},
    rollout::LOOK,
    term::{COUNT_IDLE, COUNT_WAITING, Next, SHARE, Term},
    verdict::{Case, Verdict},
    workload::{Kind, Workload},
};
use ferrule_identity::RestartState;
use jiff::Timestamp;
use kube::ResourceExt as _;
use std::collections::{HashMap, hash_map};
use tokio::time::Instant;

/// A workload whose pods do not trust the bundle.
struct Laggard {
    /// Its namespace, and what its pods call it.
    who: (String, String),
    kind: Kind,
    workload: Workload,
    opt_in: OptIn,
}

/// What came of looking at one.
enum Looked {
    /// It is being restarted.
    Begun,
    /// It would be if it could be now.
    Waits,
    /// There is nothing to be done.
    Passed,
}

impl Laggard {
    fn tell<'a>(&'a self, name: &'a str) -> About<'a> {
        About {
            api_version: "apps/v1",
            kind: self.kind.as_str(),
            namespace: &self.who.0,
            name,
            uid: self.workload.metadata.uid.as_deref(),
        }
    }
}

impl Term<'_> {
    /// Restarts the first that may be.
    pub(super) async fn choose(&mut self, bundle: &Bundle) -> kube::Result<Next> {
        let begun = Instant::now();
        let laggards = self
            .count
            .iter()
            .flat_map(|count| count.census.laggards.keys());
        let laggards: Vec<_> = laggards
            .filter(|who| !self.settled.contains(*who))
            .cloned()
            .collect();
        let namespaces = self.objects.namespaces().await?;
        let mut kinds = HashMap::new();
        let mut budgets = HashMap::new();
        let mut waiting = 0;
        for (n, who) in laggards.iter().enumerate() {
            self.standings.remove(who);
            let Some(laggard) = self.wants(who, &namespaces, &mut kinds).await? else {
                continue;
            };
            if !budgets.contains_key(&who.0) {
                let found = self.objects.budgets(&who.0).await?;
                budgets.insert(who.0.clone(), found);
            }
            let uid = laggard.workload.uid().unwrap_or_default();
            let verdict = Case {
                kind: laggard.kind,
                workload: &laggard.workload,
                opt_in: laggard.opt_in,
                bundle: &bundle.id,
                has_failed: self.spared(bundle).contains(&uid),
                budgets: &budgets[&who.0],
            };
            match self.look(&laggard, verdict.judge(), bundle).await? {
                Looked::Begun => {
                    for who in &laggards[n + 1..] {
                        if self.opt_in(who, &namespaces, &mut kinds).await? != OptIn::No {
                            self.standings.queue(who);
                        }
                    }
                    return Ok(Next::In(LOOK));
                }
                Looked::Waits => waiting += 1,
                Looked::Passed => {}
            }
        }
        self.stats.set_waiting(waiting);
        let pause = if waiting > 0 {
            COUNT_WAITING
        } else {
            COUNT_IDLE
        };
        let pause = pause.max(begun.elapsed() * SHARE);
        if let Some(count) = &mut self.count {
            count.again = count.again.max(Instant::now() + pause);
        }
        Ok(Next::In(pause))
    }

    /// Whose restart for this bundle has failed.
    fn spared(&self, bundle: &Bundle) -> &[String] {
        let last = self.last.as_ref().and_then(Option::as_ref);
        let last = last.filter(|last| last.bundle == bundle.id);
        last.map_or(&[], |last| &last.spared)
    }

    /// A laggard, if somebody wants it to be restarted.
    async fn wants(
        &mut self,
        who: &(String, String),
        namespaces: &AllSaid,
        kinds: &mut HashMap<Kind, AllSaid>,
    ) -> kube::Result<Option<Laggard>> {
        let (namespace, owner) = who;
        let of_namespace = said(namespaces, "", namespace);
        if let Some(problem) = of_namespace.problem() {
            let about = About {
                api_version: "v1",
                kind: "Namespace",
                namespace,
                name: namespace,
                uid: None,
            };
            self.tell_once(about, Reason::Unreadable, &problem).await;
        }
        let Some((kind, name)) = Kind::of_owner(owner) else {
            let text = "is of a kind that is not restarted";
            if of_namespace == Said::Enabled
                && self.told.insert(who.clone(), text.to_owned()).is_none()
            {
                tracing::info!(
                    namespace,
                    owner,
                    "does not trust all that is published, and {text}"
                );
            }
            return Ok(None);
        };
        let of_workload = said(self.said(kind, kinds).await?, namespace, name);
        let opt_in = OptIn::of(&of_namespace, &of_workload);
        let problem = of_workload.problem();
        if opt_in == OptIn::No && problem.is_none() {
            return Ok(None);
        }
        let Some(workload) = self.objects.get(kind, namespace, name).await? else {
            return Ok(None);
        };
        let laggard = Laggard {
            who: who.clone(),
            kind,
            workload,
            opt_in,
        };
        match problem {
            None => Ok(Some(laggard)),
            Some(problem) => {
                self.standings
                    .set(who, RestartState::Refused, Some(&problem));
                self.tell_once(laggard.tell(name), Reason::Unreadable, &problem)
                    .await;
                Ok(None)
            }
        }
    }

    /// What all workloads of a kind say.
    async fn said<'k>(
        &self,
        kind: Kind,
        kinds: &'k mut HashMap<Kind, AllSaid>,
    ) -> kube::Result<&'k AllSaid> {
        Ok(match kinds.entry(kind) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(unknown) => unknown.insert(self.objects.workloads(kind).await?),
        })
    }

    /// Whether somebody wants a laggard to be restarted.
    async fn opt_in(
        &self,
        who: &(String, String),
        namespaces: &AllSaid,
        kinds: &mut HashMap<Kind, AllSaid>,
    ) -> kube::Result<OptIn> {
        let (namespace, owner) = who;
        let Some((kind, name)) = Kind::of_owner(owner) else {
            return Ok(OptIn::No);
        };
        let of_workload = said(self.said(kind, kinds).await?, namespace, name);
        Ok(OptIn::of(&said(namespaces, "", namespace), &of_workload))
    }

    async fn look(
        &mut self,
        laggard: &Laggard,
        verdict: Verdict,
        bundle: &Bundle,
    ) -> kube::Result<Looked> {
        let name = laggard.workload.name_any();
        let about = laggard.tell(&name);
        match verdict {
            Verdict::Waits(reason) => {
                self.standings
                    .set(&laggard.who, RestartState::Waits, Some(&reason));
                let text = format!("its restart for the trust anchors waits: {reason}");
                self.tell_once(about, Reason::Waits, &text).await;
                return Ok(Looked::Waits);
            }
            Verdict::Refused(reason) => {
                self.standings
                    .set(&laggard.who, RestartState::Refused, Some(&reason));
                let text = format!(
                    "pods do not trust all trust anchors and are not restarted, because {reason}"
                );
                self.tell_once(about, Reason::Refused, &text).await;
                return Ok(Looked::Passed);
            }
            Verdict::Restart | Verdict::Restarted => {}
        }
        // Pods may have been counted a while ago.
        let behind = self.behind(bundle, &laggard.who, &laggard.workload).await?;
        if behind == 0 {
            self.settled.insert(laggard.who.clone());
            return Ok(Looked::Passed);
        }
        if verdict == Verdict::Restart {
            return self.begin(laggard, behind, bundle).await;
        }
        self.settled.insert(laggard.who.clone());
        self.standings.set(&laggard.who, RestartState::InVain, None);
        self.tell_once(about, Reason::Futile, &in_vain(behind))
            .await;
        Ok(Looked::Passed)
    }

    async fn begin(
        &mut self,
        laggard: &Laggard,
        behind: usize,
        bundle: &Bundle,
    ) -> kube::Result<Looked> {
        let Laggard { kind, workload, .. } = laggard;
        let entry = Entry {
            kind: *kind,
            namespace: laggard.who.0.clone(),
            name: workload.name_any(),
            uid: workload.uid().unwrap_or_default(),
            bundle: bundle.id.clone(),
            begun: Timestamp::now(),
            ended: None,
            failed: false,
            futile: false,
            spared: self.spared(bundle).to_vec(),
        };
        if !self.leadership.is_leader() {
            return Ok(Looked::Begun);
        }
        self.write(entry.clone()).await?;
        if !self.leadership.is_leader() {
            return Ok(Looked::Begun);
        }
        let about = laggard.tell(&entry.name);
        match self.objects.restart(*kind, workload, &bundle.id).await {
            Ok(()) => {
                let text = format!(
                    "restarted, because {behind} of its pods did not trust all trust anchors; {} \
                     wants it",
                    laggard.opt_in
                );
                self.standings
                    .set(&laggard.who, RestartState::Restarting, None);
                self.tell_restart(&entry, Reason::Restarted, &text).await;
                Ok(Looked::Begun)
            }
            // It is another by now, and is looked at again.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                self.close(entry).await?;
                Ok(Looked::Begun)
            }
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => {
                self.close(entry.clone()).await?;
                self.settled.insert(laggard.who.clone());
                self.standings
                    .set(&laggard.who, RestartState::Refused, Some(&status.message));
                let text = format!("cannot be restarted: {}", status.message);
                self.tell_once(about, Reason::Refused, &text).await;
                Ok(Looked::Passed)
            }
            // Nobody knows what was written.
            Err(error) => Err(error),
        }
    }
}

/// What was said of an object.
fn said(all: &AllSaid, namespace: &str, name: &str) -> Said {
    let found = all.get(&(namespace.to_owned(), name.to_owned()));
    found.cloned().unwrap_or_default()
}

/// What is said of a workload whose new pods are as the old.
pub(super) fn in_vain(behind: usize) -> String {
    format!(
        "{behind} of its pods do not trust all trust anchors though they are new: is the \
         injector up to date? They are not restarted again until there are other trust anchors"
    )
}
