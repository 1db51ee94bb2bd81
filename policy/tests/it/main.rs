//! The policy APIs over an index that is driven by hand: objects in, messages
//! out, no network and no clock.

mod acceptable;
mod admission;
mod authorizations;
mod convergence;
mod history;
mod inbound;
mod inbound_routes;
mod judged;
mod objects;
mod outbound;
mod probes;
mod protocols;
mod reasons;
mod requests;
mod routes;
mod servers;
mod shapes;
mod status;
mod status_document;
mod status_history;
mod status_outbox;
mod support;
mod target;
mod told;
