//! `ferrule diagnostics staleness`: what an index holds against what the API
//! server has.
//!
//! Both sides come to the same form: a fingerprint of what the mesh reads of an
//! object, by the same code. What differs is looked at twice, since changes are
//! always on their way.

mod look;
mod report;

use self::{
    look::{Difference, Held, Truth, compare, lasting},
    report::KindReport,
};
use crate::{
    Error,
    api::root_cause,
    api_addr::ServerFlags,
    cluster::ClusterFlags,
    duration,
    output::{self, Format},
    progress::awaited,
};
use clap::Args;
use ferrule_cluster::object::Kind;
use kube::Client;
use std::{collections::BTreeMap, time::Duration};

pub(crate) const EXAMPLES: &str = "\
Examples:
  ferrule diagnostics staleness
  ferrule diagnostics staleness --kind Pod --kind EndpointSlice -o json
  ferrule diagnostics staleness --grace 30s --context prod

Exit code 1 if anything is out of date for longer than the grace period, or
could not be compared.";

/// What is compared, and how the answer is printed.
#[derive(Debug, Args)]
pub(crate) struct Staleness {
    /// Only this kind, such as Pod; may be given several times
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    kinds: Vec<Kind>,

    /// How long a change may be on its way: what differs is looked at again after
    /// that
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    grace: Duration,

    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,

    #[command(flatten)]
    pub(crate) server: ServerFlags,

    #[command(flatten)]
    cluster: ClusterFlags,
}

/// Both sides of a kind, at one moment.
struct Look {
    /// `None` where the API server may not be asked.
    truth: Option<Truth>,
    note: Option<String>,
    held: Held,
}

impl Staleness {
    pub(crate) async fn run(self) -> Result<(), Error> {
        let client = self.cluster.api_server().await?;
        let kinds = match &*self.kinds {
            [] => &Kind::ALL,
            kinds => kinds,
        };
        let mut looks = Vec::new();
        for &kind in kinds {
            let look = self.look(&client, kind);
            let look = awaited(&format!("comparing {}", kind.plural()), look).await?;
            let differences = look.differences();
            looks.push((kind, look, differences));
        }
        if looks
            .iter()
            .any(|(_, _, differences)| !differences.is_empty())
        {
            let grace = tokio::time::sleep(self.grace);
            awaited("giving what differs time to arrive", grace).await;
        }
        for (kind, look, differences) in &mut looks {
            if !differences.is_empty() {
                let again = self.look(&client, *kind);
                *look = awaited(&format!("comparing {} again", kind.plural()), again).await?;
                *differences = lasting(differences, look.differences());
            }
        }
        let reports = looks
            .into_iter()
            .map(|(kind, look, stale)| look.report(kind, stale));
        self.print(&reports.collect::<Vec<_>>())
    }

    async fn look(&self, client: &Client, kind: Kind) -> Result<Look, Error> {
        // The index second: it has had time to hear of what is listed.
        let (truth, note) = match look::truth(client, kind).await {
            Ok(Some(truth)) => (Some(truth), None),
            Ok(None) => {
                let note = "the API server does not serve it".to_owned();
                (Some(Truth::new()), Some(note))
            }
            Err(kube::Error::Api(status)) if matches!(status.code, 401 | 403) => (
                None,
                Some(format!("you may not list it: {}", status.message)),
            ),
            Err(error) => {
                return Err(Error::ApiServer {
                    what: format!("list {}", kind.plural()),
                    reason: root_cause(&error),
                });
            }
        };
        let held = look::held(&self.server.api_addr, kind).await?;
        Ok(Look { truth, note, held })
    }

    fn print(&self, reports: &[KindReport]) -> Result<(), Error> {
        match self.output {
            Format::Json => output::print_json(&reports)?,
            Format::Table => output::print(&report::text(reports))?,
        }
        let stale = reports.iter().map(|report| report.stale.len()).sum();
        if stale > 0 {
            return Err(Error::Stale {
                count: stale,
                grace: self.grace,
            });
        }
        let unasked = reports.iter().filter(|report| report.api_server.is_none());
        let unasked: Vec<_> = unasked.map(|report| report.kind.plural()).collect();
        if unasked.is_empty() {
            return Ok(());
        }
        Err(Error::Uncompared(unasked.join(", ")))
    }
}

impl Look {
    fn differences(&self) -> BTreeMap<String, Difference> {
        match &self.truth {
            Some(truth) => compare(truth, &self.held),
            None => BTreeMap::new(),
        }
    }

    fn report(self, kind: Kind, stale: BTreeMap<String, Difference>) -> KindReport {
        let Held { watch, objects } = &self.held;
        let mut report = KindReport::new(kind, self.truth.as_ref(), objects.len(), watch, stale);
        report.note = report.note.or(self.note);
        report
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    Kind::named(name).ok_or_else(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("expected one of {}", known.join(", "))
    })
}
