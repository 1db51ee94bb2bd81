//! The objects of a small cluster, and random changes of them.

mod policies;
mod workloads;

pub(crate) use self::policies::OUTSIDE;

use self::policies::Policy;
use crate::{
    api::{apply, delete},
    dice::Dice,
};
use ferrule_test_cluster::{Cluster, TestNamespace};
use ferrule_tests::crds;
use kube::Client;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv6Addr};

const SERVICES: [&str; 4] = ["web", "api", "db", "mail"];
const PODS: usize = 8;
const SLICES: usize = 7;
/// The slice with IPv6 addresses: what a slice has it keeps.
const V6_SLICE: usize = SLICES - 1;
const SERVERS: usize = 3;
/// Nodes of pods and clients, and their zones where nothing else was done to them.
const NODES: [(&str, &str); 2] = [("n0", "zone-a"), ("n1", "zone-b")];
const ZONES: [&str; 3] = ["zone-a", "zone-b", "zone-c"];
/// Fewer than pods would like, so that they inherit each other's.
const ADDRESSES: usize = 10;
/// ExternalWorkloads, and fewer addresses than they would like, too.
const MACHINES: usize = 3;
const MACHINE_ADDRESSES: usize = 4;
const REPLICA_SETS: usize = 2;
/// Hosts' addresses, and the port of them that some pods declare.
pub(crate) const HOSTS: [&str; 2] = ["10.99.0.1", "10.99.0.2"];
pub(crate) const HOST_PORT: u16 = 7777;
/// The Service that stands for others at times.
const FEDERATED: &str = "mail";

pub(crate) struct Objects {
    client: Client,
    namespaces: [TestNamespace; 2],
    /// Of pods, the first half in the first namespace; then of machines.
    addresses: Vec<IpAddr>,
}

/// What can be changed.
#[derive(Clone, Copy)]
enum Change {
    Slice,
    NoSlice,
    Pod,
    NoPod,
    Service,
    NoService,
    Namespace,
    Server,
    NoServer,
    Profile,
    NoProfile,
    Machine,
    NoMachine,
    ReplicaSet,
    NoReplicaSet,
    Node,
    NoNode,
    Policy(Policy),
}

const CHANGES: [(usize, Change); 25] = [
    (28, Change::Slice),
    (5, Change::NoSlice),
    (22, Change::Pod),
    (10, Change::NoPod),
    (10, Change::Service),
    (3, Change::NoService),
    (4, Change::Namespace),
    (8, Change::Server),
    (3, Change::NoServer),
    (5, Change::Profile),
    (2, Change::NoProfile),
    (8, Change::Machine),
    (3, Change::NoMachine),
    (3, Change::ReplicaSet),
    (1, Change::NoReplicaSet),
    (3, Change::Node),
    (1, Change::NoNode),
    (7, Change::Policy(Policy::Authorization)),
    (3, Change::Policy(Policy::NoAuthorization)),
    (3, Change::Policy(Policy::Authentication)),
    (1, Change::Policy(Policy::NoAuthentication)),
    (9, Change::Policy(Policy::Route)),
    (3, Change::Policy(Policy::NoRoute)),
    (3, Change::Policy(Policy::Network)),
    (2, Change::Policy(Policy::NoNetwork)),
];

impl Objects {
    /// The kinds and namespaces, and something of each kind.
    pub(crate) async fn create(cluster: &mut Cluster) -> anyhow::Result<Self> {
        let client = cluster.client()?;
        crds::install(&client).await?;
        let addresses =
            (0..ADDRESSES + MACHINE_ADDRESSES).flat_map(|_| cluster.pod_addresses().next());
        let objects = Self {
            addresses: addresses.collect(),
            namespaces: [cluster.namespace("a").await?, cluster.namespace("b").await?],
            client,
        };
        let mut dice = Dice::new(0);
        for _ in 0..90 {
            objects.change(&mut dice).await?;
        }
        objects.restore_nodes().await?;
        Ok(objects)
    }

    /// Has every node back, in its own zone.
    pub(crate) async fn restore_nodes(&self) -> anyhow::Result<()> {
        for (node, zone) in NODES {
            self.node(node, Some(zone)).await?;
        }
        Ok(())
    }

    pub(crate) fn namespaces(&self) -> [&str; 2] {
        [self.namespaces[0].name(), self.namespaces[1].name()]
    }

    /// The names of all Services that are, were or will be.
    pub(crate) fn services(&self) -> impl Iterator<Item = String> {
        self.namespaces.iter().flat_map(|namespace| {
            SERVICES.map(|service| format!("{service}.{namespace}.svc.cluster.local"))
        })
    }

    /// The workloads that are, were or will be, as their proxies name them.
    pub(crate) fn workloads(&self) -> Vec<String> {
        let of = |namespace: &str| {
            let pods = (0..PODS).map(|pod| format!("{namespace}:{}", pod_name(pod)));
            let machines = (0..MACHINES).map(|machine| {
                let name = machine_name(machine);
                json!({"ns": namespace, "external_workload": name}).to_string()
            });
            pods.chain(machines).collect::<Vec<_>>()
        };
        self.namespaces().into_iter().flat_map(of).collect()
    }

    /// The addresses that pods and machines have.
    pub(crate) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Changes one object at random.
    pub(crate) async fn change(&self, dice: &mut Dice) -> anyhow::Result<()> {
        let namespace = dice.pick(&self.namespaces());
        match change(dice) {
            Change::Slice => self.slice(namespace, dice).await,
            Change::NoSlice => {
                let path = slice_path(namespace, dice.below(SLICES));
                delete(&self.client, &path).await
            }
            Change::Pod => self.pod(namespace, dice).await,
            Change::NoPod => {
                let path = core(namespace, "pods", &pod_name(dice.below(PODS)));
                delete(&self.client, &path).await
            }
            Change::Service => self.service(namespace, dice).await,
            Change::NoService => {
                let path = core(namespace, "services", dice.pick(&SERVICES));
                delete(&self.client, &path).await
            }
            Change::Namespace => {
                let annotations = opaque_ports(dice);
                let object = json!({
                    "apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": namespace, "annotations": annotations},
                });
                apply(
                    &self.client,
                    &format!("/api/v1/namespaces/{namespace}"),
                    &object,
                )
                .await
            }
            Change::Server => self.server(namespace, dice).await,
            Change::NoServer => {
                let path = server_path(namespace, dice.below(SERVERS));
                delete(&self.client, &path).await
            }
            Change::Profile => self.profile(namespace, dice).await,
            Change::NoProfile => {
                let name = self.profile_name(dice);
                delete(&self.client, &profile_path(namespace, &name)).await
            }
            Change::Machine => self.machine(namespace, dice).await,
            Change::NoMachine => {
                let path = machine_path(namespace, dice.below(MACHINES));
                delete(&self.client, &path).await
            }
            Change::ReplicaSet => self.replica_set(namespace, dice).await,
            Change::NoReplicaSet => {
                let path = replica_set_path(namespace, dice.below(REPLICA_SETS));
                delete(&self.client, &path).await
            }
            Change::Node => {
                let zone = (!dice.one_in(6)).then(|| dice.pick(&ZONES));
                self.node(dice.pick(&NODES).0, zone).await
            }
            Change::NoNode => delete(&self.client, &node_path(dice.pick(&NODES).0)).await,
            Change::Policy(change) => self.policy(change, namespace, dice).await,
        }
    }

    async fn node(&self, name: &str, zone: Option<&str>) -> anyhow::Result<()> {
        let labels = zone.map(|zone| json!({"topology.kubernetes.io/zone": zone}));
        let object = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": labels.unwrap_or_else(|| json!({}))},
        });
        apply(&self.client, &node_path(name), &object).await
    }

    async fn service(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let name = dice.pick(&SERVICES);
        let mut ports = vec![json!({"name": dice.pick(&["http", "web"]), "port": 80})];
        if dice.one_in(2) {
            ports.push(json!({"name": "db", "port": 5432}));
        }
        if dice.one_in(8) {
            ports[0]["appProtocol"] = json!("http");
        }
        let (mut labels, mut annotations) = (json!({}), opaque_ports(dice));
        if name == FEDERATED && dice.one_in(2) {
            let local = dice.pick(&SERVICES);
            annotations["multicluster.linkerd.io/local-discovery"] = json!(local);
        }
        if dice.one_in(12) {
            labels["multicluster.linkerd.io/remote-discovery"] = json!("east");
        }
        let object = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "labels": labels, "annotations": annotations},
            "spec": {
                "ports": ports,
                "internalTrafficPolicy": if dice.one_in(6) { "Local" } else { "Cluster" },
            },
        });
        apply(&self.client, &core(namespace, "services", name), &object).await
    }

    async fn slice(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(SLICES);
        // Mostly one Service each; now and then one moves.
        let service = if dice.one_in(10) {
            dice.pick(&SERVICES)
        } else {
            SERVICES[number % SERVICES.len()]
        };
        let ports = match dice.below(4) {
            0 => json!([{"name": "http", "port": 8080}]),
            1 => json!([{"name": "web", "port": 8080}, {"name": "db", "port": 5432}]),
            2 => json!([{"name": "http", "port": 9090}, {"name": "db", "port": 5433}]),
            _ => json!([{"name": "http", "port": 8080}, {"name": "db", "port": 5432}]),
        };
        let hinted = dice.one_in(5);
        let in_family = |address| match number {
            V6_SLICE => twin(address),
            _ => address,
        };
        let mut endpoints = Vec::new();
        for pod in 0..PODS {
            if !dice.one_in(2) {
                continue;
            }
            let mut endpoint = json!({
                "addresses": [in_family(self.address_of(namespace, pod, dice))],
                "conditions": {"ready": !dice.one_in(4)},
                "zone": dice.pick(&ZONES),
            });
            if !dice.one_in(12) {
                endpoint["targetRef"] = json!({
                    "kind": "Pod", "name": pod_name(pod), "namespace": namespace,
                });
            }
            if pod < 2 {
                endpoint["hostname"] = json!(format!("h{pod}"));
            }
            if hinted && !dice.one_in(12) {
                endpoint["hints"] = json!({"forZones": [{"name": dice.pick(&ZONES)}]});
            }
            endpoints.push(endpoint);
        }
        for machine in 0..MACHINES {
            if !dice.one_in(3) {
                continue;
            }
            endpoints.push(json!({
                "addresses": [in_family(self.address_of_machine(dice))],
                "conditions": {"ready": !dice.one_in(4)},
                "zone": dice.pick(&ZONES),
                "targetRef": {
                    "kind": "ExternalWorkload", "name": machine_name(machine),
                    "namespace": namespace,
                },
            }));
        }
        let mut metadata = json!({"name": format!("slice-{number}")});
        if dice.one_in(8) {
            metadata["ownerReferences"] = json!([{
                "apiVersion": "v1", "kind": "Service", "name": service, "uid": "any",
            }]);
        } else {
            metadata["labels"] = json!({"kubernetes.io/service-name": service});
        }
        let object = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": if number == V6_SLICE { "IPv6" } else { "IPv4" },
            "ports": ports,
            "endpoints": endpoints,
        });
        apply(&self.client, &slice_path(namespace, number), &object).await
    }

    /// The address that a pod mostly has; sometimes its neighbour's.
    fn address_of(&self, namespace: &str, pod: usize, dice: &mut Dice) -> IpAddr {
        let neighbour = usize::from(dice.one_in(8));
        let half = ADDRESSES / 2;
        let offset = if namespace == self.namespaces[0].name() {
            0
        } else {
            half
        };
        self.addresses[offset + (pod + neighbour) % half]
    }

    async fn server(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let number = dice.below(SERVERS);
        let port = match dice.below(3) {
            0 => json!("http"),
            1 => json!(8080),
            _ => json!(5432),
        };
        let selector = match dice.below(3) {
            0 => json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}),
            1 => json!({"matchLabels": {"app": "web"}}),
            _ => {
                json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]})
            }
        };
        let object = json!({
            "apiVersion": "policy.linkerd.io/v1beta3", "kind": "Server",
            "metadata": {"name": format!("server-{number}")},
            "spec": {
                dice.pick(&["podSelector", "podSelector", "externalWorkloadSelector"]): selector,
                "port": port,
                "proxyProtocol": dice.pick(&["opaque", "opaque", "HTTP/1", "unknown"]),
            },
        });
        apply(&self.client, &server_path(namespace, number), &object).await
    }

    async fn profile(&self, namespace: &str, dice: &mut Dice) -> anyhow::Result<()> {
        let name = self.profile_name(dice);
        let route = json!({
            "name": format!("route-{}", dice.below(5)),
            "condition": {"method": dice.pick(&["GET", "POST"]), "pathRegex": "/p"},
            "isRetryable": dice.one_in(2),
        });
        let object = json!({
            "apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile",
            "metadata": {"name": name},
            "spec": {"routes": [route]},
        });
        apply(&self.client, &profile_path(namespace, &name), &object).await
    }

    /// A Service of either namespace: clients bring profiles of their own.
    fn profile_name(&self, dice: &mut Dice) -> String {
        let (service, of) = (dice.pick(&SERVICES), dice.pick(&self.namespaces()));
        format!("{service}.{of}.svc.cluster.local")
    }
}

fn change(dice: &mut Dice) -> Change {
    let all = CHANGES.iter().map(|(share, _)| share).sum();
    let mut throw = dice.below(all);
    for (share, change) in CHANGES {
        if throw < share {
            return change;
        }
        throw -= share;
    }
    unreachable!("the shares add up")
}

fn pod_name(number: usize) -> String {
    format!("pod-{number}")
}

fn machine_name(number: usize) -> String {
    format!("vm-{number}")
}

fn opaque_ports(dice: &mut Dice) -> Value {
    match dice.below(6) {
        0 => json!({"config.linkerd.io/opaque-ports": "8080"}),
        1 => json!({"config.linkerd.io/opaque-ports": "80,http"}),
        2 => json!({"config.linkerd.io/opaque-ports": ""}),
        _ => json!({}),
    }
}

fn core(namespace: &str, kind: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/{kind}/{name}")
}

fn node_path(name: &str) -> String {
    format!("/api/v1/nodes/{name}")
}

fn slice_path(namespace: &str, number: usize) -> String {
    format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/slice-{number}")
}

fn server_path(namespace: &str, number: usize) -> String {
    format!("/apis/policy.linkerd.io/v1beta3/namespaces/{namespace}/servers/server-{number}")
}

fn machine_path(namespace: &str, number: usize) -> String {
    let name = machine_name(number);
    format!("/apis/workload.linkerd.io/v1beta1/namespaces/{namespace}/externalworkloads/{name}")
}

fn replica_set_path(namespace: &str, number: usize) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/replicasets/rs-{number}")
}

/// The IPv6 address of who has this IPv4 one.
fn twin(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let low = v4.to_bits();
            Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, (low >> 16) as u16, low as u16).into()
        }
        IpAddr::V6(_) => address,
    }
}

fn profile_path(namespace: &str, name: &str) -> String {
    format!("/apis/linkerd.io/v1alpha2/namespaces/{namespace}/serviceprofiles/{name}")
}
