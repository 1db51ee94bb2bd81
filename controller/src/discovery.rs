//! Destination and policy: one source, one index, projections of it.

use crate::{flags::ServeFlags, process::Discovery, source::Source};
use ferrule_cluster::{
    Index, Interner,
    source::{Sink, WatchStats},
};
use ferrule_destination::{Destination, Destinations};
use ferrule_policy::{Acceptance, Inbound, Outbound, Outbox, Policies, Statuses};
use std::sync::Arc;

/// What moves events to views once it runs.
pub(crate) struct Pipeline {
    pub(crate) source: Source,
    pub(crate) sink: Sink,
    pub(crate) index: Index,
}

/// The parts, joined; nothing runs yet.
pub(crate) fn open(
    flags: &ServeFlags,
    client: Option<kube::Client>,
) -> anyhow::Result<(Discovery, Pipeline)> {
    let interner = Interner::new();
    let watches = Arc::new(WatchStats::new());
    let source = Source::open(&flags.source, client, interner.clone(), watches.clone())?;
    let (mut index, handle) = Index::new(interner.clone());

    let mesh = Arc::new(flags.mesh.mesh());
    let destinations = Arc::<ferrule_destination::Registry>::default();
    let questions = index.project(Destinations::new(mesh.clone(), destinations.clone()));
    let destination = Destination::server(mesh, destinations.clone(), questions.clone());
    if flags.mesh.max_streams > 0 {
        destination.limit(flags.mesh.max_streams);
    }

    let acceptance = match flags.source.manifests {
        // Nobody writes statuses into files.
        Some(_) => Acceptance::Computed,
        None => Acceptance::Written,
    };
    let settings = Arc::new(flags.policy.settings(&flags.mesh, acceptance));
    let policies = Arc::<ferrule_policy::Registry>::default();
    let requests = index.project(Policies::new(settings.clone(), policies.clone()));
    let outbox = flags.writes_statuses().then(Arc::<Outbox>::default);
    if let Some(outbox) = &outbox {
        index.project(Statuses::new(settings, outbox.clone()));
    }
    let inbound = Inbound::server(policies.clone(), requests.clone());
    let outbound = Outbound::server(policies.clone(), requests.clone());

    let discovery = Discovery {
        has_cluster: !flags.is_embedded(),
        cluster_domain: flags.mesh.cluster_domain.clone(),
        interner,
        index: handle.stats,
        watches,
        destinations,
        policies,
        outbox,
        destination,
        inbound,
        outbound,
        questions,
        policy_questions: requests,
    };
    let pipeline = Pipeline {
        source,
        sink: handle.events,
        index,
    };
    Ok((discovery, pipeline))
}
