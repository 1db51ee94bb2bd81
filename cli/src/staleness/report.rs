//! What is printed of a comparison.

use super::look::{Difference, Truth, Watch, What};
use crate::output::{self, span};
use ferrule_cluster::object::Kind;
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};

/// How many objects of a kind the table names.
const NAMED: usize = 20;

/// A kind, compared.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KindReport {
    #[serde(serialize_with = "name")]
    pub(super) kind: Kind,
    /// How many objects the API server has; `None` where it may not be asked.
    pub(super) api_server: Option<usize>,
    /// How many the index holds.
    pub(super) index: usize,
    /// The watch of the kind is answered.
    pub(super) connected: bool,
    /// `None` if nothing ever was heard of it.
    pub(super) last_heard_seconds_ago: Option<f64>,
    /// What else is to be known.
    pub(super) note: Option<String>,
    /// What is out of date.
    pub(super) stale: Vec<Stale>,
}

/// An object about which the index is out of date.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Stale {
    pub(super) object: String,
    pub(super) difference: &'static str,
    /// The API server's.
    pub(super) resource_version: Option<String>,
    /// Where the object says when it was last written.
    pub(super) written_seconds_ago: Option<u64>,
}

fn name<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

impl KindReport {
    pub(super) fn new(
        kind: Kind,
        truth: Option<&Truth>,
        index: usize,
        watch: &Watch,
        stale: BTreeMap<String, Difference>,
    ) -> Self {
        let nothing = Truth::default();
        let objects = truth.unwrap_or(&nothing);
        let stale = stale.into_iter().map(|(object, difference)| {
            let written = objects.get(&object);
            let ago = written.and_then(|written| written.at?.elapsed().ok());
            Stale {
                difference: difference.what.as_str(),
                resource_version: written.and_then(|written| written.resource_version.clone()),
                written_seconds_ago: ago.map(|ago| ago.as_secs()),
                object,
            }
        });
        Self {
            kind,
            api_server: truth.map(Truth::len),
            index,
            connected: watch.connected,
            last_heard_seconds_ago: watch.last_heard_seconds_ago,
            note: (!watch.synced).then(|| "not listed yet".to_owned()),
            stale: stale.collect(),
        }
    }

    fn row(&self) -> [String; 6] {
        let heard = self.last_heard_seconds_ago.map(Duration::from_secs_f64);
        let note = match &self.note {
            Some(note) => note.clone(),
            None if self.connected => String::new(),
            None => "its watch is broken".to_owned(),
        };
        [
            self.kind.to_string(),
            self.api_server
                .map_or("-".to_owned(), |count| count.to_string()),
            self.index.to_string(),
            self.stale.len().to_string(),
            heard.map_or("never".to_owned(), |heard| {
                format!("{} ago", span(heard.as_secs()))
            }),
            note,
        ]
    }

    fn objects(&self) -> impl Iterator<Item = [String; 5]> {
        let kind = self.kind;
        let named = self.stale.iter().take(NAMED).map(move |stale| {
            let written = stale.written_seconds_ago;
            [
                kind.to_string(),
                stale.object.clone(),
                stale.difference.to_owned(),
                stale.resource_version.clone().unwrap_or("-".to_owned()),
                written.map_or("-".to_owned(), |ago| format!("{} ago", span(ago))),
            ]
        });
        let others = self.stale.len().saturating_sub(NAMED);
        let others = (others > 0).then(|| {
            let text = format!("and {others} more (all with -o json)");
            [
                kind.to_string(),
                text,
                String::new(),
                String::new(),
                String::new(),
            ]
        });
        named.chain(others)
    }
}

impl What {
    const fn as_str(self) -> &'static str {
        match self {
            What::Missing => "not in the index",
            What::Extra => "only in the index",
            What::Differs => "differs",
        }
    }
}

/// Kind by kind, then object by object.
pub(super) fn text(kinds: &[KindReport]) -> String {
    let header = ["KIND", "API SERVER", "INDEX", "STALE", "LAST HEARD", "NOTE"];
    let mut text = output::table(Some(&header), kinds.iter().map(KindReport::row));
    if kinds.iter().any(|kind| !kind.stale.is_empty()) {
        let header = [
            "KIND",
            "OBJECT",
            "DIFFERENCE",
            "RESOURCE VERSION",
            "WRITTEN",
        ];
        let objects = kinds.iter().flat_map(KindReport::objects);
        text.push_str("\n\n");
        text.push_str(&output::table(Some(&header), objects));
    }
    text
}
