use super::writer::Writer;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, time::Duration};

/// The async runtime, and on Linux the allocator.
#[derive(Debug)]
pub(super) struct Runtime;

impl Collector for Runtime {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        let runtime = tokio::runtime::Handle::current();
        let runtime = runtime.metrics();
        writer.gauge(
            "ferrule_runtime_tasks",
            "Tasks that are alive: a few, and two or so for each connection",
            runtime.num_alive_tasks(),
        )?;
        let workers = runtime.num_workers();
        writer.gauge("ferrule_runtime_workers", "Threads that run tasks", workers)?;
        let busy: Duration = (0..workers)
            .map(|worker| runtime.worker_total_busy_duration(worker))
            .sum();
        writer.counter(
            "ferrule_runtime_worker_busy_seconds",
            "Seconds that the threads that run tasks were busy; divide the rate by their number",
            busy.as_secs_f64(),
        )?;
        allocator(&mut writer)
    }
}

#[cfg(target_os = "linux")]
fn allocator(writer: &mut Writer<'_>) -> fmt::Result {
    use tikv_jemalloc_ctl::{epoch, stats};

    // The numbers are those of the last epoch.
    let _ = epoch::advance();
    writer.gauge(
        "ferrule_runtime_alloc_bytes",
        "Bytes in use by the program",
        stats::allocated::read().unwrap_or_default(),
    )?;
    writer.gauge(
        "ferrule_runtime_resident_bytes",
        "Bytes that the allocator holds of the system's memory",
        stats::resident::read().unwrap_or_default(),
    )
}

#[cfg(not(target_os = "linux"))]
fn allocator(_: &mut Writer<'_>) -> fmt::Result {
    Ok(())
}
