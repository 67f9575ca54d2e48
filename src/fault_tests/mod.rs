//! What a disk does to a store: failures and power cuts, through the public calls and the real SQLite.
//!
//! - [`disk`]: the disk of these tests fails where it is told to, and remembers what was done.
//! - [`scenarios`]: the one list of what is done to a store, played on such a disk in a [`scene`], which notes what was
//!   acknowledged and when.
//! - [`run`]: what was recorded; [`images`]: what a power cut can leave of it; [`check`]: whether that was promised.
//! - [`power_cuts`]: the power is cut at every operation. [`failed_commits`]: operations fail, then the power is cut.
//! - [`io_errors`]: every operation fails, also in what [`io_scenarios`] add.
//! - [`controls`]: what must be seen as a loss is.
//!
//! A failure names its seed, and `KPI_STORE_TEST_SEED` repeats it. The long form, and what it counted:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --lib fault_tests -- --nocapture
//! ```

mod check;
mod controls;
mod disk;
mod failed_commits;
mod images;
mod io_errors;
mod io_scenarios;
mod power_cuts;
mod random;
mod run;
mod scenarios;
mod scene;

/// Whether the long form is asked for.
fn is_long() -> bool {
    std::env::var_os("KPI_STORE_LONG").is_some()
}

/// The seed of all that looks random.
fn seed() -> u64 {
    std::env::var("KPI_STORE_TEST_SEED").map_or(0x00F4_0175, |seed| seed.parse().unwrap())
}
