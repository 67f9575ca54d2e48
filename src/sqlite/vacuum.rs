//! Writing the database anew, so that nothing is left of what was deleted from it.
//!
//! With `secure_delete` SQLite overwrites what it deletes, but a copy stays where a page was split or a row moved
//! before. VACUUM copies the rows to a database of its own, and that one over the file, in one transaction: every page
//! is written, and free pages are given back. Readers go on meanwhile, with the pages in the file; the new ones are in
//! the log, until a checkpoint.
//!
//! The copy is in memory, because `temp_store` is. A temporary file instead would leave all rows in free blocks of
//! another folder, perhaps of another disk, which this crate could not overwrite. VACUUM INTO a file beside the
//! database, and copying that one back, would take as much space on the disk a third time, and could not hold the write
//! lock in between.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use rusqlite::Connection;

use super::deadline::Deadline;
use super::failure::Failure;
use super::progress::Callback;
use super::{backup, connection, integrity, progress};
use crate::error::Error;
use crate::model::progress::Progress;

/// About how many bytes of the database are checked and copied from one call of the callback to the next. Only for the
/// progress: SQLite does not tell how large the copy is.
const BYTES_CHECKED: u64 = 40 * 1024;
const BYTES_COPIED: u64 = 400 * 1024;

/// Checks what must hold before the database is written anew. `callback` can cancel it. Returns the length of the
/// database in bytes.
pub(crate) fn check(connection: &mut Connection, file: Option<&Path>, callback: Callback) -> Result<u64, Failure> {
    let mut callback = callback;
    let total = backup::size(connection)?;
    // Of a small database this is the only call before the end.
    if callback(Progress::new(0, total)).is_break() {
        return Err(Error::Cancelled.into());
    }
    let done = counted(BYTES_CHECKED, 0, total / 2);
    progress::interruptible(connection, file, callback, total, || u64::MAX, done, integrity::check_pages)?;
    Ok(total)
}

/// Writes the database anew. Waits for the write lock until the deadline. If it fails, the database is as it was.
pub(crate) fn run(
    connection: &mut Connection,
    file: Option<&Path>,
    total: u64,
    deadline: &Deadline,
    callback: &impl Fn() -> Callback,
) -> Result<(), Failure> {
    loop {
        let attempt = Instant::now();
        // Only at the end all of it is done.
        let done = counted(BYTES_COPIED, total / 2, total.saturating_sub(1));
        let vacuumed = progress::interruptible(
            connection,
            file,
            callback(),
            total,
            || u64::MAX,
            done,
            |connection| connection::with_attach(connection, || Ok(connection.execute("VACUUM", []).map(drop)?)),
        );
        match vacuumed {
            Err(Failure(Error::Busy { .. })) if deadline.pause(attempt) => {}
            vacuumed => return vacuumed,
        }
    }
}

/// A number that grows from `start` to `end`, by `step` with each call.
fn counted(step: u64, start: u64, end: u64) -> impl Fn() -> u64 {
    let next = AtomicU64::new(start);
    move || next.fetch_add(step, Relaxed).saturating_add(step).min(end)
}
