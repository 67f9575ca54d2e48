//! Failing disks and power cuts, through the public calls and the real SQLite.
//!
//! - [`disk`]: the simulated disk fails on demand and records its operations.
//! - [`scenarios`] and [`change_scenarios`]: the sequences of calls that are run on such a disk, in a [`session`] that
//!   notes each answer and its time. [`changes`], [`change_groups`] and [`damage`] are its calls on stored datasets.
//! - [`world`]: what a store must hold after these calls, with every history; [`look`]: what it holds; [`judge`]: whether
//!   they agree; [`follow`]: whether the changes since cursors that were kept are told.
//! - [`run`]: the record of a scenario; [`images`]: what a power cut can leave of it; [`check`]: whether that is as
//!   promised; [`tally`]: how often it is not.
//! - [`power_cuts`]: the power is cut at every operation, and again in what a cut has left ([`second`]).
//!   [`failed_commits`]: operations fail, then the power is cut.
//! - [`io_errors`]: every operation fails, also in the scenarios of [`io_scenarios`].
//! - [`unreadable`]: every page in turn cannot be read.
//! - [`controls`] and [`change_controls`]: losses are detected.
//!
//! It is compiled into the crate, since it opens files with other lists of migrations than the released one.
//!
//! A failure names its seed, and `KPI_STORE_TEST_SEED` repeats it. The long form, which prints what it counted:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --lib faults -- --nocapture
//! ```
//!
//! `KPI_STORE_TEST_SCENARIO` restricts power cuts and failing operations to the scenarios whose names contain one of its
//! parts, which `|` separates.

mod change_controls;
mod change_groups;
mod change_scenarios;
mod changes;
mod check;
mod controls;
mod damage;
mod disk;
mod failed_commits;
mod follow;
mod images;
mod io_errors;
mod io_scenarios;
mod judge;
mod look;
mod power_cuts;
mod run;
mod scenarios;
mod second;
mod session;
mod tally;
mod unreadable;
mod world;

use kpi_store_test_support::is_long;

/// The seed of all random numbers.
fn seed() -> u64 {
    kpi_store_test_support::given_seed().unwrap_or(0x00F4_0175)
}
