//! Policies as a mesh has them that denies what nobody has allowed: a Server for each port of a
//! Service's pods, two AuthorizationPolicies for each Server with the authentications that they
//! require, a route to the Service and one on a Server.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::requests::for_all;
use super::service::{PORT, Service};
use super::{Change, World};

/// Where the control plane is, unless told otherwise.
const CONTROL_PLANE: &str = "linkerd";
const GROUP: &str = "policy.linkerd.io";
/// For kinds to be served once they are defined.
const DEFINITION_TIMEOUT: Duration = Duration::from_secs(60);
/// How many ServiceAccounts a MeshTLSAuthentication names.
const CALLERS: usize = 3;

/// A port of every pod that a Server is about, and what is spoken there.
struct Port {
    name: &'static str,
    /// Where the Server names it by number.
    number: Option<u16>,
    protocol: &'static str,
}

const PORTS: [Port; 5] = [
    Port::new(HTTP, None, "HTTP/1"),
    Port::new("metrics", None, "HTTP/1"),
    Port::new("admin", Some(4191), "HTTP/1"),
    Port::new("grpc", Some(9090), "gRPC"),
    Port::new("database", Some(5432), "opaque"),
];
/// The port that the streams are about.
const HTTP: &str = "http";

impl Port {
    const fn new(name: &'static str, number: Option<u16>, protocol: &'static str) -> Self {
        Self {
            name,
            number,
            protocol,
        }
    }
}

/// The kinds that are created.
#[derive(Clone, Copy)]
enum Kind {
    Server,
    AuthorizationPolicy,
    MeshTlsAuthentication,
    NetworkAuthentication,
    HttpRoute,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Server,
        Self::AuthorizationPolicy,
        Self::MeshTlsAuthentication,
        Self::NetworkAuthentication,
        Self::HttpRoute,
    ];

    /// Version, name and plural.
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Server => ["v1beta3", "Server", "servers"],
            Self::AuthorizationPolicy => {
                ["v1alpha1", "AuthorizationPolicy", "authorizationpolicies"]
            }
            Self::MeshTlsAuthentication => [
                "v1alpha1",
                "MeshTLSAuthentication",
                "meshtlsauthentications",
            ],
            Self::NetworkAuthentication => [
                "v1alpha1",
                "NetworkAuthentication",
                "networkauthentications",
            ],
            Self::HttpRoute => ["v1beta3", "HTTPRoute", "httproutes"],
        }
    }

    /// The path of all objects, of one namespace where that is given.
    fn collection(self, namespace: Option<&str>) -> String {
        let [version, _, plural] = self.names();
        match namespace {
            None => format!("/apis/{GROUP}/{version}/{plural}"),
            Some(namespace) => format!("/apis/{GROUP}/{version}/namespaces/{namespace}/{plural}"),
        }
    }

    fn object(self, name: &str, spec: &Value) -> Value {
        let [version, kind, _] = self.names();
        json!({
            "apiVersion": format!("{GROUP}/{version}"), "kind": kind,
            "metadata": {"name": name}, "spec": spec,
        })
    }

    fn refers(self, name: &str) -> Value {
        let [_, kind, _] = self.names();
        json!({"group": GROUP, "kind": kind, "name": name})
    }
}

/// Whom an AuthorizationPolicy that changes is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Every port of every workload of the first namespace.
    Namespace,
    /// That of the first Service's pods that streams are about.
    Server,
}

impl World {
    /// Defines the mesh's kinds, and waits until the API server knows them.
    pub(crate) async fn define_policies(&self) -> Result<()> {
        const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let definitions = ferrule_crds::all();
        for definition in &definitions {
            let object = serde_json::to_value(definition)?;
            self.requests.post(DEFINITIONS, &object).await?;
        }
        let began = Instant::now();
        for definition in definitions {
            let spec = definition.spec;
            for version in spec.versions.iter().filter(|version| version.served) {
                let (group, version, plural) = (&spec.group, &version.name, &spec.names.plural);
                let path = format!("/apis/{group}/{version}/{plural}?limit=1");
                while let Err(error) = self.requests.get(&path).await {
                    if began.elapsed() > DEFINITION_TIMEOUT {
                        return Err(error).context("the kind is not served");
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        Ok(())
    }

    /// Creates the policies of every Service; how many objects that are, and how many of them are
    /// routes. From then on there is a namespace for the Lease of who writes statuses.
    pub(crate) async fn create_policies(&self) -> Result<(usize, usize)> {
        let namespace = json!({"metadata": {"name": CONTROL_PLANE}});
        self.requests.post("/api/v1/namespaces", &namespace).await?;
        let began = Instant::now();
        let objects = for_all(&self.services, |service| async move {
            let objects = policies(service);
            for (kind, object) in &objects {
                let path = kind.collection(Some(&service.namespace));
                self.requests.post(&path, &applied(object)).await?;
            }
            let routes = objects
                .iter()
                .filter(|(kind, _)| matches!(kind, Kind::HttpRoute));
            Ok((objects.len(), routes.count()))
        });
        let counts = objects.await?;
        let objects = counts.iter().map(|(objects, _)| objects).sum();
        let routes = counts.iter().map(|(_, routes)| routes).sum();
        eprintln!(
            "  {objects} policies: {:.1} s",
            began.elapsed().as_secs_f64()
        );
        Ok((objects, routes))
    }

    /// As [`list`](Self::list), of the kinds that are created.
    pub(crate) async fn list_policies(&self) -> Result<(Duration, usize)> {
        let mut all = (Duration::ZERO, 0);
        for kind in Kind::ALL {
            let (duration, bytes) = self.list(&kind.collection(None)).await?;
            all = (all.0 + duration, all.1 + bytes);
        }
        Ok(all)
    }

    /// How the proxies of the first `count` pods call themselves when they ask for policies.
    pub(crate) fn workloads(&self, count: usize) -> Vec<String> {
        let each = self.shape.pods_per_service;
        let workload = |number: usize| {
            let service = &self.services[number / each];
            let (namespace, pod) = (&service.namespace, service.pod_name(number % each));
            format!("{{\"ns\":\"{namespace}\", \"pod\":\"{pod}\"}}\n")
        };
        (0..count).map(workload).collect()
    }

    /// The port of [`workloads`](Self::workloads) that Servers are about.
    pub(crate) const fn workload_port() -> u16 {
        PORT
    }

    /// The cluster IP of the first Service, with its port.
    pub(crate) async fn address(&self) -> Result<SocketAddr> {
        #[derive(serde::Deserialize)]
        struct Stored {
            spec: Spec,
        }
        #[derive(serde::Deserialize)]
        struct Spec {
            #[serde(rename = "clusterIP")]
            cluster_ip: IpAddr,
        }
        let service = &self.services[0];
        let path = format!("{}/{}", service.core("services"), service.name);
        let stored: Stored = serde_json::from_str(&self.requests.get(&path).await?)?;
        Ok(SocketAddr::new(stored.spec.cluster_ip, PORT))
    }

    /// Applies an AuthorizationPolicy: one and the same, that lets in others each time.
    pub(crate) async fn authorize(&self, target: Target, number: usize) -> Result<Change> {
        let service = &self.services[0];
        let (name, target) = match target {
            Target::Namespace => (
                "all-ports",
                json!({"kind": "Namespace", "name": service.namespace}),
            ),
            Target::Server => ("one-port", Kind::Server.refers(&service.of_port(&PORTS[0]))),
        };
        let callers = service.callers(&PORTS[number % 2]);
        let spec = json!({
            "targetRef": target,
            "requiredAuthenticationRefs": [Kind::MeshTlsAuthentication.refers(&callers)],
        });
        self.apply(Kind::AuthorizationPolicy, name, &spec).await
    }

    /// Applies an HTTPRoute of the first Service that is there and has been accepted: for another
    /// path each time.
    pub(crate) async fn reroute(&self, number: usize) -> Result<Change> {
        let name = format!("{}-versions", self.services[0].name);
        self.apply_route(&name, number).await
    }

    /// Applies an HTTPRoute of the first Service that is not there, and deletes it: in turn. Each
    /// has a name of its own, as the status of one object is not written again and again.
    pub(crate) async fn route(&self, number: usize) -> Result<Change> {
        let name = format!("next-version-{}", number / 2);
        if number.is_multiple_of(2) {
            return self.apply_route(&name, number).await;
        }
        let namespace = &self.services[0].namespace;
        let path = format!("{}/{name}", Kind::HttpRoute.collection(Some(namespace)));
        let sent = crate::protocol::now();
        self.requests.delete(&path, 0).await?;
        Ok(Change {
            sent,
            answered: crate::protocol::now(),
        })
    }

    async fn apply_route(&self, name: &str, number: usize) -> Result<Change> {
        let service = &self.services[0];
        let path = format!("/v{}", 3 + number % 2);
        let spec = json!({
            "parentRefs": [service.as_parent()],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": path}}],
                "backendRefs": [{"name": service.name, "port": PORT}],
            }],
        });
        self.apply(Kind::HttpRoute, name, &spec).await
    }

    async fn apply(&self, kind: Kind, name: &str, spec: &Value) -> Result<Change> {
        let namespace = &self.services[0].namespace;
        let path = format!("{}/{name}", kind.collection(Some(namespace)));
        let object = kind.object(name, spec);
        let sent = crate::protocol::now();
        self.requests.apply(&path, &object).await?;
        Ok(Change {
            sent,
            answered: crate::protocol::now(),
        })
    }
}

/// What kubectl leaves in an object.
fn applied(object: &Value) -> Value {
    let mut applied = object.clone();
    applied["metadata"]["annotations"] = json!({
        "kubectl.kubernetes.io/last-applied-configuration": object.to_string(),
    });
    applied
}

impl Service {
    fn of_port(&self, port: &Port) -> String {
        format!("{}-{}", self.name, port.name)
    }

    fn callers(&self, port: &Port) -> String {
        format!("{}-callers", self.of_port(port))
    }

    fn as_parent(&self) -> Value {
        json!({"group": "core", "kind": "Service", "name": self.name, "port": PORT})
    }

    /// A Service of the same namespace.
    fn neighbour(&self) -> Self {
        Self::new(&self.namespace, self.number ^ 1)
    }
}

/// All of one Service.
fn policies(service: &Service) -> Vec<(Kind, Value)> {
    let mut objects = Vec::new();
    let mut add =
        |kind: Kind, name: &str, spec: &Value| objects.push((kind, kind.object(name, spec)));
    let name = &service.name;
    let (nodes, reads) = (format!("{name}-nodes"), format!("{name}-reads"));
    let networks = json!([
        {"cidr": "172.20.0.0/16"},
        {"cidr": "10.0.0.0/8", "except": ["10.96.0.0/12"]},
    ]);
    add(
        Kind::NetworkAuthentication,
        &nodes,
        &json!({"networks": networks}),
    );
    for (number, port) in PORTS.iter().enumerate() {
        let server = service.of_port(port);
        let spec = json!({
            "podSelector": {"matchLabels": service.selector()},
            "port": port.number.map_or_else(|| json!(port.name), |number| json!(number)),
            "proxyProtocol": port.protocol,
        });
        add(Kind::Server, &server, &spec);
        let callers = service.callers(port);
        let identities: Vec<_> = (0..CALLERS)
            .map(|caller| identity(service, number * CALLERS + caller))
            .collect();
        add(
            Kind::MeshTlsAuthentication,
            &callers,
            &json!({"identities": identities}),
        );
        let to_server = Kind::Server.refers(&server);
        let by_callers = Kind::MeshTlsAuthentication.refers(&callers);
        let by_nodes = Kind::NetworkAuthentication.refers(&nodes);
        let policy = |target: &Value, required: Value| json!({"targetRef": target, "requiredAuthenticationRefs": required});
        let spec = policy(&to_server, json!([by_callers]));
        add(Kind::AuthorizationPolicy, &callers, &spec);
        let spec = if port.name == HTTP {
            policy(
                &Kind::HttpRoute.refers(&reads),
                json!([by_callers, by_nodes]),
            )
        } else {
            policy(&to_server, json!([by_nodes]))
        };
        add(Kind::AuthorizationPolicy, &format!("{server}-nodes"), &spec);
    }
    let spec = json!({
        "parentRefs": [Kind::Server.refers(&service.of_port(&PORTS[0]))],
        "rules": [{"matches": [
            {"path": {"type": "PathPrefix", "value": "/reads"}, "method": "GET"},
        ]}],
    });
    add(Kind::HttpRoute, &reads, &spec);
    let to = |name: &str, weight: u32| json!({"name": name, "port": PORT, "weight": weight});
    let spec = json!({
        "parentRefs": [service.as_parent()],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/v2"}}],
                "backendRefs": [to(name, 90), to(&service.neighbour().name, 10)],
                "timeouts": {"request": "10s"},
            },
            {"backendRefs": [to(name, 1)]},
        ],
    });
    add(Kind::HttpRoute, &format!("{name}-versions"), &spec);
    objects
}

/// A ServiceAccount as certificates call it.
fn identity(service: &Service, caller: usize) -> String {
    let namespace = &service.namespace;
    format!("caller-{caller}.{namespace}.serviceaccount.identity.linkerd.cluster.local")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_thousand_services_have_what_the_row_is_about() {
        let mut counts = BTreeMap::<&str, usize>::new();
        for number in 0..1_000 {
            for (kind, _) in policies(&Service::new("bench", number)) {
                *counts.entry(kind.names()[1]).or_default() += 1;
            }
        }
        let expected = [
            ("AuthorizationPolicy", 10_000),
            ("HTTPRoute", 2_000),
            ("MeshTLSAuthentication", 5_000),
            ("NetworkAuthentication", 1_000),
            ("Server", 5_000),
        ];
        assert_eq!(counts, expected.into());
    }
}
