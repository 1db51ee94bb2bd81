//! How many follow what, for metrics: read from the views without asking the
//! index.

use crate::{endpoints::EndpointsKey, profile::ProfileKey, projection::Registry};
use ferrule_cluster::{World, object::ObjectKey};
use rustc_hash::FxHashMap;
use std::net::IpAddr;

/// What the views come to at one moment.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Of `Get`, by what was asked. The clients' zone is left out: views that
    /// differ in nothing else are one.
    pub endpoints: FxHashMap<EndpointsKey, EndpointsCount>,
    /// Of `GetProfile`, by Service; of those that were asked for by an address,
    /// once it is [known](Self::attribute) whose it is.
    pub services: FxHashMap<ObjectKey, ProfileCount>,
    /// Of `GetProfile`, by address, until then.
    pub addresses: FxHashMap<IpAddr, ProfileCount>,
    /// Streams on profiles of single workloads.
    pub workloads: usize,
}

/// The views of a Service's endpoints that count as one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointsCount {
    /// Streams.
    pub subscribers: usize,
    /// Endpoints that are told; the most that any zone is.
    pub endpoints: usize,
    /// There is such a Service.
    pub exists: bool,
    /// How often what is told changed.
    pub updates: u64,
}

/// The views of a profile, whatever the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProfileCount {
    /// Streams.
    pub subscribers: usize,
    /// How often what is told changed.
    pub updates: u64,
}

impl Registry {
    /// What the views come to now.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for (key, view) in &self.endpoints.pin() {
            let alike = EndpointsKey {
                zone: None,
                ..key.clone()
            };
            let count = census.endpoints.entry(alike).or_default();
            count.subscribers += view.subscribers().len();
            count.endpoints = count.endpoints.max(view.len());
            count.exists |= view.is_open();
            count.updates = view.updates();
        }
        self.profiles.for_each(|key, view| {
            let subscribers = view.subscribers().len();
            let count = match key {
                ProfileKey::Service { service, .. } => {
                    census.services.entry(service.clone()).or_default()
                }
                ProfileKey::Address { ip, .. } => census.addresses.entry(*ip).or_default(),
                ProfileKey::Hostname { .. } => {
                    census.workloads += subscribers;
                    return;
                }
            };
            count.subscribers += subscribers;
            count.updates = view.updates();
        });
        census
    }
}

impl Census {
    /// Counts the profiles of addresses under the Services that have them, the
    /// others as single workloads. `owners` are those of some addresses.
    pub fn attribute(&mut self, owners: impl IntoIterator<Item = (IpAddr, Option<ObjectKey>)>) {
        for (ip, owner) in owners {
            let Some(count) = self.addresses.remove(&ip) else {
                continue;
            };
            match owner {
                Some(service) => {
                    let of_service = self.services.entry(service).or_default();
                    of_service.subscribers += count.subscribers;
                    // The same profile: it changes for both at once.
                    of_service.updates = of_service.updates.max(count.updates);
                }
                None => self.workloads += count.subscribers,
            }
        }
    }
}

impl ProfileKey {
    /// Whether it is a single workload's, rather than a Service's.
    pub(crate) fn is_workload(&self, world: &World) -> bool {
        match self {
            ProfileKey::Service { .. } => false,
            ProfileKey::Address { ip, .. } => world.services_at(*ip).is_empty(),
            ProfileKey::Hostname { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Destinations, EndpointsRequest, Mesh,
        projection::{Ask, Request},
    };
    use ferrule_cluster::{
        LINGER, Slot,
        index::Projection,
        object::{Name, Service},
        source::Event,
        world::Changes,
    };
    use std::{sync::Arc, time::Instant};
    use tokio::sync::oneshot;

    #[test]
    fn views_that_differ_by_zone_are_one_series_and_it_goes_with_them() {
        let mut world = World::default();
        let service = ObjectKey::new("ns", "web");
        let event = Event::Applied {
            key: service.clone(),
            object: Service::default().into(),
            problems: Vec::new(),
        };
        world.apply(event, &mut Changes::default());
        let registry = Arc::<Registry>::default();
        let mut destinations = Destinations::new(Arc::new(Mesh::default()), registry.clone());
        let slots = [Slot::new(), Slot::new()];
        let zones = [Some(Name::from("a")), None];
        let streams = slots.iter().zip(zones).map(|(slot, zone)| {
            let (reply, mut answer) = oneshot::channel();
            let request = EndpointsRequest {
                service: service.clone(),
                port: 80,
                hostname: None,
                zone,
                node: "".into(),
            };
            destinations.handle(&world, Request::from(Ask::Endpoints(request, reply)));
            let view = answer.try_recv().expect("answered").expect("no refusal");
            view.join(slot).expect("no refusal")
        });
        let streams: Vec<_> = streams.collect();

        assert_eq!(registry.views().0, 2);
        let endpoints = registry.census().endpoints;
        let counts: Vec<_> = endpoints.values().map(|count| count.subscribers).collect();
        assert_eq!(counts, [2]);
        assert!(endpoints.values().all(|count| count.exists));
        drop(streams);
        destinations.tidy(Instant::now() + 2 * LINGER);
        assert!(registry.census().endpoints.is_empty());
    }

    #[test]
    fn the_profiles_of_addresses_count_for_whose_they_are() {
        let count = |subscribers, updates| ProfileCount {
            subscribers,
            updates,
        };
        let ips: [IpAddr; 3] = [
            [10, 0, 0, 1].into(),
            [10, 0, 0, 2].into(),
            [10, 0, 0, 3].into(),
        ];
        let web = ObjectKey::new("ns", "web");
        let mut census = Census {
            services: [(web.clone(), count(1, 5))].into_iter().collect(),
            addresses: ips.into_iter().map(|ip| (ip, count(2, 3))).collect(),
            ..Census::default()
        };
        census.attribute([(ips[0], Some(web.clone())), (ips[1], None)]);
        assert_eq!(census.services[&web], count(3, 5));
        assert_eq!(census.workloads, 2);
        assert_eq!(census.addresses.len(), 1, "nobody knows whose the third is");
    }
}
