//! `Link`, in three versions.
//!
//! | version | what it adds to the one before |
//! |---|---|
//! | `v1alpha1` | another cluster, and which of its Services are mirrored |
//! | `v1alpha2` | federated Services, and a status |
//! | `v1alpha3` | labels and annotations that are not copied |
//!
//! The definitions do not require `spec`, since those in use do not; these types do.

mod probe;
mod status;
pub mod v1alpha1;
pub mod v1alpha2;
pub mod v1alpha3;

pub use probe::{ProbeSpec, ProbeSpecV1alpha1};
pub use status::{LinkCondition, LinkStatus, ObjectRef, ServiceStatus};
