//! The machine that the figures were measured on.

use std::fs;

/// One sentence: the processor, the system and SQLite.
pub(crate) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "))?;
        Some(format!("{}, ", name.1))
    });
    // `6.18` of `6.18.44-generic`.
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let system: Vec<&str> = release.split(['.', '-']).take(2).collect();
    format!(
        "Measured on: {}{cores} cores, {} {}; SQLite {} unless a note below says otherwise.",
        processor.unwrap_or_default(),
        std::env::consts::OS,
        system.join(".").trim(),
        rusqlite::version()
    )
}
