//! Manifests as people write them: files of YAML, of which a change leaves
//! everything else as it is, to the byte.
//!
//! ```text
//!  text ─> documents ─> value ── changed by a command ──> wanted value
//!             │                                               │
//!             │                 differences ──────────────────┤
//!             └─> outline ─> edits of the text ─> checked against it
//! ```

mod differences;
mod edit;
mod outline;
mod rewrite;
mod source;

pub(crate) use self::{
    outline::line_of,
    source::{Input, Output, Text, print, texts},
};
