//! The destination API over an index that is driven by hand: objects in,
//! messages out, no network and no clock.

mod addresses;
mod convergence;
mod endpoints;
mod external_workloads;
mod filtering;
mod history;
mod hostnames;
mod metadata;
mod multicluster;
mod objects;
mod profiles;
mod requests;
mod servers;
mod service_profiles;
mod shapes;
mod streams;
mod support;
