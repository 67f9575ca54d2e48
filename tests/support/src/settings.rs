//! The variables of the environment that steer the tests.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;

/// Whether the long form of the harnesses was asked for: `KPI_STORE_LONG=1`.
pub fn is_long() -> bool {
    env::var_os("KPI_STORE_LONG").is_some_and(|value| value == "1")
}

/// The seed that this run is to repeat, or another one each time.
pub fn seed() -> u64 {
    given_seed().unwrap_or_else(|| RandomState::new().hash_one(0))
}

/// The seed that this run is to repeat: `KPI_STORE_TEST_SEED`.
///
/// # Panics
///
/// If it is not a number: a run with another seed would repeat nothing.
pub fn given_seed() -> Option<u64> {
    let given = env::var("KPI_STORE_TEST_SEED").ok()?;
    Some(given.parse().unwrap_or_else(|_| panic!("KPI_STORE_TEST_SEED is not a number: {given:?}")))
}

/// Parts of the names of the scenarios to run, separated by `|`, if only some are to be: `KPI_STORE_TEST_SCENARIO`.
pub fn given_scenario() -> Option<String> {
    env::var("KPI_STORE_TEST_SCENARIO").ok()
}

/// Says that a test cannot run on this machine, among the results of the tests.
///
/// # Panics
///
/// If `CI=true` and `could_run`: there a test that is skipped unnoticed is one that is missing.
pub fn skipped(reason: &str, could_run: bool) {
    let thread = std::thread::current();
    // Not by a macro, whose output the test harness would show only if the test failed.
    let _ = writeln!(std::io::stderr(), "skipped: {}: {reason}", thread.name().unwrap_or_default());
    let is_ci = env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!(is_ci && could_run), "skipped on a machine that could run it: {reason}");
}

/// Whether this process may mount file systems: root on Linux, with the capability `CAP_SYS_ADMIN`.
pub fn may_mount() -> bool {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    // Elsewhere than on Linux there is no such file.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let is_root = field("Uid:").is_some_and(|ids| ids.split_whitespace().nth(1) == Some("0"));
    let capabilities = field("CapEff:").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    is_root && capabilities.is_some_and(|held| held & CAP_SYS_ADMIN != 0)
}
