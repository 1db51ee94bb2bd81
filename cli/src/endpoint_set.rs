//! What a stream of updates adds up to: the same rules as in a proxy.

use crate::endpoint::Endpoint;
use ferrule_proto::destination::{Update, WeightedAddrSet, update};
use std::{collections::BTreeMap, net::SocketAddr};

/// The endpoints of one authority.
#[derive(Debug, Default)]
pub(crate) struct EndpointSet {
    endpoints: BTreeMap<SocketAddr, Endpoint>,
    /// A stream began and has not told its set yet: its first Add replaces what
    /// was known from the one before.
    fresh: bool,
}

/// A difference between two states of a set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    Added(Endpoint),
    Removed(Endpoint),
    Changed {
        before: Box<Endpoint>,
        after: Endpoint,
    },
}

impl EndpointSet {
    /// A new stream begins. What the last one told stays until this one tells.
    pub(crate) fn restart(&mut self) {
        self.fresh = true;
    }

    /// Whether the stream has not told anything yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// A fresh stream has been silent so long that there must be nothing to tell.
    pub(crate) fn settle(&mut self) -> Vec<Change> {
        if self.fresh {
            self.fresh = false;
            return self.clear();
        }
        Vec::new()
    }

    /// Takes an update in; what it changed, in the order of addresses.
    pub(crate) fn apply(&mut self, update: Update) -> Vec<Change> {
        match update.update {
            Some(update::Update::Add(set)) => self.add(&set),
            Some(update::Update::Remove(set)) => {
                let addrs = set.addrs.into_iter();
                addrs
                    .filter_map(|addr| SocketAddr::try_from(addr).ok())
                    .filter_map(|addr| self.endpoints.remove(&addr))
                    .map(Change::Removed)
                    .collect()
            }
            Some(update::Update::NoEndpoints(_)) => {
                self.fresh = false;
                self.clear()
            }
            None => Vec::new(),
        }
    }

    /// The endpoints in the order of their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    fn add(&mut self, set: &WeightedAddrSet) -> Vec<Change> {
        let told: BTreeMap<_, _> = set
            .addrs
            .iter()
            .filter_map(|wire| Endpoint::read(wire, &set.metric_labels))
            .map(|endpoint| (endpoint.addr, endpoint))
            .collect();
        let mut changes = Vec::new();
        if std::mem::take(&mut self.fresh) {
            let gone = self
                .endpoints
                .extract_if(.., |addr, _| !told.contains_key(addr));
            changes.extend(gone.map(|(_, endpoint)| Change::Removed(endpoint)));
        }
        for (addr, after) in told {
            match self.endpoints.insert(addr, after.clone()) {
                None => changes.push(Change::Added(after)),
                Some(before) if before != after => changes.push(Change::Changed {
                    before: before.into(),
                    after,
                }),
                Some(_) => {}
            }
        }
        changes
    }

    fn clear(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.endpoints)
            .into_values()
            .map(Change::Removed)
            .collect()
    }
}

impl Change {
    /// The sign in front of a line.
    pub(crate) fn sign(&self) -> char {
        match self {
            Change::Added(_) => '+',
            Change::Removed(_) => '-',
            Change::Changed { .. } => '~',
        }
    }

    /// The name in JSON.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Change::Added(_) => "added",
            Change::Removed(_) => "removed",
            Change::Changed { .. } => "changed",
        }
    }

    /// The endpoint as it is, or as it last was.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        match self {
            Change::Added(endpoint) | Change::Removed(endpoint) => endpoint,
            Change::Changed { after, .. } => after,
        }
    }

    /// What changed: field, before and after; empty unless an endpoint changed.
    pub(crate) fn differences(&self) -> Vec<(&'static str, String, String)> {
        let Change::Changed { before, after } = self else {
            return Vec::new();
        };
        differences(&before.fields(), &after.fields())
    }
}

/// The fields whose values differ, of two lists that have the same fields.
pub(crate) fn differences(
    before: &[(&'static str, String)],
    after: &[(&'static str, String)],
) -> Vec<(&'static str, String, String)> {
    before
        .iter()
        .zip(after)
        .filter(|((_, before), (_, after))| before != after)
        .map(|((field, before), (_, after))| (*field, before.clone(), after.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrule_proto::destination::{AddrSet, NoEndpoints, WeightedAddr};

    fn addr(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 8080))
    }

    fn add(endpoints: &[(u8, &str)]) -> Update {
        let addrs = endpoints.iter().map(|&(n, zone)| WeightedAddr {
            addr: Some(addr(n).into()),
            metric_labels: BTreeMap::from([("zone".into(), zone.into())]),
            ..WeightedAddr::default()
        });
        Update {
            update: Some(update::Update::Add(WeightedAddrSet {
                addrs: addrs.collect(),
                metric_labels: BTreeMap::new(),
            })),
        }
    }

    fn remove(endpoints: &[u8]) -> Update {
        let addrs = endpoints.iter().map(|&n| addr(n).into()).collect();
        Update {
            update: Some(update::Update::Remove(AddrSet { addrs })),
        }
    }

    fn told(set: &mut EndpointSet, update: Update) -> Vec<String> {
        signs(&set.apply(update))
    }

    fn signs(changes: &[Change]) -> Vec<String> {
        changes
            .iter()
            .map(|change| format!("{}{}", change.sign(), change.endpoint().addr.ip()))
            .collect()
    }

    #[test]
    fn adds_and_removes_add_up() {
        let mut set = EndpointSet::default();
        set.restart();
        assert_eq!(
            told(&mut set, add(&[(1, "a"), (2, "a")])),
            ["+10.0.0.1", "+10.0.0.2"]
        );
        assert_eq!(told(&mut set, add(&[(2, "a")])), [""; 0], "nothing new");
        assert_eq!(
            told(&mut set, add(&[(2, "b"), (3, "b")])),
            ["~10.0.0.2", "+10.0.0.3"]
        );
        assert_eq!(told(&mut set, remove(&[1, 9])), ["-10.0.0.1"]);
        assert_eq!(set.iter().count(), 2);
        let none = Update {
            update: Some(update::Update::NoEndpoints(NoEndpoints { exists: true })),
        };
        assert_eq!(told(&mut set, none), ["-10.0.0.2", "-10.0.0.3"]);
    }

    #[test]
    fn a_changed_endpoint_says_which_field_changed() {
        let mut set = EndpointSet::default();
        set.apply(add(&[(1, "a")]));
        let changes = set.apply(add(&[(1, "b")]));
        assert_eq!(
            changes[0].differences(),
            [("zone", "a".to_owned(), "b".to_owned())]
        );
    }

    #[test]
    fn the_first_add_of_a_new_stream_replaces_the_set() {
        let mut set = EndpointSet::default();
        set.apply(add(&[(1, "a"), (2, "a")]));
        set.restart();
        assert_eq!(set.iter().count(), 2, "the old set holds meanwhile");
        assert_eq!(
            told(&mut set, add(&[(2, "a"), (3, "a")])),
            ["-10.0.0.1", "+10.0.0.3"]
        );
        assert_eq!(
            told(&mut set, add(&[(4, "a")])),
            ["+10.0.0.4"],
            "later ones do not"
        );
    }

    #[test]
    fn a_new_stream_that_stays_silent_has_nothing_to_tell() {
        let mut set = EndpointSet::default();
        set.apply(add(&[(1, "a")]));
        set.restart();
        assert_eq!(signs(&set.settle()), ["-10.0.0.1"]);
        set.apply(add(&[(1, "a")]));
        assert_eq!(signs(&set.settle()), [""; 0], "it was not fresh");
    }
}
