//! Whatever happened in whatever order: what waits to be written is what a process
//! would write that has just started.

use crate::{judged::*, objects::server, support::*};
use ferrule_cluster::object::{
    EgressNetwork, Kind, Name, Object, ObjectKey, ProxyProtocol, RateLimit,
    route::{BackendTarget, Parent, ParentKind, Route, RouteKind},
};
use ferrule_policy::{Outbox, StatusKey, parse_networks};
use proptest::{collection::vec, prelude::*, sample::select};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Clone, Debug)]
enum Op {
    Apply(u8, Object),
    Delete(Kind, u8),
    /// The writer writes one of those that wait, and the watch brings it.
    Write(usize),
    /// Somebody clears the status of one object.
    Clear(usize),
    /// What comes next comes in one batch.
    Hold,
    Publish,
}

const NAMES: u8 = 3;

fn name(number: u8) -> String {
    format!("o{number}")
}

fn kinds() -> Vec<Kind> {
    let routes = RouteKind::ALL.map(RouteKind::kind);
    let others = [
        Kind::Service,
        Kind::Server,
        Kind::EgressNetwork,
        Kind::RateLimit,
    ];
    others.into_iter().chain(routes).collect()
}

fn parent() -> impl Strategy<Value = Parent> {
    let port = select(vec![None, Some(80), Some(81)]);
    (select(ParentKind::ALL.to_vec()), 0..NAMES, port).prop_map(|(kind, number, port)| {
        let port = port.filter(|_| kind != ParentKind::Server);
        on(kind, &name(number), port)
    })
}

fn backend() -> impl Strategy<Value = BackendTarget> {
    let kinds = vec![ParentKind::Service, ParentKind::EgressNetwork];
    (select(kinds), 0..NAMES).prop_map(|(kind, number)| to(kind, &name(number)))
}

fn object() -> impl Strategy<Value = Object> {
    let service = any::<bool>().prop_map(|has_ip| {
        let ips: &[&str] = if has_ip { &["10.0.0.1"] } else { &[] };
        service(ips).into()
    });
    let networks = select(vec![None, Some("1.0.0.0/8"), Some("10.0.0.0/8")]);
    let network = networks.prop_map(|networks| {
        let networks = networks.map(|text| {
            let cidrs = parse_networks(text).expect("literal").into_iter();
            let networks = cidrs.map(|cidr| ferrule_cluster::object::Network {
                cidr,
                except: Box::default(),
            });
            networks.collect()
        });
        EgressNetwork {
            networks,
            ..EgressNetwork::default()
        }
        .into()
    });
    let target = prop_oneof![Just(None), (0..NAMES).prop_map(Some)];
    let limit = (target, select(vec![None, Some(1), Some(2)])).prop_map(|(target, created)| {
        RateLimit {
            created,
            server: target.map(|number| Name::from(name(number))),
            ..RateLimit::default()
        }
        .into()
    });
    let kind = select(RouteKind::ALL.to_vec());
    let route = (kind, vec(parent(), 0..3), vec(backend(), 0..2))
        .prop_map(|(kind, parents, backends)| Object::Route(kind, route(&parents, &backends)));
    prop_oneof![
        2 => service,
        1 => Just(server(80, ProxyProtocol::Unknown).into()),
        1 => network,
        1 => limit,
        4 => route,
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..NAMES, object()).prop_map(|(number, object)| Op::Apply(number, object)),
        3 => (select(kinds()), 0..NAMES).prop_map(|(kind, number)| Op::Delete(kind, number)),
        4 => any::<usize>().prop_map(Op::Write),
        1 => any::<usize>().prop_map(Op::Clear),
        1 => Just(Op::Hold),
        1 => Just(Op::Publish),
    ]
}

impl Judged {
    fn history(&mut self, op: Op) {
        match op {
            Op::Apply(number, object) => {
                let key = ObjectKey::new(NS, name(number));
                let kind = object.kind();
                let stored = self.objects.get(&StatusKey { kind, key });
                let object = with_stored_status(object, stored);
                self.apply(&name(number), object);
            }
            Op::Delete(kind, number) => {
                let key = ObjectKey::new(NS, name(number));
                if self.objects.contains_key(&StatusKey { kind, key }) {
                    self.delete(kind, &name(number));
                }
            }
            Op::Write(number) => {
                let mut keys = self.outbox.keys();
                keys.sort();
                // A writer may be late: the object may be gone.
                keys.retain(|key| self.objects.contains_key(key));
                if !keys.is_empty() {
                    self.write(&keys[number % keys.len()]);
                }
            }
            Op::Clear(number) => {
                let Some(key) = self.objects.keys().nth(number % self.objects.len().max(1)) else {
                    return;
                };
                let key = key.clone();
                let cleared = with_stored_status(self.objects[&key].clone(), None);
                self.apply(&key.key.name, cleared);
            }
            Op::Hold => self.hold(),
            Op::Publish => self.publish(),
        }
    }
}

/// A write of an object leaves its status as it is.
fn with_stored_status(object: Object, stored: Option<&Object>) -> Object {
    match (object, stored) {
        (Object::Route(kind, route), stored) => {
            let status = match stored {
                Some(Object::Route(_, stored)) => stored.status.clone(),
                _ => Box::default(),
            };
            Object::Route(kind, Route { status, ..route })
        }
        (Object::EgressNetwork(mut network), stored) => {
            network.conditions = match stored {
                Some(Object::EgressNetwork(stored)) => stored.conditions.clone(),
                _ => Box::default(),
            };
            network.into()
        }
        (Object::RateLimit(mut limit), stored) => {
            limit.conditions = match stored {
                Some(Object::RateLimit(stored)) => stored.conditions.clone(),
                _ => Box::default(),
            };
            limit.into()
        }
        (object, _) => object,
    }
}

/// All that waits, and all that does not hold.
fn waits(outbox: &Arc<Outbox>) -> (BTreeMap<StatusKey, String>, String) {
    let keys = outbox.keys().into_iter();
    let waits = keys.map(|key| {
        let status = format!("{:?}", outbox.get(&key));
        (key, status)
    });
    (waits.collect(), format!("{:?}", outbox.unmet()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_waits_is_what_a_fresh_process_would_write(ops in vec(op(), 1..40)) {
        let mut judged = Judged::new();
        for op in ops {
            judged.history(op);
        }
        judged.publish();
        let mut fresh = Judged::unsynced();
        for (key, object) in &judged.objects {
            fresh.feed(applied(key.key.clone(), object.clone()));
        }
        for kind in Kind::ALL {
            fresh.feed(ferrule_cluster::source::Event::Synced(kind));
        }
        prop_assert_eq!(waits(&judged.outbox), waits(&fresh.outbox));

        // And all of it can be written.
        judged.settle();
        fresh.objects = judged.objects.clone();
        for (key, object) in judged.objects.clone() {
            fresh.feed(applied(key.key, object));
        }
        prop_assert!(fresh.outbox.is_empty(), "{:?}", fresh.outbox.keys());
    }
}
