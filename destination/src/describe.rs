//! What is known and told of a Service as JSON, for people who look for a reason.

use crate::{
    endpoints::{EndpointsKey, EndpointsView},
    profile::ProfileKey,
    projection::Registry,
};
use ferrule_cluster::{World, describe, object::ObjectKey};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// What the index holds of a Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// Whether there is such a Service.
    pub exists: bool,
    /// Its cluster IPs.
    pub cluster_ips: Box<[IpAddr]>,
    /// The EndpointSlices that say which endpoints it has.
    pub slices: Vec<Value>,
}

impl Description {
    pub(crate) fn of(world: &World, key: &ObjectKey) -> Self {
        let service = world.service(key);
        let slices = world.slices_of(key).map(|slice| {
            let endpoints = &slice.slice.endpoints;
            json!({
                "name": &*slice.key.name,
                "resourceVersion": slice.slice.resource_version,
                "endpoints": endpoints.len(),
                "ready": endpoints.iter().filter(|endpoint| endpoint.ready).count(),
            })
        });
        Self {
            exists: service.is_some(),
            cluster_ips: service.map_or_else(Box::default, |service| service.cluster_ips.clone()),
            slices: slices.collect(),
        }
    }
}

impl Registry {
    /// What is told of a Service's endpoints, and each stream that is told it.
    pub fn describe_endpoints(&self, service: &ObjectKey) -> Vec<Value> {
        let views = self.endpoints.pin();
        let views: Vec<_> = views
            .iter()
            .filter(|(key, _)| key.service == *service)
            .map(|(key, view)| (key.clone(), view.clone()))
            .collect();
        views
            .iter()
            .map(|(key, view)| endpoints(key, view))
            .collect()
    }

    /// What is told of a Service by its profile, by name or by one of its cluster
    /// IPs, and each stream that is told it.
    pub fn describe_profiles(&self, service: &ObjectKey, ips: &[IpAddr]) -> Vec<Value> {
        let mut profiles = Vec::new();
        self.profiles.for_each(|key, view| {
            let asked = match key {
                ProfileKey::Service {
                    service: of,
                    port,
                    client,
                } if of == service => {
                    let client = client.as_deref();
                    json!({"service": of.to_string(), "port": port, "clientNamespace": client})
                }
                ProfileKey::Address { ip, port, client } if ips.contains(ip) => {
                    let address = SocketAddr::new(*ip, *port).to_string();
                    json!({"address": address, "clientNamespace": client.as_deref()})
                }
                ProfileKey::Hostname {
                    service: of,
                    hostname,
                    port,
                } if of == service => {
                    json!({"service": of.to_string(), "hostname": &**hostname, "port": port})
                }
                _ => return,
            };
            profiles.push(json!({
                "asked": asked,
                "version": view.version(),
                "streams": describe::streams(view.subscribers(), view.version()),
            }));
        });
        profiles
    }
}

fn endpoints(key: &EndpointsKey, view: &Arc<EndpointsView>) -> Value {
    let (snapshot, deltas) = view.size();
    let mut addrs = view.addrs();
    addrs.sort_unstable();
    let endpoints = addrs.into_iter().map(|(addr, since)| {
        let addr = SocketAddr::new(addr.ip, addr.port);
        json!({"address": addr.to_string(), "sinceVersion": since})
    });
    let version = view.version();
    json!({
        "port": key.port,
        "hostname": key.hostname.as_deref(),
        "zone": key.zone.as_deref(),
        "node": key.node.as_deref(),
        "version": version,
        "snapshotBytes": snapshot,
        "deltaBytes": deltas,
        "endpoints": endpoints.collect::<Vec<_>>(),
        "streams": describe::streams(view.subscribers(), version),
    })
}
