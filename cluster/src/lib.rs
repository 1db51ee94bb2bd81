//! The cluster as the mesh sees it: sources -> index -> views.
//!
//! A [`source`] yields typed changes of trimmed [`object`]s. One task, the
//! [`index`], owns the [`world`] that they add up to and keeps the views of its
//! [`index::Projection`] up to date. A [`stream`] follows a view by a version
//! number and is told what changed since.
#![forbid(unsafe_code)]

pub mod describe;
pub mod grpc;
mod histogram;
pub mod index;
mod intern;
pub mod object;
mod origin;
pub mod source;
pub mod stream;
mod subscribers;
pub mod trace;
mod value;
mod views;
pub mod world;

pub use self::{
    histogram::{Distribution, Histogram},
    index::Index,
    intern::Interner,
    origin::Origin,
    subscribers::{Slot, Subscribers, Subscription},
    value::{ValueFeed, ValueView},
    views::{Answer, LINGER, ViewKey, ViewRegistry, Views},
    world::World,
};
