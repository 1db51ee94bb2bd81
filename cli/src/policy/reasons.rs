//! Why a port has the policy that it has.

use super::sheet::{Section, Sheet};
use crate::{admin, api_addr::ApiAddr};
use ferrule_proto::inbound::PortSpec;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// What the process says about it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reasons {
    decided: String,
    without_effect: Vec<Idle>,
}

/// An object without effect.
#[derive(Debug, Deserialize, Serialize)]
struct Idle {
    object: String,
    because: String,
}

impl Reasons {
    /// `None` where nobody says: the policy is what was asked for.
    pub(super) async fn ask(addr: &ApiAddr, question: &PortSpec) -> Option<Self> {
        // It is JSON.
        let workload = utf8_percent_encode(&question.workload, NON_ALPHANUMERIC);
        let query = format!("workload={workload}&port={}", question.port);
        let body = admin::get_all(addr, "/debug/policy", &query).await.ok()?;
        serde_json::from_slice(&body).ok()
    }

    pub(super) fn add_to(self, sheet: &mut Sheet) {
        sheet.facts.insert(1, ("decided by", self.decided));
        let idle = self.without_effect.into_iter();
        sheet.sections.push(Section {
            columns: &["WITHOUT EFFECT", "BECAUSE"],
            rows: idle.map(|idle| vec![idle.object, idle.because]).collect(),
        });
    }
}
