//! What tests across crates need: the built binary as a process, and a client
//! that folds what it is told as a proxy does.
#![forbid(unsafe_code)]

mod ferrule;
mod proxy;

pub use self::{
    ferrule::Ferrule,
    proxy::{Endpoints, Proxy},
};
