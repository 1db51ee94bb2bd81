//! The charts' values, read from their `values.yaml` with its comments.
//!
//! ```text
//!  values.yaml ──> Rows ──> values.schema.json   what Helm refuses
//!                    │ ───> README.md            what people read
//!                    └────> ignored.json         what the notes warn of
//! ```
//!
//! One file says a value's default, its meaning and what may stand there, so none of
//! the three can say something else. The words of the comments are listed in
//! [`Tag`](values::Tag).

#![forbid(unsafe_code)]

pub mod generated;
mod readme;
mod schema;
pub mod values;
