//! The charts, and their values, read from their `values.yaml` with its comments.
//!
//! ```text
//!  values.yaml ──> Rows ──> values.schema.json   what Helm refuses
//!                    │ ───> README.md            what people read
//!                    ├────> ignored.json         what the notes tell of
//!                    └────> deprecated.json      what they warn of
//! ```
//!
//! Likewise what alerts say (`runbook.yaml`) is in their rules and in `docs/alerts.md`.
//!
//! One file says a value's default, its meaning and what may stand there, so none of
//! these can say something else. The words of the comments are listed in
//! [`Tag`](values::Tag). The charts' files are [`embedded`], so that a binary can bring
//! them along.

#![forbid(unsafe_code)]

mod alerts;
pub mod embedded;
pub mod generated;
mod readme;
mod schema;
pub mod values;
