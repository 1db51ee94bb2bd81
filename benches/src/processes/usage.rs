//! What the kernel says a process has used.

use std::fs;

use anyhow::{Context as _, Result};

pub(crate) const MIB: f64 = (1 << 20) as f64;

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) now: u64,
    /// The most that was resident since the last [`reset_peak`].
    pub(crate) peak: u64,
    /// What of `now` is no file: the program's pages are shared and can be dropped.
    pub(crate) anonymous: u64,
}

impl Memory {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let text = read(pid, "status")?;
        parse_memory(&text).with_context(|| format!("no memory in the status of process {pid}"))
    }
}

fn parse_memory(status: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find(|line| line.starts_with(name))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib << 10)
    };
    Some(Memory {
        now: field("VmRSS:")?,
        peak: field("VmHWM:")?,
        anonymous: field("RssAnon:")?,
    })
}

/// Lets the peak begin again at what is resident now.
pub(crate) fn reset_peak(pid: u32) -> Result<()> {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("cannot reset the peak memory")
}

/// Seconds of CPU, of all threads there are and were, to 10 ms.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = read(pid, "stat")?;
    let ticks = parse_ticks(&text).with_context(|| format!("no times in {text:?}"))?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn parse_ticks(stat: &str) -> Option<u64> {
    // The second field is the program's name, in which anything may be.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    Some(user + system)
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194304 1 2 3 4 150 25 0 0 20 0 3 0";
        assert_eq!(parse_ticks(stat), Some(175));
        assert_eq!(parse_ticks("12 (a"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\n";
        let expected = Memory {
            now: 1 << 20,
            peak: 2 << 20,
            anonymous: 512 << 10,
        };
        assert_eq!(parse_memory(status), Some(expected));
        assert_eq!(parse_memory("VmRSS: 1 kB"), None);
    }
}
