use super::{
    candidates::{Addr, Candidate, Identity, Resolver, is_few},
    key::EndpointsKey,
    view::{EndpointsView, History, Tally, Update},
    wire::{element, set_labels},
};
use crate::{
    mesh::Mesh,
    workload::{self, Audience, Locality},
};
use bytes::Bytes;
use ferrule_cluster::{
    object::{Multicluster, ObjectKey},
    stream::Frames,
    world::{Member, Touched, World},
};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use std::{collections::BTreeMap, sync::Arc};
use tonic::Status;

/// The index's side of a view: it alone changes it.
pub(crate) struct EndpointsWriter {
    key: EndpointsKey,
    view: Arc<EndpointsView>,
    /// Where each endpoint is published.
    addrs: FxHashMap<Identity, Addr>,
    /// Two endpoints claim one address: what becomes of one depends on the other.
    contested: bool,
    labels: BTreeMap<String, String>,
    /// How streams of views that this one replaced get here, while nothing has
    /// changed since.
    takeovers: Vec<(Arc<[Addr]>, Frames)>,
}

impl EndpointsWriter {
    pub(crate) fn new(
        mesh: &Mesh,
        world: &World,
        key: EndpointsKey,
        history: History,
        tally: Arc<Tally>,
    ) -> Self {
        let mut writer = Self {
            view: Arc::new(EndpointsView::new(history, tally)),
            addrs: FxHashMap::default(),
            contested: false,
            labels: BTreeMap::new(),
            takeovers: Vec::new(),
            key,
        };
        writer.service_changed(world);
        writer.update(mesh, world, &Touched::All);
        writer
    }

    pub(crate) fn key(&self) -> &EndpointsKey {
        &self.key
    }

    pub(crate) fn view(&self) -> &Arc<EndpointsView> {
        &self.view
    }

    /// Whether the Service's policy asks for another class of clients than this
    /// view's.
    pub(crate) fn is_misfit(&self, world: &World) -> bool {
        is_local(world, &self.key.service).is_some_and(|local| local != self.key.node.is_some())
    }

    /// Hands this view's streams over to whichever view fits now.
    pub(crate) fn replace(self) {
        self.view.replace();
    }

    /// The Service came, went, or reads differently.
    pub(crate) fn service_changed(&self, world: &World) {
        self.view.set_refusal(refusal(world, &self.key.service));
    }

    /// Brings the view up to date with the endpoints that were touched.
    pub(crate) fn update(&mut self, mesh: &Mesh, world: &World, touched: &Touched) {
        let key = self.key.clone();
        let resolver = Resolver::new(world, &key, mesh);
        let alone = match touched {
            Touched::Some(members)
                if !self.contested
                    && is_few(members.len(), self.addrs.len())
                    && !resolver.is_entangled() =>
            {
                self.members(mesh, world, &resolver, members)
            }
            _ => None,
        };
        let mut update = match alone {
            Some(update) => update,
            None => self.all(mesh, world, &resolver, touched),
        };
        // Whatever labels a set touches all of it.
        if matches!(touched, Touched::All) {
            let labels = labels(world, resolver.source());
            if labels != self.labels {
                update.set_labels = Some(set_labels(labels.clone()));
                self.labels = labels;
            }
        }
        for (addr, identity) in &update.gone {
            if self.addrs.get(identity) == Some(addr) {
                self.addrs.remove(identity);
            }
        }
        for (addr, identity, _) in &update.puts {
            self.addrs.insert(*identity, *addr);
        }
        if self.view.publish(update) {
            self.takeovers.clear();
        }
    }

    /// Gives up what was kept for streams that have come by now.
    pub(crate) fn tidy(&mut self) {
        self.takeovers = Vec::new();
        self.view.tidy();
    }

    /// What leads a stream of a replaced view here.
    pub(crate) fn takeover(&mut self, told: &Arc<[Addr]>) -> Frames {
        let known = self
            .takeovers
            .iter()
            .find(|(other, _)| Arc::ptr_eq(other, told));
        if let Some((_, frames)) = known {
            return frames.clone();
        }
        let frames = self.view.takeover(told);
        self.takeovers.push((told.clone(), frames.clone()));
        frames
    }

    /// These endpoints by themselves; `None` where that is not possible: one has
    /// come to an address that another has, or is an address without an object,
    /// which may stand for several endpoints.
    fn members(
        &self,
        mesh: &Mesh,
        world: &World,
        resolver: &Resolver<'_>,
        members: &FxHashSet<Member>,
    ) -> Option<Update> {
        let mut update = Update::default();
        let mut puts = FxHashMap::with_capacity_and_hasher(members.len(), FxBuildHasher);
        for &member in members {
            if matches!(member, Member::Address(_)) {
                return None;
            }
            let identity = Identity::new(member, 0);
            let told = resolver.object(member).and_then(|candidate| {
                let element = self.encode(mesh, world, &candidate)?;
                Some((candidate.addr, element))
            });
            let before = self.addrs.get(&identity).copied();
            if let Some(before) = before
                && told.as_ref().is_none_or(|(addr, _)| *addr != before)
            {
                update.gone.push((before, identity));
            }
            if let Some((addr, element)) = told {
                if puts.insert(addr, identity).is_some() {
                    return None;
                }
                update.puts.push((addr, identity, element));
            }
        }
        self.view.are_free(puts.iter()).then_some(update)
    }

    /// Every endpoint; only those are encoded that were touched or have come.
    fn all(
        &mut self,
        mesh: &Mesh,
        world: &World,
        resolver: &Resolver<'_>,
        touched: &Touched,
    ) -> Update {
        let candidates = resolver.all();
        self.contested = candidates.contested;
        let is_touched = |member: &Member| match touched {
            Touched::All => true,
            Touched::Some(members) => members.contains(member),
        };
        let mut update = Update::default();
        let mut gone = self.addrs.clone();
        for (addr, candidate) in candidates.by_addr {
            let identity = candidate.identity;
            let stays = gone.get(&identity) == Some(&addr);
            if stays && !is_touched(&identity.member) {
                gone.remove(&identity);
            } else if let Some(element) = self.encode(mesh, world, &candidate) {
                if stays {
                    gone.remove(&identity);
                }
                update.puts.push((addr, identity, element));
            }
        }
        let gone = gone.into_iter();
        update.gone = gone.map(|(identity, addr)| (addr, identity)).collect();
        update
    }

    /// The endpoint as an element of a set; `None` where it cannot be reached,
    /// which no candidate is.
    fn encode(&self, mesh: &Mesh, world: &World, candidate: &Candidate<'_>) -> Option<Bytes> {
        let addr = match candidate.workload {
            Some(workload) => {
                let zone = candidate.endpoint.zone.as_ref();
                let locality = Locality::between(self.key.zone.as_ref(), zone);
                let audience = Audience::Get(zone, locality);
                workload.tell(mesh, world, candidate.addr, audience).ok()?
            }
            None => {
                let mirror = candidate.slice.mirror.as_deref();
                workload::address(mesh, candidate.addr, self.key.port, mirror)
            }
        };
        Some(element(&addr))
    }
}

/// The labels of the set (destination.md section 5.6), from the Service itself
/// so that no order of events can leave them out (D22). A mirror's come from its
/// slices, which agree.
fn labels(world: &World, service: &ObjectKey) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        ("namespace".to_owned(), service.namespace.to_string()),
        ("service".to_owned(), service.name.to_string()),
    ]);
    let mirror = world
        .slices_of(service)
        .filter_map(|slice| Some((&slice.key, slice.slice.mirror.as_deref()?)))
        .filter(|(_, mirror)| mirror.cluster.is_some())
        .min_by_key(|(key, _)| *key);
    if let Some((_, mirror)) = mirror {
        let cluster = mirror.cluster.as_deref().unwrap_or_default();
        labels.insert("target_cluster".into(), cluster.into());
        let mut parts = mirror.remote_name.as_deref().unwrap_or_default().split('.');
        if let (Some(name), Some(namespace)) = (parts.next(), parts.next()) {
            labels.insert("target_service".into(), name.into());
            labels.insert("target_service_namespace".into(), namespace.into());
        }
    }
    labels
}

/// Whether each node is told its own endpoints only; `None` where the Service has
/// none in this cluster.
pub(crate) fn is_local(world: &World, key: &ObjectKey) -> Option<bool> {
    let source = world.service(&world.source_of(key)?)?;
    Some(source.local_traffic)
}

/// What a newcomer is refused with (destination.md sections 3.1 and 4).
pub(crate) fn refusal(world: &World, key: &ObjectKey) -> Option<Status> {
    let Some(service) = world.service(key) else {
        return Some(Status::not_found(format!(
            "Service {}.{} not found",
            key.name, key.namespace
        )));
    };
    match service.multicluster.as_deref() {
        // The server puts the request's own words into these two.
        None if service.external_name => Some(Status::invalid_argument("ExternalName")),
        Some(Multicluster::Remote { service: None, .. }) => Some(Status::failed_precondition(
            "Remote discovery service missing remote service name",
        )),
        // No other cluster is linked to this one.
        Some(Multicluster::Remote { cluster, .. }) => Some(Status::not_found(format!(
            "Remote cluster not found: {cluster}"
        ))),
        // Whatever its members are.
        None | Some(Multicluster::Federated { .. }) => None,
    }
}
