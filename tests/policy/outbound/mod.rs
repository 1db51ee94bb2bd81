//! What a workload calls: where it goes, by which rules, how it is spoken to.

mod attachment;
mod backends;
mod egress;
mod protocols;
mod resolution;
mod terms;

use crate::world::World;
use ferrule_tests::scenario::Scenario;

/// Port 80 of Service `web`.
const WEB: &str = "web.$ns.svc.cluster.local:80";

pub(crate) fn all() -> Vec<Scenario<World>> {
    let all = [
        resolution::all(),
        protocols::all(),
        attachment::all(),
        backends::all(),
        terms::all(),
        egress::all(),
    ];
    all.into_iter().flatten().collect()
}

/// Those that end other scenarios' streams.
pub(crate) fn for_all() -> Vec<Scenario<World>> {
    egress::for_all()
}
