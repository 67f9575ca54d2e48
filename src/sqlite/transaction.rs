//! Begin, commit, roll back: prepared once and kept, since parsing them would cost more than running them.

use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, Failure};

/// Takes the write lock at once, so that waiting for it happens here and nowhere later.
pub(crate) fn begin_write(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "BEGIN IMMEDIATE")
}

pub(super) fn begin_read(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "BEGIN DEFERRED")
}

pub(crate) fn commit(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "COMMIT")
}

/// Whether a commit failed in a way that says that nothing was committed.
///
/// A full disk refuses a write to the log, before anything is synced, and a transaction holds only once the last page of
/// it is there whole: what is there of it has no valid checksum.
pub(crate) fn is_without_effect(failed_commit: &rusqlite::Error) -> bool {
    matches!(failed_commit.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull))
}

/// Ends a transaction that must not hold, if there is one.
pub(crate) fn end(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() {
        return Ok(());
    }
    // SQLite rolls back by itself after some errors; ROLLBACK then fails, for there is nothing to roll back.
    run(connection, "ROLLBACK").or_else(|error| if connection.is_autocommit() { Ok(()) } else { Err(error) })
}

/// Begins a part of a transaction that can be undone by itself.
pub(crate) fn savepoint(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "SAVEPOINT part")
}

/// Ends the part; it holds if the transaction does.
pub(crate) fn release(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "RELEASE part")
}

/// Undoes the part and ends it.
pub(crate) fn roll_back_to_savepoint(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "ROLLBACK TO part")?;
    release(connection)
}

/// Copies the write-ahead log into the file as far as readers let it, waiting for nobody.
pub(crate) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    // A connection whose first look at the log failed has not mapped the log's index; without it SQLite copies nothing.
    connection.query_one("PRAGMA user_version", [], |_| Ok(()))?;
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Copies what others left in the write-ahead log into the file, makes that durable, and cuts the log to nothing unless
/// another connection uses it. Waits for nobody.
///
/// What a process that crashed has written may be in the system's memory and not on the disk, marked as written if a
/// sync failed: a later commit behind it would be lost with it. And of a commit that was cut off a part may be there,
/// which a later one in its place, cut off too, could complete.
pub(super) fn settle_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    connection.busy_timeout(Duration::ZERO)?;
    checkpoint_and_truncate(connection)
}

/// Copies all of the write-ahead log into the file, makes that durable and cuts the log to nothing; busy if another
/// connection prevents it.
pub(super) fn empty_log(connection: &Connection) -> Result<(), Failure> {
    let is_busy: bool = connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy { Err(Error::Busy { waited: Duration::ZERO, source: None }.into()) } else { Ok(()) }
}

/// Copies all of the write-ahead log into the file, makes that durable and cuts the log to nothing, if no other connection
/// prevents it.
pub(super) fn checkpoint_and_truncate(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn run(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
