//! What the figures were measured on.

use std::fs;

/// One sentence: the processor, the system and SQLite.
pub(crate) fn description() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "))?;
        Some(format!("{}, ", name.1))
    });
    let system = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    format!(
        "Measured on: {}{cores} cores, {} {}; SQLite {} unless a note below says otherwise.",
        processor.unwrap_or_default(),
        std::env::consts::OS,
        system.unwrap_or_default().trim(),
        rusqlite::version()
    )
}
