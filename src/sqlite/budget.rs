//! A bound on reads of files without an end.
//!
//! A file can be made whose pages lead to each other in such a way that a few of them hold more rows than can ever be
//! read, and SQLite follows them. So everything that reads is bounded: by what a whole file of that length takes, or what a
//! schema takes. A read of rows in an order checks the order as it goes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use rusqlite::Connection;

use super::failure::{Failure, damaged};
use super::file::{companions, stat};
use crate::error::Error;

/// The bound is looked at after so many steps of SQLite's machine: some hundreds of times a second.
const STEPS: i32 = 20_000;

/// A verification takes about 3 steps for a byte where the rows are as short as they can be, and less elsewhere.
const STEPS_PER_BYTE: u64 = 16;

/// What any work may take, however short the file is. Reading a schema and its history takes some hundreds.
const STEPS_ALWAYS: u64 = 200_000;

/// The bound of a connection that only reads, for one snapshot after the other.
#[derive(Debug)]
pub(super) struct Budget {
    taken: Arc<AtomicU64>,
}

impl Budget {
    /// Bounds all that the connection does from now on by the length of its file.
    pub(super) fn install(connection: &mut Connection, file: PathBuf) -> Self {
        let taken = Arc::new(AtomicU64::new(0));
        let (counter, allowed) = (Arc::clone(&taken), steps_of_file(Some(file)));
        let is_over = move || {
            let taken = counter.fetch_add(u64::from(STEPS.unsigned_abs()), Relaxed);
            taken > STEPS_ALWAYS && taken > allowed()
        };
        // The oldest rusqlite of the range returns nothing here.
        let _ = connection.progress_handler(STEPS, Some(is_over));
        Self { taken }
    }

    /// Runs `work` on the connection, from the whole budget.
    pub(super) fn spend<T>(&self, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        self.taken.store(0, Relaxed);
        match work() {
            // Nothing else interrupts it.
            Err(Failure(Error::Cancelled)) => Err(endless()),
            worked => worked,
        }
    }
}

/// Whether some work is to end before it is done.
pub(super) enum Verdict {
    GoOn,
    Cancelled,
    Endless,
}

/// Runs `work`, which reads the schema and its history, whatever the length of the file.
pub(super) fn bounded_by_schema<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    run(connection, |taken| if taken > STEPS_ALWAYS { Verdict::Endless } else { Verdict::GoOn }, work)
}

/// Runs `work` as long as `verdict`, which is told from time to time how many steps it took, lets it go on.
pub(super) fn run<T>(
    connection: &mut Connection,
    mut verdict: impl FnMut(u64) -> Verdict + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let is_endless = Arc::new(AtomicBool::new(false));
    let found_endless = Arc::clone(&is_endless);
    let mut taken = 0;
    let interrupt = move || {
        taken += u64::from(STEPS.unsigned_abs());
        let verdict = verdict(taken);
        found_endless.store(matches!(verdict, Verdict::Endless), Relaxed);
        !matches!(verdict, Verdict::GoOn)
    };
    // The oldest rusqlite of the range returns nothing here.
    let _ = connection.progress_handler(STEPS, Some(interrupt));
    let worked = work(connection);
    let _ = connection.progress_handler(0, None::<fn() -> bool>);
    match worked {
        Err(Failure(Error::Cancelled)) if is_endless.load(Relaxed) => Err(endless()),
        worked => worked,
    }
}

fn endless() -> Failure {
    damaged("it has more rows than its length can hold").into()
}

/// What work on the file with its write-ahead log may take; without a file, in memory, there is no bound.
pub(super) fn steps_of_file(file: Option<PathBuf>) -> impl Fn() -> u64 + Send + 'static {
    move || {
        let Some(file) = file.as_deref() else { return u64::MAX };
        // A length that the disk does not tell bounds nothing; it is asked again.
        let (Ok(length), Ok(log)) = (stat::length(file), companions::wal_length(file)) else { return u64::MAX };
        (length + log.unwrap_or_default()).saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS_ALWAYS)
    }
}
