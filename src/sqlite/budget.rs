//! A bound on the work of reading a malformed file.
//!
//! The pages of a malformed file can refer to each other so that a few pages yield practically endless rows, and SQLite
//! follows the references. So the number of steps of every read is bounded: by what an intact file of the same length
//! needs, or by what a schema needs. A read of ordered rows also checks their order.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rusqlite::Connection;

use super::failure::{Failure, damaged};
use super::file::{companions, stat};
use crate::error::Error;

/// The bound is checked after this many steps of SQLite's virtual machine: some hundreds of times per second.
const STEPS_PER_CHECK: i32 = 20_000;

/// A verification takes about 3 steps per byte if all rows have the minimum length, and fewer otherwise.
const STEPS_PER_BYTE: u64 = 16;

/// The steps that are allowed for any file, however short. Reading a schema and its history takes some hundreds.
const STEPS_MIN: u64 = 200_000;

/// The bound of a connection that only reads, reset for every snapshot.
#[derive(Debug)]
pub(super) struct Budget {
    steps: Arc<AtomicU64>,
}

impl Budget {
    /// Bounds everything that the connection does from now on by the length of its file.
    pub(super) fn install(connection: &mut Connection, file: Option<PathBuf>) -> Self {
        let steps = Arc::new(AtomicU64::new(0));
        let (counter, allowed) = (Arc::clone(&steps), steps_of_file(file));
        let is_exceeded = move || {
            let steps = counter.fetch_add(u64::from(STEPS_PER_CHECK.unsigned_abs()), Relaxed);
            steps > STEPS_MIN && steps > allowed()
        };
        // The oldest supported rusqlite returns nothing here.
        let _ = connection.progress_handler(STEPS_PER_CHECK, Some(is_exceeded));
        Self { steps }
    }

    /// Runs `work` on the connection with a full budget.
    pub(super) fn spend<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        self.steps.store(0, Relaxed);
        match work() {
            // Nothing else interrupts this connection.
            Err(Failure(Error::Cancelled)) => Err(exceeded()),
            worked => worked,
        }
    }
}

/// Whether to interrupt a statement.
pub(super) enum Verdict {
    Continue,
    Cancelled,
    BudgetExceeded,
}

/// Runs `work`, which reads the schema and its history, with a bound that does not depend on the length of the file.
pub(super) fn bounded_by_schema<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    run(connection, |steps| if steps > STEPS_MIN { Verdict::BudgetExceeded } else { Verdict::Continue }, work)
}

/// Runs `work`, and calls `verdict` regularly with the number of steps so far.
pub(super) fn run<T>(
    connection: &mut Connection,
    mut verdict: impl FnMut(u64) -> Verdict + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let is_exceeded = Arc::new(AtomicBool::new(false));
    let set_exceeded = Arc::clone(&is_exceeded);
    let mut steps = 0;
    let interrupt = move || {
        steps += u64::from(STEPS_PER_CHECK.unsigned_abs());
        let verdict = verdict(steps);
        set_exceeded.store(matches!(verdict, Verdict::BudgetExceeded), Relaxed);
        !matches!(verdict, Verdict::Continue)
    };
    // The oldest supported rusqlite returns nothing here.
    let _ = connection.progress_handler(STEPS_PER_CHECK, Some(interrupt));
    let worked = work(connection);
    let _ = connection.progress_handler(0, None::<fn() -> bool>);
    match worked {
        Err(Failure(Error::Cancelled)) if is_exceeded.load(Relaxed) => Err(exceeded()),
        worked => worked,
    }
}

/// Runs `work`. `None` if it fails, or takes more steps than [`STEPS_PER_CHECK`]: some milliseconds.
pub(super) fn briefly<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Option<T> {
    let is_too_long = Arc::new(AtomicBool::new(false));
    let set_too_long = Arc::clone(&is_too_long);
    let interrupt = move |_| {
        set_too_long.store(true, Relaxed);
        Verdict::Cancelled
    };
    let worked = run(connection, interrupt, work);
    // Interrupted work may still have returned a value, which is incomplete.
    worked.ok().filter(|_| !is_too_long.load(Relaxed))
}

fn exceeded() -> Failure {
    damaged("it yields more rows than a file of its length can store").into()
}

/// The steps that are allowed on the file with its write-ahead log; in memory, without a file, there is no bound.
pub(super) fn steps_of_file(file: Option<PathBuf>) -> impl Fn() -> u64 + Send + 'static {
    move || {
        let Some(file) = file.as_deref() else { return u64::MAX };
        // If the length cannot be read now, there is no bound until the next check.
        let Ok(length) = length_with_log(file) else { return u64::MAX };
        length.saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS_MIN)
    }
}

/// The present length of the file with its write-ahead log in bytes.
pub(super) fn length_with_log(file: &Path) -> Result<u64, Error> {
    Ok(stat::length(file)?.saturating_add(companions::wal_length(file)?.unwrap_or_default()))
}
