//! Killed processes: what was acknowledged is there, what was not is there whole or not at all, and the file is sound.
//!
//! A child writes and says through a pipe what was acknowledged; its parent kills it at a random moment, and a new
//! process reads the file. The short form runs with all tests; the long form, 300 kills and 20,000 creates, 100 kills of
//! backups:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test crashes -- --nocapture
//! ```

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod child;
mod ledger;

/// Killed while they copy: a file of that name is whole or not there.
mod backups;
/// Killed while they create: nothing acknowledged is lost, nothing is there in part.
mod creates;
