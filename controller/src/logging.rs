//! What is logged, and how it looks.

use crate::flags::{LogFilter, LogFlags, LogFormat};
use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal},
    panic::PanicHookInfo,
};
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload};

/// Changes what is logged while the process runs.
#[derive(Clone, Debug)]
pub(crate) struct LogLevel(reload::Handle<EnvFilter, Registry>);

/// Logs to standard error from now on.
pub(crate) fn start(flags: &LogFlags) -> anyhow::Result<LogLevel> {
    let (filter, handle) = reload::Layer::new(flags.log_level.to_filter());
    let registry = Registry::default().with(filter);
    match flags.log_format {
        LogFormat::Plain => {
            let lines = fmt::layer()
                .with_writer(io::stderr)
                .with_ansi(is_coloured())
                .with_target(false);
            tracing::subscriber::set_global_default(registry.with(lines))?;
        }
        LogFormat::Json => {
            // Fields on one level with the message (operations.md 9.5).
            let objects = fmt::layer()
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .with_writer(io::stderr);
            tracing::subscriber::set_global_default(registry.with(objects))?;
        }
    }
    std::panic::set_hook(Box::new(log_panic));
    Ok(LogLevel(handle))
}

/// A panic is a line of the log like every other, so that collectors see it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("of an unknown kind");
    let location = panic.location().map(ToString::to_string);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
    tracing::error!(
        location,
        backtrace = backtrace.map(tracing::field::display),
        "panic: {message}"
    );
}

impl LogLevel {
    /// Logs by this filter from now on.
    pub(crate) fn set(&self, filter: &LogFilter) -> anyhow::Result<()> {
        Ok(self.0.reload(filter.to_filter())?)
    }
}

/// Colours are for people at a terminal who did not say otherwise.
fn is_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
