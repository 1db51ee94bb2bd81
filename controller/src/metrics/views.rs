use super::writer::{NONE, Writer};
use crate::process::{Discovery, Process};
use ferrule_cluster::object::ObjectKey;
use ferrule_destination::{Census, EndpointsKey, Request};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, net::IpAddr, sync::Arc};

/// How many addresses the index is asked about at once: some 100 us.
const PORTION: usize = 1_024;

/// What is told of each Service, by names that Linkerd's users know
/// (destination.md 14). A series goes with the views behind it, a minute after
/// their last stream.
#[derive(Debug)]
pub(super) struct Views {
    process: Arc<Process>,
    census: Census,
}

impl Views {
    pub(super) fn new(process: Arc<Process>, census: Census) -> Self {
        Self { process, census }
    }
}

/// What the views come to. The index is asked whose addresses are that profiles
/// were asked for; where it does not answer, those are left out.
pub(super) async fn census(process: &Process) -> Census {
    let Some(discovery) = &process.discovery else {
        return Census::default();
    };
    let mut census = discovery.destinations.census();
    let ips: Vec<IpAddr> = census.addresses.keys().copied().collect();
    for portion in ips.chunks(PORTION) {
        let question = |reply| Request::ServicesAt(portion.to_vec(), reply);
        let Some(owners) = discovery.ask(question).await else {
            break;
        };
        census.attribute(portion.iter().copied().zip(owners));
    }
    census
}

impl Collector for Views {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let Some(discovery) = &self.process.discovery else {
            return Ok(());
        };
        self.endpoints(&mut writer)?;
        self.profiles(discovery, &mut writer)?;
        // Streams have no queues (ruling 6); dashboards ask for these.
        for name in [
            "endpoint_updates_queue_overflow",
            "profile_updates_queue_overflow",
            "endpoint_profile_updates_queue_overflow",
        ] {
            writer.old_counter(
                name,
                "Always 0: streams have no queue that could overflow",
                [(NONE, 0u32)],
            )?;
        }
        Ok(())
    }
}

impl Views {
    fn endpoints(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let endpoints = self.census.endpoints.iter();
        // Ports are text there; made once for four families.
        let endpoints: Vec<_> = endpoints
            .map(|(key, count)| (key, key.port.to_string(), count))
            .collect();
        let each = || {
            endpoints
                .iter()
                .map(|(key, port, count)| (of(key, port), *count))
        };
        writer.gauges(
            "endpoints_subscribers{cluster,namespace,service,port,hostname,nodename}",
            "Streams that are told the endpoints",
            each().map(|(labels, count)| (labels, count.subscribers)),
        )?;
        writer.gauges(
            "endpoints_pods{cluster,namespace,service,port,hostname,nodename}",
            "Endpoints that are told; the most that clients of any zone are",
            each().map(|(labels, count)| (labels, count.endpoints)),
        )?;
        writer.gauges(
            "endpoints_exists{cluster,namespace,service,port,hostname,nodename}",
            "1 while there is such a Service",
            each().map(|(labels, count)| (labels, u32::from(count.exists))),
        )?;
        writer.old_counter(
            "endpoints_updates{cluster,namespace,service,port,hostname,nodename}",
            "How often what is told of the endpoints changed",
            each().map(|(labels, count)| (labels, count.updates)),
        )
    }

    fn profiles(&self, discovery: &Discovery, writer: &mut Writer<'_>) -> fmt::Result {
        let name = |service: &ObjectKey| {
            let ObjectKey { namespace, name } = service;
            format!("{name}.{namespace}.svc.{}", discovery.cluster_domain)
        };
        let services = self.census.services.iter();
        let services: Vec<_> = services
            .map(|(service, count)| (service, name(service), count))
            .collect();
        let each = || {
            services.iter().map(|(service, profile, count)| {
                let namespace = ("namespace", &*service.namespace);
                ([namespace, ("profile", &**profile)], *count)
            })
        };
        writer.gauges(
            "profile_subscribers{namespace,profile}",
            "Streams that are told the Service's profile, asked for by name or by a cluster IP; \
             profile is the Service's full name, which a ServiceProfile for it has",
            each().map(|(labels, count)| (labels, count.subscribers)),
        )?;
        writer.old_counter(
            "profile_updates{namespace,profile}",
            "How often the profile of the Service changed",
            each().map(|(labels, count)| (labels, count.updates)),
        )?;
        writer.gauges(
            "service_subscribers{namespace,name}",
            "Streams that are told the profile of the Service, by its name",
            services.iter().map(|(service, _, count)| {
                let namespace = ("namespace", &*service.namespace);
                ([namespace, ("name", &*service.name)], count.subscribers)
            }),
        )?;
        writer.gauge(
            "workload_subscribers",
            "Streams that are told the profile of a single workload, asked for by its address",
            self.census.workloads,
        )?;
        writer.old_counter(
            "workload_updates",
            "How often the profile of a single workload changed",
            [(NONE, discovery.destinations.workload_updates())],
        )
    }
}

fn of<'a>(key: &'a EndpointsKey, port: &'a str) -> [(&'static str, &'a str); 6] {
    [
        ("cluster", "local"),
        ("namespace", &key.service.namespace),
        ("service", &key.service.name),
        ("port", port),
        ("hostname", key.hostname.as_deref().unwrap_or_default()),
        ("nodename", key.node.as_deref().unwrap_or_default()),
    ]
}
