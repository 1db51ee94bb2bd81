//! Whom a batch of changes is about.

use super::{Dependency, OutboundKey, OutboundTarget, What};
use crate::PolicySettings;
use ferrule_cluster::{
    ValueView, Views, World,
    object::{ObjectKey, route::ParentKind},
    world::Changes,
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// The views of policies that may be others now.
pub(crate) struct Affected<'v> {
    views: &'v Views<OutboundKey>,
    /// They are to be written again.
    pub(crate) told: FxHashMap<&'v OutboundKey, &'v Arc<ValueView>>,
    /// They are to end then: what they are about may be something else.
    pub(crate) ended: FxHashSet<OutboundKey>,
}

impl<'v> Affected<'v> {
    pub(crate) fn by(
        settings: &PolicySettings,
        world: &World,
        changes: &Changes,
        views: &'v Views<OutboundKey>,
    ) -> Self {
        let mut this = Self {
            views,
            told: FxHashMap::default(),
            ended: FxHashSet::default(),
        };
        for (service, change) in &changes.services {
            if change.object {
                this.follow(&Dependency::Service(service.clone()));
            }
        }
        for ip in &changes.addresses {
            this.follow(&Dependency::Address(*ip));
        }
        for parent in &changes.parents {
            match parent.kind {
                ParentKind::Service => this.service(world, &parent.key),
                ParentKind::EgressNetwork => this.egress_network(settings, world, &parent.key),
                ParentKind::Server => {}
            }
        }
        this.outside(settings, world, changes);
        this
    }

    fn follow(&mut self, dependency: &Dependency) {
        self.told.extend(self.views.dependents(dependency));
    }

    /// Routes of a Service, or where they lead, are others.
    fn service(&mut self, world: &World, key: &ObjectKey) {
        self.follow(&Dependency::Service(key.clone()));
        let ips = world.service(key).map(|service| &service.cluster_ips);
        for ip in ips.into_iter().flatten() {
            self.follow(&Dependency::Address(*ip));
        }
    }

    /// Routes of an EgressNetwork, or where they lead, are others.
    fn egress_network(&mut self, settings: &PolicySettings, world: &World, key: &ObjectKey) {
        let is_about = |(asked, _): &(&OutboundKey, &Arc<ValueView>)| {
            let subject = asked.subject(settings, world);
            subject.is_ok_and(
                |subject| matches!(&subject.what, What::EgressNetwork(network, _) if network == key),
            )
        };
        if *key.namespace == *settings.global_egress_namespace {
            let addresses = self.views.iter().filter(is_address);
            self.told.extend(addresses.filter(is_about));
        } else {
            let clients = Dependency::Outside(key.namespace.clone());
            let addresses = self.views.dependents(&clients);
            self.told.extend(addresses.filter(is_about));
        }
    }

    /// What an address outside of the cluster belongs to may be something else
    /// for clients in the namespaces of EgressNetworks that changed, or for all;
    /// those that belonged to none look again wherever they are (policy.md
    /// section 6.11, D-8).
    fn outside(&mut self, settings: &PolicySettings, world: &World, changes: &Changes) {
        if changes.outside.is_empty() {
            return;
        }
        let changed_in = |namespace: &str| changes.outside.contains(namespace);
        let changed_for_all = changed_in(&settings.global_egress_namespace);
        for (key, view) in self.views.iter().filter(is_address) {
            let is_near = changed_for_all || changed_in(&key.client);
            let looks_again = match key.subject(settings, world).map(|subject| subject.what) {
                Ok(What::Service(..) | What::UndefinedPort(..)) => false,
                Ok(What::External(_)) => true,
                Ok(What::EgressNetwork(..)) | Err(_) => is_near,
            };
            if looks_again {
                self.told.insert(key, view);
                self.ended.insert(key.clone());
            }
        }
    }
}

fn is_address((key, _): &(&OutboundKey, &Arc<ValueView>)) -> bool {
    matches!(key.target, OutboundTarget::Address { .. })
}
