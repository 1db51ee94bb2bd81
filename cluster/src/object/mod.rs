//! Cluster objects, trimmed to what the mesh reads.
//!
//! A source turns what the API server or a manifest says into these types on
//! arrival; nothing else of an object is kept. Strings that repeat (namespaces,
//! zones, service accounts, names that other objects refer to) come from an
//! [`Interner`](crate::Interner), and what pods of one template share is one
//! [`PodTemplate`].

mod authentication;
mod authorization_policy;
mod boolean;
mod client_identity;
mod default_policy;
mod dns;
mod duration;
mod egress_network;
mod endpoint_slice;
mod external_workload;
mod fingerprint;
mod labels;
mod matches;
mod network;
mod pod;
mod ports;
mod quantity;
mod rate_limit;
pub mod route;
mod server;
mod server_authorization;
mod service;
mod service_profile;
mod status_condition;
pub mod traffic;

pub use self::{
    authentication::{MeshTlsAuthentication, NetworkAuthentication},
    authorization_policy::{
        AuthorizationPolicy, IdentitySource, PolicyTarget, RequiredAuthentications,
    },
    boolean::parse_boolean,
    client_identity::ClientIdentity,
    default_policy::{DefaultPolicy, DefaultPolicyError},
    dns::is_dns_label,
    duration::{GoDuration, GoDurationError},
    egress_network::EgressNetwork,
    endpoint_slice::{AddressType, Endpoint, EndpointSlice, Mirror, SlicePort, Target},
    external_workload::{ExternalWorkload, WorkloadPort},
    labels::{Condition, LabelSelector, Labels, Requirement},
    matches::{
        MAX_MATCH_DEPTH, Match, MatchError, RequestTest, StatusRange, StatusRangeError, Test,
    },
    network::{NetError, Network, parse_net},
    pod::{
        ContainerPort, HttpProbe, Owner, OwnerRef, Phase, Pod, PodTemplate, ProxyContainer,
        ProxyPorts,
    },
    ports::{DEFAULT_OPAQUE_PORTS, PortSet, PortSetError, parse_port_range, port_items},
    quantity::{Quantity, QuantityError},
    rate_limit::{RateLimit, RateLimits, RateOverride},
    server::{ProxyProtocol, Server, ServerPort, WorkloadSelector},
    server_authorization::{Clients, ServerAuthorization, ServerSelector},
    service::{Multicluster, PortProtocol, Service, ServicePort},
    service_profile::{Override, ProfileRoute, ResponseClass, RetryBudget, ServiceProfile},
    status_condition::StatusCondition,
};

use self::route::{Route, RouteKind};
use std::{fmt, sync::Arc};

/// A name or another short text of the cluster, shared where it repeats.
pub type Name = Arc<str>;

/// Where an object is: namespace (empty for cluster-scoped kinds) and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The namespace; empty for Nodes and Namespaces.
    pub namespace: Name,
    /// The object's name.
    pub name: Name,
}

impl ObjectKey {
    /// A key from its two parts.
    pub fn new(namespace: impl Into<Name>, name: impl Into<Name>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// The kinds that the mesh watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice,
    /// `v1` Pod.
    Pod,
    /// `v1` Node: its zone label.
    Node,
    /// `v1` Namespace: its opaque-ports annotation.
    Namespace,
    /// `apps/v1` ReplicaSet: its owner.
    ReplicaSet,
    /// `batch/v1` Job: its owner.
    Job,
    /// `policy.linkerd.io` Server.
    Server,
    /// `linkerd.io` ServiceProfile.
    ServiceProfile,
    /// `workload.linkerd.io` ExternalWorkload.
    ExternalWorkload,
    /// `policy.linkerd.io` ServerAuthorization.
    ServerAuthorization,
    /// `policy.linkerd.io` AuthorizationPolicy.
    AuthorizationPolicy,
    /// `policy.linkerd.io` MeshTLSAuthentication.
    MeshTlsAuthentication,
    /// `policy.linkerd.io` NetworkAuthentication.
    NetworkAuthentication,
    /// `policy.linkerd.io` HTTPLocalRateLimitPolicy.
    RateLimit,
    /// `policy.linkerd.io` EgressNetwork.
    EgressNetwork,
    /// `policy.linkerd.io` HTTPRoute.
    PolicyHttpRoute,
    /// `gateway.networking.k8s.io` HTTPRoute.
    HttpRoute,
    /// `gateway.networking.k8s.io` GRPCRoute.
    GrpcRoute,
    /// `gateway.networking.k8s.io` TLSRoute.
    TlsRoute,
    /// `gateway.networking.k8s.io` TCPRoute.
    TcpRoute,
}

impl Kind {
    /// Every kind, in the order in which they are reported.
    pub const ALL: [Kind; 21] = [
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Pod,
        Kind::Node,
        Kind::Namespace,
        Kind::ReplicaSet,
        Kind::Job,
        Kind::Server,
        Kind::ServiceProfile,
        Kind::ExternalWorkload,
        Kind::ServerAuthorization,
        Kind::AuthorizationPolicy,
        Kind::MeshTlsAuthentication,
        Kind::NetworkAuthentication,
        Kind::RateLimit,
        Kind::EgressNetwork,
        Kind::PolicyHttpRoute,
        Kind::HttpRoute,
        Kind::GrpcRoute,
        Kind::TlsRoute,
        Kind::TcpRoute,
    ];

    /// What this one is called among the others: as manifests spell it, and with
    /// its group where another one is called that.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::PolicyHttpRoute => "HTTPRoute.policy.linkerd.io",
            kind => kind.manifest_name(),
        }
    }

    /// The kind's name as manifests spell it.
    pub const fn manifest_name(self) -> &'static str {
        match self {
            Kind::Service => "Service",
            Kind::EndpointSlice => "EndpointSlice",
            Kind::Pod => "Pod",
            Kind::Node => "Node",
            Kind::Namespace => "Namespace",
            Kind::ReplicaSet => "ReplicaSet",
            Kind::Job => "Job",
            Kind::Server => "Server",
            Kind::ServiceProfile => "ServiceProfile",
            Kind::ExternalWorkload => "ExternalWorkload",
            Kind::ServerAuthorization => "ServerAuthorization",
            Kind::AuthorizationPolicy => "AuthorizationPolicy",
            Kind::MeshTlsAuthentication => "MeshTLSAuthentication",
            Kind::NetworkAuthentication => "NetworkAuthentication",
            Kind::RateLimit => "HTTPLocalRateLimitPolicy",
            Kind::EgressNetwork => "EgressNetwork",
            Kind::PolicyHttpRoute | Kind::HttpRoute => "HTTPRoute",
            Kind::GrpcRoute => "GRPCRoute",
            Kind::TlsRoute => "TLSRoute",
            Kind::TcpRoute => "TCPRoute",
        }
    }

    /// The kind that is [called](Self::as_str) this.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// The plural resource name, as in RBAC rules and metric names.
    pub const fn plural(self) -> &'static str {
        match self {
            Kind::Service => "services",
            Kind::EndpointSlice => "endpointslices",
            Kind::Pod => "pods",
            Kind::Node => "nodes",
            Kind::Namespace => "namespaces",
            Kind::ReplicaSet => "replicasets",
            Kind::Job => "jobs",
            Kind::Server => "servers",
            Kind::ServiceProfile => "serviceprofiles",
            Kind::ExternalWorkload => "externalworkloads",
            Kind::ServerAuthorization => "serverauthorizations",
            Kind::AuthorizationPolicy => "authorizationpolicies",
            Kind::MeshTlsAuthentication => "meshtlsauthentications",
            Kind::NetworkAuthentication => "networkauthentications",
            Kind::RateLimit => "httplocalratelimitpolicies",
            Kind::EgressNetwork => "egressnetworks",
            Kind::PolicyHttpRoute | Kind::HttpRoute => "httproutes",
            Kind::GrpcRoute => "grpcroutes",
            Kind::TlsRoute => "tlsroutes",
            Kind::TcpRoute => "tcproutes",
        }
    }

    /// The API group, empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Kind::Service | Kind::Pod | Kind::Node | Kind::Namespace => "",
            Kind::EndpointSlice => "discovery.k8s.io",
            Kind::ReplicaSet => "apps",
            Kind::Job => "batch",
            Kind::Server
            | Kind::ServerAuthorization
            | Kind::AuthorizationPolicy
            | Kind::MeshTlsAuthentication
            | Kind::NetworkAuthentication
            | Kind::RateLimit
            | Kind::EgressNetwork
            | Kind::PolicyHttpRoute => "policy.linkerd.io",
            Kind::HttpRoute | Kind::GrpcRoute | Kind::TlsRoute | Kind::TcpRoute => {
                "gateway.networking.k8s.io"
            }
            Kind::ServiceProfile => "linkerd.io",
            Kind::ExternalWorkload => "workload.linkerd.io",
        }
    }

    /// The versions that are read, the preferred one first. An older mesh may
    /// serve older ones alone.
    pub const fn versions(self) -> &'static [&'static str] {
        match self {
            Kind::Server => &["v1beta3", "v1beta2", "v1beta1", "v1alpha1"],
            Kind::ServiceProfile => &["v1alpha2", "v1alpha1"],
            Kind::ExternalWorkload | Kind::ServerAuthorization => &["v1beta1", "v1alpha1"],
            Kind::AuthorizationPolicy
            | Kind::MeshTlsAuthentication
            | Kind::NetworkAuthentication
            | Kind::RateLimit
            | Kind::EgressNetwork => &["v1alpha1"],
            Kind::PolicyHttpRoute => &["v1beta3", "v1beta2", "v1beta1", "v1alpha1"],
            Kind::HttpRoute => &["v1", "v1beta1"],
            Kind::GrpcRoute => &["v1", "v1alpha2"],
            Kind::TlsRoute => &["v1alpha2", "v1alpha3", "v1"],
            Kind::TcpRoute => &["v1alpha2", "v1"],
            _ => &["v1"],
        }
    }

    /// Whether it is defined by a CRD that a cluster need not have.
    pub fn is_custom(self) -> bool {
        !matches!(self.group(), "" | "apps" | "batch" | "discovery.k8s.io")
    }

    /// Whether nothing may be answered before this kind has been listed. Without
    /// the others answers lack a label or a zone; without these they are wrong.
    pub const fn is_required(self) -> bool {
        matches!(self, Kind::Service | Kind::EndpointSlice | Kind::Pod)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An object of any watched kind, without its key.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A Service.
    Service(Service),
    /// An EndpointSlice.
    EndpointSlice(EndpointSlice),
    /// A Pod.
    Pod(Pod),
    /// A Node's zone, empty where the node has none.
    Node(Node),
    /// A Namespace's mesh settings.
    Namespace(Namespace),
    /// A ReplicaSet's owner.
    ReplicaSet(Owner),
    /// A Job's owner.
    Job(Owner),
    /// A Server.
    Server(Server),
    /// A ServiceProfile; `None` where something is wrong with it that cannot be
    /// left out: the last version that could be told stays in force.
    ServiceProfile(Option<ServiceProfile>),
    /// An ExternalWorkload.
    ExternalWorkload(ExternalWorkload),
    /// A ServerAuthorization.
    ServerAuthorization(ServerAuthorization),
    /// An AuthorizationPolicy.
    AuthorizationPolicy(AuthorizationPolicy),
    /// A MeshTLSAuthentication.
    MeshTlsAuthentication(MeshTlsAuthentication),
    /// A NetworkAuthentication.
    NetworkAuthentication(NetworkAuthentication),
    /// An HTTPLocalRateLimitPolicy.
    RateLimit(RateLimit),
    /// An EgressNetwork.
    EgressNetwork(EgressNetwork),
    /// A route of this kind.
    Route(RouteKind, Route),
}

impl Object {
    /// The object's kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Object::Service(_) => Kind::Service,
            Object::EndpointSlice(_) => Kind::EndpointSlice,
            Object::Pod(_) => Kind::Pod,
            Object::Node(_) => Kind::Node,
            Object::Namespace(_) => Kind::Namespace,
            Object::ReplicaSet(_) => Kind::ReplicaSet,
            Object::Job(_) => Kind::Job,
            Object::Server(_) => Kind::Server,
            Object::ServiceProfile(_) => Kind::ServiceProfile,
            Object::ExternalWorkload(_) => Kind::ExternalWorkload,
            Object::ServerAuthorization(_) => Kind::ServerAuthorization,
            Object::AuthorizationPolicy(_) => Kind::AuthorizationPolicy,
            Object::MeshTlsAuthentication(_) => Kind::MeshTlsAuthentication,
            Object::NetworkAuthentication(_) => Kind::NetworkAuthentication,
            Object::RateLimit(_) => Kind::RateLimit,
            Object::EgressNetwork(_) => Kind::EgressNetwork,
            Object::Route(kind, _) => kind.kind(),
        }
    }
}

/// What the mesh reads of a Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Label `topology.kubernetes.io/zone`.
    pub zone: Option<Name>,
}

/// What the mesh reads of a Namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Annotation `config.linkerd.io/opaque-ports` as written: port names in it
    /// mean the ports of each Service or Pod that inherits it.
    pub opaque_ports: Option<Name>,
}

/// Kinds of which each object is one value.
macro_rules! into_object {
    ($($kind:ident),+ $(,)?) => {$(
        impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Object::$kind(object)
            }
        }
    )+};
}

into_object!(
    Service,
    EndpointSlice,
    Pod,
    Server,
    ExternalWorkload,
    ServerAuthorization,
    AuthorizationPolicy,
    MeshTlsAuthentication,
    NetworkAuthentication,
    RateLimit,
    EgressNetwork,
);

impl From<ServiceProfile> for Object {
    fn from(profile: ServiceProfile) -> Self {
        Object::ServiceProfile(Some(profile))
    }
}
