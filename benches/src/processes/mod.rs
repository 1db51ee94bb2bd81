//! The processes that are measured and those that measure.

mod ferrule;
mod generator;
mod perf;
mod program;
mod setup;
mod usage;

pub(crate) use ferrule::Ferrule;
pub(crate) use generator::Generator;
pub(crate) use program::Program;
pub(crate) use setup::{Setup, Source, Transport};
pub(crate) use usage::MIB;

/// Raises the limit of open files as far as it goes, then becomes `$@`.
const MANY_FILES: &str = r#"ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"
"#;
