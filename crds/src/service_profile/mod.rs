//! `ServiceProfile`, in two versions that differ in one thing: `v1alpha1` requires `routes`.
//!
//! The definitions do not require `spec`, since those in use do not; these types do.

mod route;
pub mod v1alpha1;
pub mod v1alpha2;

pub use route::{
    RequestMatch, ResponseClass, ResponseMatch, RetryBudget, Route, StatusRange, WeightedDst,
};
