//! Counting, and what it came to.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Sub;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dhat::{HeapStats, Profiler};
use serde::Deserialize;
use tempfile::TempDir;

/// Frames that are looked at to find where an allocation is asked for.
const FRAMES: usize = 24;
/// Of these so many are named.
const NAMED: usize = 4;

/// The count that is under way; there can be one.
pub(super) struct Count {
    profiler: Profiler,
    folder: TempDir,
}

/// What was allocated.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    allocations: i64,
    bytes: i64,
    /// Allocations by where they were asked for.
    places: BTreeMap<String, i64>,
}

impl Count {
    /// From now on.
    pub(super) fn begin() -> Self {
        let folder = TempDir::new().expect("there is room for a file");
        let profiler = Profiler::builder()
            .file_name(file(&folder))
            .trim_backtraces(Some(FRAMES))
            .build();
        Self { profiler, folder }
    }

    /// Until now.
    pub(super) fn end(self) -> Counted {
        let stats = HeapStats::get();
        drop(self.profiler);
        let places = places(&file(&self.folder)).unwrap_or_default();
        Counted {
            allocations: stats.total_blocks as i64,
            bytes: stats.total_bytes as i64,
            places,
        }
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("heap.json")
}

/// What is read of a profile.
#[derive(Deserialize)]
struct Profile {
    pps: Vec<Place>,
    ftbl: Vec<String>,
}

#[derive(Deserialize)]
struct Place {
    tbk: i64,
    fs: Vec<usize>,
}

fn places(file: &Path) -> Result<BTreeMap<String, i64>> {
    let profile: Profile = serde_json::from_slice(&std::fs::read(file)?)
        .with_context(|| format!("{} is not a profile", file.display()))?;
    let mut places = BTreeMap::new();
    for place in &profile.pps {
        let frames = place.fs.iter().map(|&frame| function(&profile.ftbl[frame]));
        let frames = frames.filter(|function| !is_plumbing(function));
        let names: Vec<_> = frames.take(NAMED).collect();
        *places.entry(names.join(" < ")).or_default() += place.tbk;
    }
    Ok(places)
}

/// `0x1234: path::function (file:1:2)` without what is around the function.
fn function(frame: &str) -> &str {
    let function = frame
        .split_once(": ")
        .map_or(frame, |(_, function)| function);
    let function = function.split(" (").next().unwrap_or(function);
    match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => function,
    }
}

/// Whether a function allocates for another.
fn is_plumbing(function: &str) -> bool {
    const PREFIXES: [&str; 8] = [
        "alloc::", "<alloc::", "core::", "<core::", "std::", "__rust", "dhat", "<dhat",
    ];
    PREFIXES.iter().any(|prefix| function.starts_with(prefix))
}

impl Sub for Counted {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self.allocations -= other.allocations;
        self.bytes -= other.bytes;
        for (place, count) in other.places {
            *self.places.entry(place).or_default() -= count;
        }
        self
    }
}

/// All counts, as a table.
pub(super) struct Report {
    places: usize,
    lines: Vec<Line>,
}

struct Line {
    what: String,
    counted: Counted,
    times: usize,
}

impl Line {
    /// How many that is each time, to a tenth.
    fn each(&self, count: i64) -> f64 {
        let tenths = (count as f64 / self.times as f64 * 10.0).round();
        // Without the sign of a zero.
        tenths / 10.0 + 0.0
    }
}

impl Report {
    /// One that names so many places for each count.
    pub(super) fn new(places: usize) -> Self {
        Self {
            places,
            lines: Vec::new(),
        }
    }

    /// What happened `times` times.
    pub(super) fn add(&mut self, what: &str, counted: Counted, times: usize) {
        self.lines.push(Line {
            what: what.to_owned(),
            counted,
            times,
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.lines.iter().map(|line| line.what.len()).max();
        let width = width.unwrap_or(0);
        writeln!(f, "| {:width$} | allocations | bytes     |", "what")?;
        writeln!(f, "|{}|-------------|-----------|", "-".repeat(width + 2))?;
        for line in &self.lines {
            let Line { what, counted, .. } = line;
            let allocations = line.each(counted.allocations);
            let bytes = line.each(counted.bytes);
            writeln!(f, "| {what:width$} | {allocations:11.1} | {bytes:9.0} |")?;
        }
        if self.places == 0 {
            return Ok(());
        }
        for line in &self.lines {
            writeln!(f, "\n{}:", line.what)?;
            let mut places: Vec<_> = line.counted.places.iter().collect();
            places.sort_unstable_by_key(|(_, count)| -**count);
            for (place, count) in places.into_iter().take(self.places) {
                writeln!(f, "  {:8.1}  {place}", line.each(*count))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_named_by_their_function() {
        for (frame, name) in [
            ("0x55a1: a::b::c (src/b.rs:1:2)", "a::b::c"),
            ("0x55a1: a::b::h0123456789abcdef (???:0:0)", "a::b"),
            ("[root]", "[root]"),
        ] {
            assert_eq!(function(frame), name);
        }
    }
}
