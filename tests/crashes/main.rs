//! Killed processes: what was acknowledged is there, everything else is complete or absent, and the file is sound.
//!
//! A child writes and reports each acknowledgement through a pipe; its parent kills it at a random moment, and a new
//! process reads the file. The short form runs with all tests; the long form, 300 kills and 20,000 creates, 100 kills
//! of backups:
//!
//! ```text
//! KPI_STORE_LONG=1 cargo test --release --test crashes -- --nocapture
//! ```

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod ledger;
#[path = "../support/mod.rs"]
mod support;

/// Killed during backups: a file under the name of a backup is complete, or there is none.
mod backups;
/// Killed during creates: no acknowledged create is lost and none is partial.
mod creates;
