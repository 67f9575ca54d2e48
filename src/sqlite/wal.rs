//! The write-ahead log: when and how it is checkpointed and truncated.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use super::connection;
use super::failure::Failure;
use super::file::companions;
use crate::error::Error;

/// A longer write-ahead log is truncated after a load. In bytes: four times the length at which SQLite checkpoints
/// by itself.
const LENGTH_MAX: u64 = 16 * 1024 * 1024;

/// Checkpoints as much of the log as readers allow, without waiting.
pub(crate) fn checkpoint_passive(connection: &Connection) -> rusqlite::Result<()> {
    // If the first read of a connection failed, it has not mapped the log's index, and SQLite checkpoints nothing.
    connection.query_one("PRAGMA user_version", [], |_| Ok(()))?;
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Checkpoints all of the log of `file` and truncates it, both durably; fails with [`Busy`](Error::Busy) if another
/// connection prevents it.
pub(crate) fn checkpoint_and_truncate(connection: &Connection, file: &Path) -> Result<(), Failure> {
    if try_truncate(connection)? { Ok(companions::sync_log(file)?) } else { Err(Error::busy(Duration::ZERO).into()) }
}

/// Checkpoints the log that a crash left beside `file`, makes that durable, and truncates the log unless another
/// connection uses it. Does not wait. Returns false if the disk is full: then the file can be read, but nothing can be
/// written yet.
///
/// The frames of a crashed process may be in the page cache only, marked as clean if a sync failed: a later commit
/// appended after them would be lost with them. And the frames of an incomplete commit could be completed by a later
/// commit that overwrites them and is itself incomplete.
pub(super) fn checkpoint_leftover(connection: &Connection, file: &Path) -> Result<bool, Failure> {
    let checkpointed = connection
        .query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        .and_then(|()| connection.busy_timeout(Duration::ZERO))
        .and_then(|()| try_truncate(connection));
    match checkpointed {
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

/// Truncates the log of `file` if a large transaction has made it long and no reader uses it. SQLite itself would
/// overwrite the log, but shorten it only when the last connection is closed.
///
/// Best effort: a failure does not affect the transactions that were committed before.
pub(crate) fn truncate_if_long(connection: &Connection, file: &Path) {
    if companions::wal_length(file).is_ok_and(|length| length > Some(LENGTH_MAX)) {
        let _ = connection::set_busy_timeout(connection, Duration::ZERO).and_then(|()| try_truncate(connection));
    }
}

/// Checkpoints all of the log, makes that durable and truncates the log. Returns false if another connection prevents it.
fn try_truncate(connection: &Connection) -> rusqlite::Result<bool> {
    let is_busy: bool = connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(!is_busy)
}
