//! One look at both sides: the API server's objects, and what an index holds.

use crate::{Error, admin, api_addr::ApiAddr};
use ferrule_cluster::{object::Kind, source::kubernetes};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    time::SystemTime,
};

/// Where a Ferrule tells what it holds.
const PATH: &str = "/debug/state";

/// Objects of a kind by key.
pub(super) type Truth = HashMap<String, Written>;

/// An object as the API server has it.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// Of what the mesh reads of it.
    pub(super) fingerprint: String,
    pub(super) resource_version: Option<String>,
    /// When it was last written, where it says so.
    pub(super) at: Option<SystemTime>,
}

/// What an index holds of a kind.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    pub(super) watch: Watch,
    /// Fingerprints by key.
    pub(super) objects: HashMap<String, String>,
}

/// How the index comes to know a kind.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Watch {
    version: String,
    source: String,
    /// The kind has been listed, or is done without.
    pub(super) synced: bool,
    /// Its watch is answered.
    pub(super) connected: bool,
    /// `None` if nothing ever was heard of it.
    pub(super) last_heard_seconds_ago: Option<f64>,
}

#[derive(Deserialize)]
struct Line {
    key: String,
    fingerprint: String,
}

/// How the two sides differ about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The index does not hold it.
    Missing,
    /// The API server does not have it.
    Extra,
    /// Its content is another one.
    Differs,
}

/// A difference, as one look sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) what: What,
    /// The fingerprint of what the index holds.
    held: Option<String>,
}

/// All objects that the API server has of a kind; `None` if it does not serve it.
pub(super) async fn truth(client: &kube::Client, kind: Kind) -> kube::Result<Option<Truth>> {
    let listed = kubernetes::list(client, kind).await?;
    Ok(listed.map(|listed| {
        let objects = listed.into_iter().map(|listed| {
            let written = Written {
                fingerprint: fingerprint(listed.object.fingerprint()),
                resource_version: listed.resource_version,
                at: listed.last_write,
            };
            (listed.key.to_string(), written)
        });
        objects.collect()
    }))
}

/// What the index of the Ferrule at `addr` holds of a kind.
pub(super) async fn held(addr: &ApiAddr, kind: Kind) -> Result<Held, Error> {
    let body = admin::get_all(addr, PATH, &format!("kind={kind}")).await?;
    let fail = |reason| Error::Admin {
        addr: addr.to_string(),
        path: PATH,
        reason,
    };
    let unreadable = |error| fail(format!("its answer cannot be read: {error}"));
    let mut lines = body.split(|byte| *byte == b'\n');
    let watch = lines.next().unwrap_or_default();
    let watch: Watch = serde_json::from_slice(watch).map_err(unreadable)?;
    if watch.source != "cluster" {
        return Err(fail(
            "it serves manifests, so there is no API server to compare it with".to_owned(),
        ));
    }
    let own = env!("CARGO_PKG_VERSION");
    if watch.version != own {
        let theirs = &watch.version;
        return Err(fail(format!(
            "it is version {theirs} and this is {own}; only the same version can compare"
        )));
    }
    let objects = lines.filter(|line| !line.is_empty()).map(|line| {
        let Line { key, fingerprint } = serde_json::from_slice(line)?;
        Ok((key, fingerprint))
    });
    let objects: Result<_, _> = objects.collect();
    Ok(Held {
        watch,
        objects: objects.map_err(unreadable)?,
    })
}

/// What differs at this moment; some of it may be on its way.
pub(super) fn compare(truth: &Truth, held: &Held) -> BTreeMap<String, Difference> {
    let mut differences = BTreeMap::new();
    for (key, written) in truth {
        let known = held.objects.get(key);
        if known == Some(&written.fingerprint) {
            continue;
        }
        let what = match known {
            Some(_) => What::Differs,
            None => What::Missing,
        };
        let held = known.cloned();
        differences.insert(key.clone(), Difference { what, held });
    }
    let extra = held
        .objects
        .iter()
        .filter(|(key, _)| !truth.contains_key(*key));
    differences.extend(extra.map(|(key, fingerprint)| {
        let held = Some(fingerprint.clone());
        (
            key.clone(),
            Difference {
                what: What::Extra,
                held,
            },
        )
    }));
    differences
}

/// What an earlier look saw too, while the index has not moved: what it holds was
/// out of date then, and it still is.
pub(super) fn lasting(
    earlier: &BTreeMap<String, Difference>,
    mut now: BTreeMap<String, Difference>,
) -> BTreeMap<String, Difference> {
    now.retain(|key, difference| {
        let before = earlier.get(key);
        before.is_some_and(|before| before.held == difference.held)
    });
    now
}

fn fingerprint(number: u64) -> String {
    format!("{number:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(truth: &[(&str, &str)], held: &[(&str, &str)]) -> BTreeMap<String, Difference> {
        let written = |fingerprint: &str| Written {
            fingerprint: fingerprint.to_owned(),
            resource_version: None,
            at: None,
        };
        let truth = truth
            .iter()
            .map(|(key, print)| ((*key).to_owned(), written(print)));
        let objects = held
            .iter()
            .map(|(key, print)| ((*key).to_owned(), (*print).to_owned()));
        let held = Held {
            objects: objects.collect(),
            ..Held::default()
        };
        compare(&truth.collect(), &held)
    }

    fn keys(differences: &BTreeMap<String, Difference>) -> Vec<(&str, What)> {
        let all = differences.iter();
        all.map(|(key, difference)| (&**key, difference.what))
            .collect()
    }

    #[test]
    fn each_way_to_differ_is_told() {
        let found = sides(
            &[("same", "1"), ("new", "1"), ("changed", "2")],
            &[("same", "1"), ("changed", "1"), ("gone", "1")],
        );
        let expected = [
            ("changed", What::Differs),
            ("gone", What::Extra),
            ("new", What::Missing),
        ];
        assert_eq!(keys(&found), expected);
    }

    #[test]
    fn what_is_on_its_way_is_not_stale() {
        let earlier = sides(
            &[
                ("stuck", "2"),
                ("moving", "2"),
                ("unknown", "1"),
                ("arrived", "1"),
            ],
            &[("stuck", "1"), ("moving", "1"), ("ghost", "1")],
        );
        let now = sides(
            // "late" was written after the first look.
            &[
                ("stuck", "3"),
                ("moving", "3"),
                ("unknown", "1"),
                ("arrived", "2"),
                ("late", "1"),
            ],
            &[
                ("stuck", "1"),
                ("moving", "2"),
                ("arrived", "1"),
                ("ghost", "1"),
            ],
        );
        let expected = [
            ("ghost", What::Extra),
            ("stuck", What::Differs),
            ("unknown", What::Missing),
        ];
        assert_eq!(keys(&lasting(&earlier, now)), expected);
    }
}
