//! Routes of every kind: which requests, calls or connections go where
//! (policy.md sections 2.8, 2.9, 3.6 and 3.12).
//!
//! A value of these types is one that proxies take: paths are absolute, regular
//! expressions compile, header names are valid and in lower case.

mod backend;
mod filter;
mod matches;
mod parent;

pub use self::{
    backend::{Backend, BackendTarget},
    filter::{
        Filter, Header, HeaderChanges, HeaderChangesError, PathChange, PathChangeError, Redirect,
        Scheme,
    },
    matches::{GrpcMatch, HttpMatch, MatchValue, Method, NamedMatch, PathMatch, RouteMatchError},
    parent::{Parent, ParentKey, ParentKind, ParentStatus},
};

use super::{
    Kind, Name, ObjectKey, StatusCondition,
    traffic::{GrpcCode, Retry, StatusCodes, Timeouts},
};
use std::{fmt, sync::Arc, time::Duration};

/// How this controller signs what it writes into the status of routes. Linkerd's,
/// so that a mesh can change its control plane.
pub const CONTROLLER_NAME: &str = "linkerd.io/policy-controller";

/// A kind of route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteKind {
    /// HTTPRoute of `policy.linkerd.io`.
    PolicyHttp,
    /// HTTPRoute of `gateway.networking.k8s.io`.
    Http,
    /// GRPCRoute of `gateway.networking.k8s.io`.
    Grpc,
    /// TLSRoute of `gateway.networking.k8s.io`.
    Tls,
    /// TCPRoute of `gateway.networking.k8s.io`.
    Tcp,
}

/// Which route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteKey {
    /// Its kind.
    pub kind: RouteKind,
    /// Where it is.
    pub key: ObjectKey,
}

/// What the mesh reads of a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    /// `metadata.creationTimestamp` in seconds since 1970. Older routes come
    /// first.
    pub created: Option<i64>,
    /// What it is attached to, as far as that is of a kind that the mesh knows.
    pub parents: Box<[Parent]>,
    /// What this controller wrote about that.
    pub status: Box<[ParentStatus]>,
    /// What it does. `None` where that cannot be told: the last that could be
    /// stays in force.
    pub spec: Option<Arc<RouteSpec>>,
}

/// What a route does.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteSpec {
    /// Hosts, or names that TLS clients ask for; those of `*.` mean every name
    /// below. None for any.
    pub hosts: Box<[Name]>,
    /// To what, and where it leads.
    pub rules: Rules,
}

/// The rules of a route.
#[derive(Clone, Debug, PartialEq)]
pub enum Rules {
    /// Of an HTTPRoute.
    Http(Requests<HttpMatch, StatusCodes>),
    /// Of a GRPCRoute.
    Grpc(Requests<GrpcMatch, GrpcCode>),
    /// Of a TLSRoute: its one rule's backends.
    Tls(Box<[Backend]>),
    /// Of a TCPRoute: its one rule's backends.
    Tcp(Box<[Backend]>),
}

/// What is done to requests: `M` tells them apart, `C` is what is tried again.
#[derive(Clone, Debug, PartialEq)]
pub struct Requests<M, C> {
    /// The rules as written.
    pub rules: Box<[Rule<M>]>,
    /// What the route's annotations say for all of them. `None` where that cannot
    /// be read: then no client is told of the route.
    pub settings: Option<RequestSettings<C>>,
}

/// What a route's annotations say.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestSettings<C> {
    /// What is tried again.
    pub retry: Option<Retry<C>>,
    /// How long things may take.
    pub timeouts: Timeouts,
}

impl<C> Default for RequestSettings<C> {
    fn default() -> Self {
        Self {
            retry: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule<M> {
    /// Which requests: those of any of these.
    pub matches: Box<[M]>,
    /// What is done to them.
    pub filters: Box<[Filter]>,
    /// Where they go; to the parent where there is none.
    pub backends: Box<[Backend]>,
    /// `timeouts.request`; zero is unset.
    pub timeout: Option<Duration>,
}

impl RouteKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::PolicyHttp,
        Self::Http,
        Self::Grpc,
        Self::Tls,
        Self::Tcp,
    ];

    /// As an object of the cluster.
    pub const fn kind(self) -> Kind {
        match self {
            Self::PolicyHttp => Kind::PolicyHttpRoute,
            Self::Http => Kind::HttpRoute,
            Self::Grpc => Kind::GrpcRoute,
            Self::Tls => Kind::TlsRoute,
            Self::Tcp => Kind::TcpRoute,
        }
    }

    /// The route's kind, if objects of this kind are routes.
    pub fn of(kind: Kind) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.kind() == kind)
    }

    /// The API group.
    pub const fn group(self) -> &'static str {
        self.kind().group()
    }

    /// The kind as manifests spell it.
    pub const fn name(self) -> &'static str {
        self.kind().manifest_name()
    }

    /// Of two routes on one parent the more specific kind holds, which is the
    /// greater one here (policy.md section 7.4).
    pub const fn specificity(self) -> u8 {
        match self {
            Self::Grpc => 3,
            Self::PolicyHttp | Self::Http => 2,
            Self::Tls => 1,
            Self::Tcp => 0,
        }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.kind(), self.key)
    }
}

impl RouteSpec {
    /// Every backend, in the order of the rules.
    pub fn backends(&self) -> impl Iterator<Item = &Backend> {
        let (http, grpc, connections) = match &self.rules {
            Rules::Http(requests) => (Some(requests), None, None),
            Rules::Grpc(requests) => (None, Some(requests), None),
            Rules::Tls(backends) | Rules::Tcp(backends) => (None, None, Some(backends)),
        };
        let http = http.into_iter().flat_map(|requests| &requests.rules);
        let grpc = grpc.into_iter().flat_map(|requests| &requests.rules);
        http.flat_map(|rule| &rule.backends)
            .chain(grpc.flat_map(|rule| &rule.backends))
            .chain(connections.into_iter().flatten())
    }
}

impl Route {
    /// Whether this controller has written that the route is accepted by a parent.
    /// Before it has judged that very port, what it wrote of all ports holds for
    /// each, and of any of them for all (policy.md section 6.6): so a port that is
    /// added to a parent or taken away does not put the route out of effect.
    pub fn is_accepted(&self, parent: &Parent) -> bool {
        let of_parent = || {
            let all = self.status.iter();
            all.filter(|status| status.parent == parent.key)
        };
        let is_judged = of_parent().any(|status| status.port == parent.port);
        of_parent().any(|status| {
            let counts = match is_judged {
                true => status.port == parent.port,
                false => status.port.is_none() || parent.port.is_none(),
            };
            counts && status.is(StatusCondition::ACCEPTED)
        })
    }
}
