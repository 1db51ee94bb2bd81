//! Statuses on a real API server: conflicts, subresources, versions, rights and
//! Leases are its own. What is said of which object is tested with the judgement
//! itself, in `policy/tests`.

mod account;
mod faults;
mod kinds;
mod objects;
mod pace;
mod replicas;
