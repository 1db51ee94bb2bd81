//! The destination API over an index that is driven by hand: objects in,
//! messages out, no network and no clock.

mod convergence;
mod endpoints;
mod filtering;

mod history;
mod metadata;
mod profiles;
mod requests;
mod support;
