//! A mesh in a test: an index, its server, and clients that fold what they are
//! told as a proxy does.

use ferrule_cluster::{
    Index, Interner,
    index::Handle,
    object::{
        AddressType, ContainerPort, Endpoint, EndpointSlice, Kind, Name, Namespace, Node, Object,
        ObjectKey, Owner, OwnerRef, Phase, Pod, PodTemplate, PortSet, ProxyContainer, ProxyPorts,
        Service, ServicePort, SlicePort, Target,
    },
    source::Event,
};
use ferrule_destination::{Destination, DestinationServer, Destinations, History, Mesh, Registry};
use ferrule_proto::destination::{
    DestinationProfile, GetDestination, Update, WeightedAddr, update::Update as Kinds,
};
pub(crate) use ferrule_test_history::applied;
use futures::{FutureExt, poll};
use http_body_util::BodyExt;
use prost::Message;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::Poll,
};
use tonic::{Code, Status, body::Body};
use tower::Service as _;

pub(crate) const NS: &str = "ns";

/// The baseline of the specification's scenarios: transparent transport, IPv6 on.
pub(crate) fn baseline() -> Mesh {
    Mesh {
        transport_header: false,
        ipv6: true,
        ..Mesh::default()
    }
}

pub(crate) struct TestMesh {
    index: Index,
    server: DestinationServer,
    // Keeps the channels open.
    _handle: Handle,
}

impl TestMesh {
    /// A synced, empty mesh.
    pub(crate) fn new(mesh: Mesh) -> Self {
        Self::keeping(mesh, History::default())
    }

    /// One whose views keep another amount of their past.
    pub(crate) fn keeping(mesh: Mesh, history: History) -> Self {
        let mut this = Self::build(mesh, history);
        for kind in Kind::ALL {
            this.feed(Event::Relisting(kind));
            this.feed(Event::Synced(kind));
        }
        this.publish();
        this
    }

    pub(crate) fn unsynced(mesh: Mesh) -> Self {
        Self::build(mesh, History::default())
    }

    fn build(mesh: Mesh, history: History) -> Self {
        let mesh = Arc::new(mesh);
        let registry = Arc::<Registry>::default();
        let destinations = Destinations::new(mesh.clone(), registry.clone()).keeping(history);
        let (mut index, handle) = Index::new(Interner::new());
        let requests = index.project(destinations);
        Self {
            index,
            server: Destination::server(mesh, registry, requests),
            _handle: handle,
        }
    }

    pub(crate) fn feed(&mut self, event: Event) {
        self.index.apply(event);
    }

    pub(crate) fn publish(&mut self) {
        self.index.publish();
    }

    /// Applies one object and publishes.
    pub(crate) fn apply(&mut self, name: &str, object: impl Into<Object>) {
        self.apply_in(NS, name, object);
    }

    pub(crate) fn apply_in(&mut self, namespace: &str, name: &str, object: impl Into<Object>) {
        self.feed(applied(ObjectKey::new(namespace, name), object.into()));
        self.publish();
    }

    pub(crate) fn delete(&mut self, kind: Kind, name: &str) {
        self.feed(Event::Deleted(kind, ObjectKey::new(NS, name)));
        self.publish();
    }

    /// Baseline: pod `name` at `ip`, Service `web` and a slice that lists it.
    pub(crate) fn with_web(mut self, pods: &[(&str, &str)]) -> Self {
        self.apply("web", service());
        for (name, ip) in pods {
            self.apply(name, meshed(ip));
        }
        let endpoints = pods.iter().map(|(name, ip)| endpoint(name, ip));
        self.apply("s1", slice("web", endpoints));
        self
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Client, Status> {
        self.get_as(path, "").await
    }

    pub(crate) async fn get_as(&mut self, path: &str, token: &str) -> Result<Client, Status> {
        let body = self.call("Get", path, token).await?;
        Ok(Client {
            body,
            endpoints: BTreeMap::new(),
            connected: false,
        })
    }

    pub(crate) async fn profile(&mut self, path: &str) -> Result<ProfileClient, Status> {
        self.profile_as(path, "").await
    }

    pub(crate) async fn profile_as(
        &mut self,
        path: &str,
        token: &str,
    ) -> Result<ProfileClient, Status> {
        let body = self.call("GetProfile", path, token).await?;
        Ok(ProfileClient { body, newest: None })
    }

    async fn call(&mut self, method: &str, path: &str, token: &str) -> Result<Body, Status> {
        let request = GetDestination {
            scheme: String::new(),
            path: path.into(),
            context_token: token.into(),
        };
        let mut frame = vec![0];
        frame.extend(
            u32::try_from(request.encoded_len())
                .expect("short")
                .to_be_bytes(),
        );
        request.encode(&mut frame).expect("grows");
        let request = http::Request::builder()
            .uri(format!(
                "/io.linkerd.proxy.destination.Destination/{method}"
            ))
            .body(Body::new(http_body_util::Full::from(frame)))
            .expect("valid");
        let mut response = pin!(self.server.call(request));
        let response = loop {
            match poll!(&mut response) {
                Poll::Ready(response) => break response.expect("infallible"),
                Poll::Pending => {
                    self.index.answer();
                    // A test that never waits runs out of tokio's budget for a task,
                    // and then no channel is ever ready.
                    tokio::task::yield_now().await;
                }
            }
        };
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok(response.into_body()),
        }
    }

    /// What the client has been sent and has not read; folds it.
    pub(crate) async fn read(&mut self, client: &mut Client) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(update) = self.next::<Update>(&mut client.body).await {
            told.extend(client.fold(update));
        }
        told
    }

    /// One message, if there is any; folds it.
    pub(crate) async fn read_one(&mut self, client: &mut Client) -> Option<Told> {
        let update = self.next::<Update>(&mut client.body).await?;
        client.fold(update)
    }

    pub(crate) async fn read_profiles(
        &mut self,
        client: &mut ProfileClient,
    ) -> Vec<DestinationProfile> {
        let mut told = Vec::new();
        while let Some(profile) = self.next::<DestinationProfile>(&mut client.body).await {
            client.newest = Some(profile.clone());
            told.push(profile);
        }
        told
    }

    async fn next<M: Message + Default>(&mut self, body: &mut Body) -> Option<M> {
        // A stream whose view was replaced asks the index, once.
        for _ in 0..3 {
            if let Some(frame) = body.frame().now_or_never() {
                let frame = frame.expect("open").expect("infallible");
                let data = frame.into_data().expect("no trailers while open");
                return Some(M::decode(&data[5..]).expect("a message"));
            }
            self.index.answer();
        }
        None
    }
}

/// A message, as the scenarios write it: `+[...]` and `-[...]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Add(Vec<SocketAddr>),
    Remove(Vec<SocketAddr>),
}

pub(crate) fn add(addrs: &[&str]) -> Told {
    Told::Add(sockets(addrs))
}

pub(crate) fn remove(addrs: &[&str]) -> Told {
    Told::Remove(sockets(addrs))
}

fn sockets(addrs: &[&str]) -> Vec<SocketAddr> {
    let mut addrs: Vec<_> = addrs
        .iter()
        .map(|addr| addr.parse().expect("literal"))
        .collect();
    addrs.sort_unstable();
    addrs
}

/// A proxy's side of a Get stream.
pub(crate) struct Client {
    body: Body,
    pub(crate) endpoints: BTreeMap<SocketAddr, (WeightedAddr, BTreeMap<String, String>)>,
    connected: bool,
}

impl Client {
    /// As the proxy folds (api.md section 2.5).
    fn fold(&mut self, update: Update) -> Option<Told> {
        match update.update {
            Some(Kinds::Add(set)) => {
                assert!(!set.addrs.is_empty(), "an empty Add is never sent");
                if !std::mem::replace(&mut self.connected, true) {
                    self.endpoints.clear();
                }
                let mut addrs = Vec::new();
                for addr in set.addrs {
                    let socket = socket(&addr);
                    addrs.push(socket);
                    self.endpoints
                        .insert(socket, (addr, set.metric_labels.clone()));
                }
                addrs.sort_unstable();
                addrs.dedup();
                Some(Told::Add(addrs))
            }
            Some(Kinds::Remove(set)) => {
                assert!(!set.addrs.is_empty(), "an empty Remove is never sent");
                let mut addrs: Vec<_> = set
                    .addrs
                    .into_iter()
                    .map(|addr| SocketAddr::try_from(addr).expect("valid"))
                    .collect();
                for addr in &addrs {
                    self.endpoints.remove(addr);
                }
                addrs.sort_unstable();
                Some(Told::Remove(addrs))
            }
            Some(Kinds::NoEndpoints(_)) | None => panic!("never sent (ruling 4)"),
        }
    }

    pub(crate) fn endpoint(&self, addr: &str) -> &WeightedAddr {
        &self.endpoints[&addr.parse().expect("literal")].0
    }

    pub(crate) fn labels(&self, addr: &str) -> &BTreeMap<String, String> {
        &self.endpoint(addr).metric_labels
    }

    pub(crate) fn set_labels(&self, addr: &str) -> &BTreeMap<String, String> {
        &self.endpoints[&addr.parse().expect("literal")].1
    }

    pub(crate) fn addrs(&self) -> Vec<String> {
        self.endpoints.keys().map(ToString::to_string).collect()
    }
}

/// A proxy's side of a GetProfile stream.
pub(crate) struct ProfileClient {
    body: Body,
    pub(crate) newest: Option<DestinationProfile>,
}

impl ProfileClient {
    /// A client that was told the same, on a stream that tells nothing more.
    pub(crate) fn told(&self) -> Self {
        Self {
            body: Body::empty(),
            newest: self.newest.clone(),
        }
    }
}

fn socket(addr: &WeightedAddr) -> SocketAddr {
    addr.addr.expect("set").try_into().expect("valid")
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("literal")
}

/// Service with port 80, unnamed.
pub(crate) fn service() -> Service {
    Service {
        ports: [service_port("", 80)].into(),
        ..Service::default()
    }
}

pub(crate) fn service_port(name: &str, port: u16) -> ServicePort {
    ServicePort {
        name: name.into(),
        port,
        app_protocol: None,
    }
}

pub(crate) fn ports(text: &str) -> PortSet {
    let (set, errors) = PortSet::parse(text, |_| None);
    assert!(errors.is_empty());
    set
}

/// A pod template with a proxy of the control plane `linkerd`.
pub(crate) fn template() -> PodTemplate {
    PodTemplate {
        service_account: "default".into(),
        control_plane: Some("linkerd".into()),
        ports: [ContainerPort {
            name: "http".into(),
            port: 8080,
            host_port: None,
            is_tcp: true,
        }]
        .into(),
        proxy: ProxyContainer::Listening(ProxyPorts {
            inbound: Some(4143),
            admin: 4191,
            control: 4190,
        }),
        ..PodTemplate::default()
    }
}

pub(crate) fn pod(ips: &[&str], template: PodTemplate) -> Pod {
    Pod {
        template: Arc::new(template),
        labels: Arc::default(),
        owner: Owner::Unclear,
        node: "".into(),
        ips: ips.iter().map(|text| ip(text)).collect(),
        host_ips: Default::default(),
        phase: Phase::Running,
        terminating: false,
        host_network: false,
    }
}

/// `mp` of the scenarios.
pub(crate) fn meshed(ip: &str) -> Pod {
    pod(&[ip], template())
}

pub(crate) fn unmeshed(ip: &str) -> Pod {
    pod(
        &[ip],
        PodTemplate {
            control_plane: None,
            proxy: ProxyContainer::Absent,
            ..template()
        },
    )
}

pub(crate) fn owned(mut pod: Pod, kind: &str, name: &str) -> Pod {
    pod.owner = owner(kind, name);
    pod
}

pub(crate) fn owner(kind: &str, name: &str) -> Owner {
    Owner::One(OwnerRef {
        kind: kind.into(),
        name: name.into(),
    })
}

pub(crate) fn on_node(mut pod: Pod, node: &str) -> Pod {
    pod.node = node.into();
    pod
}

pub(crate) fn endpoint(pod: &str, address: &str) -> Endpoint {
    Endpoint {
        address: ip(address),
        ready: true,
        target: Target::Pod(ObjectKey::new(NS, pod)),
        hostname: None,
        zone: None,
        zone_hints: Default::default(),
    }
}

pub(crate) fn hinted(endpoint: Endpoint, zones: &[&str]) -> Endpoint {
    Endpoint {
        zone_hints: zones.iter().map(|zone| Name::from(*zone)).collect(),
        ..endpoint
    }
}

pub(crate) fn unready(endpoint: Endpoint) -> Endpoint {
    Endpoint {
        ready: false,
        ..endpoint
    }
}

/// A slice of `service` with the unnamed port 8080; the family is that of the
/// first address.
pub(crate) fn slice(service: &str, endpoints: impl IntoIterator<Item = Endpoint>) -> EndpointSlice {
    let endpoints: Box<[_]> = endpoints.into_iter().collect();
    let v6 = endpoints
        .first()
        .is_some_and(|endpoint| endpoint.address.is_ipv6());
    EndpointSlice {
        service: Some(service.into()),
        address_type: if v6 { AddressType::V6 } else { AddressType::V4 },
        ports: Some([slice_port("", Some(8080))].into()),
        endpoints,
        resource_version: 1,
        mirror: None,
    }
}

pub(crate) fn slice_port(name: &str, port: Option<u16>) -> SlicePort {
    SlicePort {
        name: name.into(),
        port,
    }
}

pub(crate) fn node(zone: &str) -> Object {
    Object::Node(Node {
        zone: Some(zone.into()),
    })
}

pub(crate) fn namespace(opaque_ports: Option<&str>) -> Object {
    Object::Namespace(Namespace {
        opaque_ports: opaque_ports.map(Into::into),
    })
}
