//! What the process says in numbers; docs/metrics.md lists it all, and its tables are
//! made of what is registered here (`make docs`).
//!
//! Nothing is counted here: each collector reads the counters of its part of
//! the process when it is scraped.

mod api_requests;
mod build;
mod cluster;
mod format;
mod identity;
mod injection;
mod leases;
mod mesh_tls;
mod restarts;
mod runtime;
mod statuses;
mod streams;
mod system;
mod traces;
mod views;
mod webhooks;
mod writer;

pub(crate) use self::format::Format;

use crate::{flags::Role, process::Process};
use ferrule_destination::Census;
use prometheus_client::{collector::Collector, encoding::text::encode, registry::Registry};
use std::sync::Arc;

/// All metrics of the process as they are now.
pub(crate) async fn scrape(process: &Arc<Process>, format: Format) -> String {
    let census = views::census(process).await;
    let process = process.clone();
    // Thousands of views are some milliseconds of work, which streams need not
    // wait for.
    let rendered = tokio::task::spawn_blocking(move || render(&process, census, format));
    rendered.await.unwrap_or_default()
}

/// A collector, and with which roles there is what it reads.
struct Part {
    /// The table of docs/metrics.md that it is in.
    #[cfg_attr(not(test), expect(dead_code, reason = "for the page"))]
    table: &'static str,
    /// One of these; none for every process.
    roles: &'static [Role],
    collector: Box<dyn Collector>,
}

/// Destination and policy share an index.
const DISCOVERY: &[Role] = &[Role::Destination, Role::Policy];
/// The roles that proxies dial.
const DIALLED: &[Role] = &[Role::Destination, Role::Policy, Role::Identity];
/// The roles that come with webhooks.
const ASKED: &[Role] = &[Role::Destination, Role::Policy, Role::ProxyInjector];

fn parts(process: &Arc<Process>, census: Census) -> Vec<Part> {
    let part = |table, roles, collector| Part {
        table,
        roles,
        collector,
    };
    let of = || process.clone();
    vec![
        part("process", &[], Box::new(build::Build)),
        part("cluster", DISCOVERY, Box::new(cluster::Cluster(of()))),
        part("index", DISCOVERY, Box::new(cluster::Index(of()))),
        part("grpc", DIALLED, Box::new(streams::Grpc(of()))),
        part("streams", DISCOVERY, Box::new(streams::Streams(of()))),
        part(
            "views",
            DISCOVERY,
            Box::new(views::Views::new(of(), census)),
        ),
        part("requests", &[], Box::new(api_requests::Requests(of()))),
        part(
            "authority",
            &[Role::Identity],
            Box::new(identity::Authority(of())),
        ),
        part("mesh-tls", DIALLED, Box::new(mesh_tls::MeshTls(of()))),
        part("webhooks", ASKED, Box::new(webhooks::Webhooks(of()))),
        part(
            "injection",
            &[Role::ProxyInjector],
            Box::new(injection::Injector(of())),
        ),
        part("leases", &[], Box::new(leases::Leases(of()))),
        part(
            "statuses",
            &[Role::Policy],
            Box::new(statuses::Statuses(of())),
        ),
        part(
            "restarts",
            &[Role::Destination],
            Box::new(restarts::Restarts(of())),
        ),
        part("traces", &[], Box::new(traces::Traces(of()))),
        part("process", &[], Box::new(runtime::Runtime)),
        part("process", &[], Box::new(system::System(of()))),
    ]
}

fn render(process: &Arc<Process>, census: Census, format: Format) -> String {
    let mut registry = Registry::default();
    for part in parts(process, census) {
        if part.roles.is_empty() || part.roles.iter().any(|role| process.has(*role)) {
            registry.register_collector(part.collector);
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry).expect("a String takes everything");
    match format {
        Format::OpenMetrics => text,
        Format::Text => format::to_text(&text),
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
