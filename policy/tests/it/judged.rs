//! An index that judges, and a writer that is driven by hand: what is to be written
//! comes back as the watch would bring it.

use crate::support::{NS, applied, service};
use ferrule_cluster::{
    Index, Interner,
    index::Handle,
    object::{
        EgressNetwork, Kind, Name, Object, ObjectKey, RateLimit, Service, StatusCondition,
        route::{
            Backend, BackendTarget, Parent, ParentKey, ParentKind, Route, RouteKey, RouteKind,
            RouteSpec, Rules,
        },
    },
    source::Event,
};
use ferrule_policy::{Outbox, PolicySettings, Status, StatusKey, Statuses};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) struct Judged {
    index: Index,
    pub(crate) outbox: Arc<Outbox>,
    /// Whether events are not published.
    is_held: bool,
    /// What the API server has.
    pub(crate) objects: BTreeMap<StatusKey, Object>,
    // Keeps the channel open.
    _handle: Handle,
}

impl Judged {
    /// A synced, empty world.
    pub(crate) fn new() -> Self {
        Self::without(&[])
    }

    /// One in which these kinds are forbidden.
    pub(crate) fn without(forbidden: &[Kind]) -> Self {
        let mut this = Self::unsynced();
        for kind in Kind::ALL {
            if forbidden.contains(&kind) {
                this.feed(Event::Unavailable(kind, "forbidden".into()));
            } else {
                this.list(kind);
            }
        }
        this
    }

    pub(crate) fn unsynced() -> Self {
        let outbox = Arc::<Outbox>::default();
        let settings = Arc::<PolicySettings>::default();
        let (mut index, handle) = Index::new(Interner::new());
        index.project(Statuses::new(settings, outbox.clone()));
        Self {
            index,
            outbox,
            is_held: false,
            objects: BTreeMap::new(),
            _handle: handle,
        }
    }

    /// The kind is listed, and there are none.
    pub(crate) fn list(&mut self, kind: Kind) {
        self.feed(Event::Relisting(kind));
        self.feed(Event::Synced(kind));
    }

    /// Applies an event, as a batch of its own unless it is held.
    pub(crate) fn feed(&mut self, event: Event) {
        self.index.apply(event);
        if !self.is_held {
            self.index.publish();
        }
    }

    /// What comes next is one batch.
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    /// The end of such a batch.
    pub(crate) fn publish(&mut self) {
        self.is_held = false;
        self.index.publish();
    }

    pub(crate) fn apply(&mut self, name: &str, object: impl Into<Object>) {
        self.apply_in(NS, name, object);
    }

    pub(crate) fn apply_in(&mut self, namespace: &str, name: &str, object: impl Into<Object>) {
        let (key, object) = (ObjectKey::new(namespace, name), object.into());
        let status_key = StatusKey {
            kind: object.kind(),
            key: key.clone(),
        };
        self.objects.insert(status_key, object.clone());
        self.feed(applied(key, object));
    }

    pub(crate) fn route(&mut self, kind: RouteKind, name: &str, route: Route) {
        self.apply(name, Object::Route(kind, route));
    }

    pub(crate) fn delete(&mut self, kind: Kind, name: &str) {
        let key = ObjectKey::new(NS, name);
        self.objects.remove(&StatusKey {
            kind,
            key: key.clone(),
        });
        self.feed(Event::Deleted(kind, key));
    }

    /// Writes what waits for an object, if anything does, and has the watch bring it.
    pub(crate) fn write(&mut self, key: &StatusKey) -> bool {
        let Some(status) = self.outbox.get(key) else {
            return false;
        };
        let object = self.objects.get(key).expect("it exists");
        let written = with_status(object.clone(), &status);
        self.apply_in(&key.key.namespace, &key.key.name, written);
        true
    }

    /// Writes all that waits, also what comes of that; how many writes it took.
    pub(crate) fn settle(&mut self) -> usize {
        let mut writes = 0;
        loop {
            let mut keys = self.outbox.keys();
            keys.sort();
            let Some(key) = keys.first() else {
                return writes;
            };
            self.write(key);
            writes += 1;
            assert!(writes < 1_000, "it does not settle: {keys:?}");
        }
    }

    /// What is said of a route once all is written: the parent, its port, and each
    /// condition.
    pub(crate) fn said(&mut self, kind: RouteKind, name: &str) -> Vec<String> {
        self.settle();
        let Object::Route(_, route) = &self.objects[&route_key(kind, name)] else {
            unreachable!("its kind is a route's");
        };
        let parents = route.status.iter().map(|status| {
            let port = status.port.map(|port| format!(":{port}"));
            let conditions = status.conditions.iter().map(said);
            let conditions: Vec<_> = conditions.collect();
            let parent = &status.parent.key.name;
            format!(
                "{parent}{} {}",
                port.unwrap_or_default(),
                conditions.join(", ")
            )
        });
        parents.collect()
    }

    /// What is said of a rate limit or an EgressNetwork once all is written.
    pub(crate) fn conditions(&mut self, kind: Kind, name: &str) -> Vec<String> {
        self.settle();
        let key = ObjectKey::new(NS, name);
        let conditions = match &self.objects[&StatusKey { kind, key }] {
            Object::EgressNetwork(network) => &network.conditions,
            Object::RateLimit(limit) => &limit.conditions,
            other => panic!("{other:?} has none"),
        };
        conditions.iter().map(said).collect()
    }
}

pub(crate) fn route_key(kind: RouteKind, name: &str) -> StatusKey {
    let key = ObjectKey::new(NS, name);
    RouteKey { kind, key }.into()
}

/// `Accepted`, or `!Accepted Reason (message)`.
fn said(condition: &StatusCondition) -> String {
    let StatusCondition {
        kind,
        status,
        reason,
        message,
    } = condition;
    match (&**status, message.is_empty()) {
        ("True", _) => {
            assert_eq!((kind, &**message), (reason, ""));
            kind.to_string()
        }
        (_, true) => format!("!{kind} {reason}"),
        (_, false) => format!("!{kind} {reason} ({message})"),
    }
}

fn with_status(object: Object, status: &Status) -> Object {
    match (object, status) {
        (Object::Route(kind, route), Status::Route(parents)) => {
            let status = parents.clone().into();
            Object::Route(kind, Route { status, ..route })
        }
        (Object::EgressNetwork(network), Status::EgressNetwork(condition)) => EgressNetwork {
            conditions: [condition.clone()].into(),
            ..network
        }
        .into(),
        (Object::RateLimit(limit), Status::RateLimit { condition, .. }) => RateLimit {
            conditions: [condition.clone()].into(),
            ..limit
        }
        .into(),
        (object, status) => panic!("{status:?} is not of {object:?}"),
    }
}

pub(crate) fn on(kind: ParentKind, name: &str, port: Option<u16>) -> Parent {
    Parent {
        key: ParentKey::new(kind, ObjectKey::new(NS, name)),
        port,
        is_part: false,
    }
}

pub(crate) fn on_service(name: &str) -> Parent {
    on(ParentKind::Service, name, None)
}

pub(crate) fn to(kind: ParentKind, name: &str) -> BackendTarget {
    BackendTarget::Object {
        kind,
        namespace: None,
        name: name.into(),
        port: Some(80),
    }
}

/// A route on these parents that leads to these objects. What kind of rules it has
/// makes no difference to what is said of it.
pub(crate) fn route(parents: &[Parent], backends: &[BackendTarget]) -> Route {
    let backends = backends.iter().map(|target| Backend {
        target: target.clone(),
        weight: 1,
        filters: Ok(Box::default()),
    });
    let spec = RouteSpec {
        hosts: [Name::from("example.com")].into(),
        rules: Rules::Tcp(backends.collect()),
    };
    Route {
        parents: parents.into(),
        spec: Some(Arc::new(spec)),
        ..Route::default()
    }
}

pub(crate) fn web() -> Service {
    service(&["10.0.0.1"])
}

pub(crate) fn on_web() -> Route {
    route(&[on_service("web")], &[])
}

pub(crate) fn limit(server: Option<&str>, created: Option<i64>) -> RateLimit {
    RateLimit {
        created,
        server: server.map(Name::from),
        ..RateLimit::default()
    }
}
