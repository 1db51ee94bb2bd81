//! What somebody who tries Ferrule out is told: what is served, and what to ask.

use crate::{
    flags::{Role, ServeFlags},
    listeners::Listeners,
    process::Process,
};
use ferrule_cli::DEFAULT_API_ADDR;
use ferrule_cluster::{
    object::{Kind, Object, ObjectKey},
    source::{CHANNEL_CAPACITY, Event, Sink},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How many Services are named.
const NAMED: usize = 3;

/// A few of the Services that a source tells first.
struct Catalog(oneshot::Receiver<Services>);

/// Services with a port of each.
type Services = BTreeMap<ObjectKey, u16>;

impl Catalog {
    /// A catalogue of what goes through the returned sink into `next`.
    fn of(next: Sink) -> (Self, Sink) {
        let (sink, events) = mpsc::channel(CHANNEL_CAPACITY);
        let (found, catalog) = oneshot::channel();
        tokio::spawn(pass_on(events, next, found));
        (Self(catalog), sink)
    }
}

/// Passes all events on, and tells the Services once they have been listed.
async fn pass_on(mut events: mpsc::Receiver<Event>, next: Sink, found: oneshot::Sender<Services>) {
    let mut listing = Some((Listing::default(), found));
    while let Some(event) = events.recv().await {
        if let Some((listed, _)) = &mut listing {
            listed.note(&event);
        }
        if let Some((listed, found)) = listing.take_if(|(listed, _)| listed.is_complete()) {
            // The banner may have been given up.
            let _ = found.send(listed.first());
        }
        if next.send(event).await.is_err() {
            return;
        }
    }
}

/// The Services of a first list, and which of them have endpoints.
#[derive(Default)]
struct Listing {
    services: Services,
    with_endpoints: BTreeSet<ObjectKey>,
    synced: BTreeSet<Kind>,
}

impl Listing {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Applied { key, object, .. } => match object {
                Object::Service(service) if !service.external_name => {
                    let port = service.ports.first().map(|port| port.port);
                    self.services.extend(port.map(|port| (key.clone(), port)));
                }
                Object::EndpointSlice(slice) if slice.endpoints.iter().any(|one| one.ready) => {
                    let service = slice.service.as_ref();
                    let key =
                        service.map(|name| ObjectKey::new(key.namespace.clone(), name.clone()));
                    self.with_endpoints.extend(key);
                }
                _ => {}
            },
            Event::Synced(kind) => {
                self.synced.insert(*kind);
            }
            _ => {}
        }
    }

    fn is_complete(&self) -> bool {
        [Kind::Service, Kind::EndpointSlice]
            .iter()
            .all(|kind| self.synced.contains(kind))
    }

    /// The first ones by name that have endpoints, else the first ones.
    fn first(self) -> Services {
        let has_endpoints = |key: &ObjectKey| self.with_endpoints.contains(key);
        let any = self.services.keys().any(has_endpoints);
        let services = self
            .services
            .iter()
            .filter(|(key, _)| has_endpoints(key) || !any);
        services
            .take(NAMED)
            .map(|(key, port)| (key.clone(), *port))
            .collect()
    }
}

/// What is served where.
pub(crate) struct Banner {
    /// How this program was called, so that the commands can be pasted.
    pub(crate) program: PathBuf,
    pub(crate) directory: PathBuf,
    pub(crate) cluster_domain: String,
    pub(crate) state_dir: Option<PathBuf>,
    /// What is served where, in the order of a proxy's first conversation.
    pub(crate) apis: Vec<Api>,
    pub(crate) admin: SocketAddr,
}

/// A gRPC listener.
pub(crate) struct Api {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    pub(crate) meshed: bool,
}

impl Banner {
    /// What the flags and the listeners make of it.
    pub(crate) fn new(flags: &ServeFlags, directory: PathBuf, listeners: &Listeners) -> Self {
        let apis = [Role::Identity, Role::Destination, Role::Policy]
            .into_iter()
            .filter_map(|role| {
                let (addr, meshed) = listeners.role(role)?;
                let name = role.as_str();
                Some(Api { name, addr, meshed })
            })
            .collect();
        Self {
            program: std::env::args_os()
                .next()
                .unwrap_or_else(|| "ferrule".into())
                .into(),
            directory,
            cluster_domain: flags.mesh.cluster_domain.clone(),
            state_dir: flags.state_dir(),
            apis,
            admin: listeners.admin_addr,
        }
    }

    /// Prints it to standard output as soon as questions are answered. Events go
    /// through the returned sink into `next`.
    pub(crate) fn print_when_synced(self, process: Arc<Process>, next: Sink) -> Sink {
        let (catalog, sink) = Catalog::of(next);
        tokio::spawn(async move {
            let services = catalog.0.await.unwrap_or_default();
            let Some(discovery) = &process.discovery else {
                return;
            };
            while !discovery.index.is_synced() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let count = |kind| discovery.index.count(kind);
            let text = self.text(count(Kind::Service), count(Kind::Pod), &services);
            // Nobody need listen.
            let _ = io::stdout().lock().write_all(text.as_bytes());
        });
        sink
    }

    fn text(&self, service_count: usize, pod_count: usize, services: &Services) -> String {
        let directory = self.directory.display();
        let mut text = format!(
            "\nFerrule serves the manifests in {directory}: {}, {}. Edits take effect at once.\n\n",
            Count(service_count, "Service"),
            Count(pod_count, "Pod"),
        );
        for Api { name, addr, meshed } in &self.apis {
            let name = format!("{name} API");
            let tls = if *meshed { "mesh TLS" } else { "plaintext" };
            text.push_str(&format!("  {name:<16} {addr}  gRPC, {tls}\n"));
        }
        text.push_str(&format!(
            "  admin            http://{}  /ready /metrics /debug/state\n",
            self.admin
        ));
        if let Some(state_dir) = &self.state_dir {
            let state_dir = state_dir.display();
            text.push_str(&format!("  trust anchor     {state_dir}/ca.crt\n"));
        }
        text.push('\n');
        let to = match self.admin.to_string() {
            addr if addr == DEFAULT_API_ADDR => String::new(),
            addr => format!(" --api-addr {addr}"),
        };
        if services.is_empty() {
            text.push_str("There is no Service yet; add a manifest of one to the directory.\n");
            return text + "Ctrl-C ends it.\n\n";
        }
        text.push_str("Ask it what a proxy is told, from another terminal:\n\n");
        let ferrule = self.program.display();
        let authorities: Vec<_> = services
            .iter()
            .map(|(key, port)| {
                format!(
                    "{}.{}.svc.{}:{port}",
                    key.name, key.namespace, self.cluster_domain
                )
            })
            .collect();
        for authority in &authorities {
            text.push_str(&format!(
                "  {ferrule} diagnostics endpoints {authority}{to}\n"
            ));
        }
        let first = &authorities[0];
        text.push_str(&format!("  {ferrule} diagnostics profile {first}{to}\n"));
        if let Some((key, port)) = services.first_key_value() {
            text.push_str(&format!(
                "  {ferrule} diagnostics policy svc/{}.{} {port}{to}\n",
                key.name, key.namespace
            ));
        }
        if self.state_dir.is_some() {
            text.push_str(&format!("  {ferrule} identity show{to}\n"));
        }
        text.push_str(&format!(
            "  {ferrule} diagnostics endpoints {first}{to} --watch\n\n"
        ));
        text + "Then edit a manifest. Ctrl-C ends it.\n\n"
    }
}

struct Count(usize, &'static str);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_cluster::object::{Service, ServicePort};

    fn service(name: &str, external_name: bool) -> Event {
        Event::Applied {
            key: ObjectKey::new("shop", name),
            object: Object::Service(Service {
                ports: [ServicePort {
                    name: "".into(),
                    port: 80,
                    app_protocol: None,
                }]
                .into(),
                external_name,
                ..Service::default()
            }),
            problems: Vec::new(),
        }
    }

    #[tokio::test]
    async fn the_catalogue_names_the_first_services_and_holds_nothing_back() {
        let (next, mut passed_on) = mpsc::channel(16);
        let (catalog, sink) = Catalog::of(next);
        let events = [
            service("d", false),
            service("b", false),
            service("elsewhere", true),
            service("a", false),
            service("c", false),
            Event::Synced(Kind::Service),
            Event::Synced(Kind::EndpointSlice),
            Event::Synced(Kind::Pod),
        ];
        for event in events.clone() {
            sink.send(event).await.unwrap();
        }
        let services = catalog.0.await.unwrap();
        let names: Vec<_> = services.keys().map(|key| &*key.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        for event in events {
            assert_eq!(passed_on.recv().await, Some(event));
        }
    }

    #[test]
    fn the_commands_can_be_pasted() {
        let banner = Banner {
            program: "target/release/ferrule".into(),
            directory: "manifests".into(),
            cluster_domain: "cluster.local".into(),
            state_dir: Some("state".into()),
            apis: vec![Api {
                name: "destination",
                addr: "0.0.0.0:4001".parse().unwrap(),
                meshed: true,
            }],
            admin: "127.0.0.1:4000".parse().unwrap(),
        };
        let services = BTreeMap::from([(ObjectKey::new("shop", "web"), 80)]);
        let text = banner.text(1, 2, &services);
        assert!(text.contains("1 Service, 2 Pods."), "{text}");
        let command = "\n  target/release/ferrule diagnostics endpoints web.shop.svc.cluster.local:80 --api-addr 127.0.0.1:4000\n";
        assert!(text.contains(command), "{text}");
        for told in [
            "\n  destination API  0.0.0.0:4001  gRPC, mesh TLS\n",
            "diagnostics policy svc/web.shop 80 --api-addr",
            "state/ca.crt",
        ] {
            assert!(text.contains(told), "{told} in {text}");
        }
        assert!(
            banner
                .text(0, 0, &BTreeMap::new())
                .contains("no Service yet")
        );
    }
}
