//! The write-ahead log: when and how it is checkpointed, restarted and truncated.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::connection::{pragma, set_busy_timeout};
use super::deadline::Deadline;
use super::failure::Failure;
use super::file::companions;
use super::transaction;

/// The lengths of the header of a log and of the header of each frame (<https://sqlite.org/fileformat2.html#walformat>).
const HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// Checkpoints as much of the log as readers allow, without waiting.
pub(crate) fn checkpoint_passive(connection: &Connection) -> rusqlite::Result<()> {
    // If the first read of a connection failed, it has not mapped the log's index, and SQLite checkpoints nothing.
    connection.query_one("PRAGMA user_version", [], |_| Ok(()))?;
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Checkpoints all of the log of `file` and truncates it, both durably. Waits for other connections at most `timeout`;
/// returns false if one of them prevents it.
pub(crate) fn checkpoint_and_truncate(
    connection: &Connection,
    file: &Path,
    timeout: Duration,
) -> Result<bool, Failure> {
    let is_truncated = restart(connection, Restart::Truncated, timeout)?;
    if is_truncated {
        companions::sync_log(file)?;
    }
    Ok(is_truncated)
}

/// Checkpoints the log that an opening found beside `file` or has written, makes that durable, and truncates the log
/// unless another connection uses it. Does not wait. Returns false if the disk is full: then the file can be read, but
/// nothing can be written yet.
///
/// The frames of a crashed process may be in the page cache only, marked as clean if a sync failed: a later commit
/// appended after them would be lost with them. And the frames of an incomplete commit could be completed by a later
/// commit that overwrites them and is itself incomplete.
pub(super) fn checkpoint_at_opening(connection: &Connection, file: &Path) -> Result<bool, Failure> {
    // Where another connection prevents the truncation, SQLite checkpoints as much as it can without waiting.
    match restart(connection, Restart::Truncated, Duration::ZERO) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => return Ok(false),
        checkpointed => checkpointed?,
    };
    // IMPORTANT: SQLite does not sync the truncation. If a power cut undid it, frames of the old log would hide newer
    // pages of the file.
    if companions::wal_length(file)? == Some(0) {
        companions::sync_log(file)?;
    }
    Ok(true)
}

/// Removes what a commit has left behind the last complete one, durably, while other connections may read. `writer` takes
/// the write lock, and `other` tells how many frames belong to commits, which SQLite refuses inside a transaction.
pub(crate) fn cut_incomplete_commit(
    writer: &Connection,
    other: &Connection,
    file: &Path,
    deadline: &Deadline,
) -> Result<(), Failure> {
    transaction::begin(writer, deadline)?;
    let cut = length_of_commits(other).map_err(Failure::from).and_then(|length| {
        companions::truncate_log(file, length)?;
        Ok(())
    });
    transaction::roll_back(writer)?;
    cut
}

/// The length of the log up to its last commit, in bytes. The file may be longer: SQLite overwrites a log from its start
/// without shortening it.
pub(crate) fn length_of_commits(connection: &Connection) -> rusqlite::Result<u64> {
    let frames: i64 = connection.query_one("PRAGMA wal_checkpoint(NOOP)", [], |row| row.get(1))?;
    let page_size = pragma(connection, "page_size")?.cast_unsigned();
    Ok(match frames {
        ..=0 => 0,
        frames => HEADER + frames.cast_unsigned() * (FRAME_HEADER + page_size),
    })
}

/// The state of a log after it was checkpointed to its end.
#[derive(Clone, Copy)]
pub(crate) enum Restart {
    /// The next commit overwrites it from its start, which is faster than a log that grows.
    Overwritten,
    /// It has no bytes.
    Truncated,
}

/// Checkpoints all of the log, makes that durable and lets the log begin anew. Waits for other connections at most
/// `timeout`; returns false if one of them prevents it.
pub(crate) fn restart(connection: &Connection, restart: Restart, timeout: Duration) -> rusqlite::Result<bool> {
    set_busy_timeout(connection, timeout)?;
    let sql = match restart {
        Restart::Overwritten => "PRAGMA wal_checkpoint(RESTART)",
        Restart::Truncated => "PRAGMA wal_checkpoint(TRUNCATE)",
    };
    let is_busy = connection.query_one(sql, [], |row| row.get(0));
    set_busy_timeout(connection, Duration::ZERO)?;
    is_busy.map(|is_busy: bool| !is_busy)
}
