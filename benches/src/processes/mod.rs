//! The processes that are measured and those that measure.

mod ferrule;
mod generator;
mod perf;
mod usage;

pub(crate) use ferrule::{Ferrule, Program};
pub(crate) use generator::Generator;
pub(crate) use usage::MIB;

/// Raises the limit of open files as far as it goes, then becomes `$@`.
const MANY_FILES: &str = r#"ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"
"#;
