//! Who may call a workload's port, and how it is spoken to.

mod authorizations;
mod defaults;
mod probes;
mod routes;
mod servers;

use crate::world::World;
use ferrule_tests::scenario::Scenario;

const DEFAULT: &str = "all-unauthenticated";

pub(crate) fn all() -> Vec<Scenario<World>> {
    let all = [
        defaults::all(),
        probes::all(),
        servers::all(),
        authorizations::all(),
        routes::all(),
    ];
    all.into_iter().flatten().collect()
}
