use super::{identity::timestamp, writer::Writer};
use crate::process::Process;
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, sync::Arc};

/// What the system says of the process, under the names that every Prometheus
/// client uses.
#[derive(Debug)]
pub(super) struct System(pub(super) Arc<Process>);

impl Collector for System {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        writer.gauge(
            "process_start_time_seconds",
            "When the process began, in seconds since 1970",
            timestamp(self.0.started_at),
        )?;
        of_proc(&mut writer)
    }
}

#[cfg(target_os = "linux")]
fn of_proc(writer: &mut Writer<'_>) -> fmt::Result {
    use rustix::process::{Resource, getrlimit};

    // What cannot be read is left out; one of these numbers is no reason to fail.
    if let Some(usage) = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .as_deref()
        .and_then(Usage::parse)
    {
        writer.counter(
            "process_cpu_seconds",
            "Seconds of processor time",
            usage.cpu_seconds,
        )?;
        writer.gauge(
            "process_resident_memory_bytes",
            "Resident memory",
            usage.resident,
        )?;
        writer.gauge(
            "process_virtual_memory_bytes",
            "Virtual memory",
            usage.virtual_memory,
        )?;
        writer.gauge("process_threads", "Threads", usage.threads)?;
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        // One of them is the directory itself.
        writer.gauge(
            "process_open_fds",
            "Open files; each connection is one",
            files.count().saturating_sub(1),
        )?;
    }
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        writer.gauge(
            "process_max_fds",
            "How many files may be open; the soft limit is raised to the hard one at start",
            limit,
        )?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn of_proc(_: &mut Writer<'_>) -> fmt::Result {
    Ok(())
}

/// What `/proc/PID/stat` says, in seconds and bytes.
#[cfg(target_os = "linux")]
#[derive(Debug, PartialEq)]
struct Usage {
    cpu_seconds: f64,
    threads: u64,
    virtual_memory: u64,
    resident: u64,
}

#[cfg(target_os = "linux")]
impl Usage {
    fn parse(stat: &str) -> Option<Self> {
        // The second field is the name in parentheses and may hold anything; the
        // third is the first behind it.
        let fields: Vec<_> = stat[stat.rfind(')')? + 1..]
            .split_ascii_whitespace()
            .collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let (user, system) = (field(14)?, field(15)?);
        Some(Self {
            cpu_seconds: (user + system) as f64 / rustix::param::clock_ticks_per_second() as f64,
            threads: field(20)?,
            virtual_memory: field(23)?,
            resident: field(24)? * rustix::param::page_size() as u64,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_process_does_not_confuse() {
        let stat =
            "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 9 0 1000 4096000 25 1844";
        let usage = Usage::parse(stat).unwrap();
        assert_eq!(
            usage.cpu_seconds,
            200.0 / rustix::param::clock_ticks_per_second() as f64
        );
        assert_eq!(usage.threads, 9);
        assert_eq!(usage.virtual_memory, 4_096_000);
        assert_eq!(usage.resident, 25 * rustix::param::page_size() as u64);
    }
}
