//! `HTTPRoute` of `policy.linkerd.io`, in four versions.
//!
//! | version | what it adds to the one before |
//! |---|---|
//! | `v1alpha1`, `v1beta1` | parents, matches, filters, and backends by name, port and namespace |
//! | `v1beta2` | backends of any kind, with weights |
//! | `v1beta3` | timeouts |
//!
//! `v1beta3` is what is stored.

mod filter;
mod matches;
mod parent;
mod status;
pub mod v1beta1;
pub mod v1beta2;
pub mod v1beta3;

pub use filter::{
    BackendFilter, BackendFilterType, Header, HeaderModifier, PathModifier, PathModifierType,
    Redirect, RuleFilter, RuleFilterType, Scheme,
};
pub use matches::{
    HeaderMatch, Method, PathMatch, PathMatchType, QueryMatch, RouteMatch, ValueMatchType,
};
pub use parent::ParentRef;
pub use status::{RouteCondition, RouteParentStatus, RouteStatus};
