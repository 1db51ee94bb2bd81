//! `Get`: a Service's endpoints, told as differences.
//!
//! [`candidates`] finds what a class of clients ([`key`]) is to know, the
//! [`writer`] compares it with what was published and encodes what differs, and
//! the [`view`] hands each stream what it lacks.

mod candidates;
mod feed;
mod key;
mod view;
mod wire;
mod writer;

pub(crate) use self::{
    candidates::Addr,
    feed::{EndpointsFeed, Rebind, Rebound},
    view::{EndpointsView, Tally},
    writer::{EndpointsWriter, is_local, refusal},
};
pub use self::{
    key::{EndpointsKey, EndpointsRequest},
    view::History,
};
