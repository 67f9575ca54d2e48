//! Snapshots and transactions: begin, commit, rollback, checkpoint.
//!
//! The statements are prepared once and cached, since parsing them would cost more than running them.

use std::time::Duration;

use rusqlite::Connection;

use super::failure::{CommitFailure, Failure};
use super::table::row::Columns;
use crate::error::Error;

/// A consistent view of the file at one point in time. Every read needs one.
#[derive(Debug)]
pub(crate) struct Snapshot<'a>(pub(super) &'a Connection);

impl Snapshot<'_> {
    pub(super) fn connection(&self) -> &Connection {
        self.0
    }
}

/// Runs `work` on a snapshot.
///
/// The snapshot lasts while a statement has a current row. A statement that reads a number from the header of the file
/// costs half as much as BEGIN and COMMIT.
pub(crate) fn read<T>(
    connection: &Connection,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    read_up_to(i64::MAX, connection, work)
}

/// The same; fails if the schema version is above `supported`, since a later version of this crate may have upgraded
/// the file.
pub(super) fn read_up_to<T>(
    supported: i64,
    connection: &Connection,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut statement = connection.prepare_cached("PRAGMA user_version")?;
    let mut rows = statement.raw_query();
    let found = rows.next()?.map_or(Ok(0), |row| Columns(row).integer(0))?;
    if found > supported {
        return Err(Error::TooNew { found, supported }.into());
    }
    work(&Snapshot(connection))
}

/// Begins a write transaction, which takes the write lock.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "BEGIN IMMEDIATE")
}

/// Commits the open transaction of the connection.
pub(super) fn commit(connection: &Connection) -> Result<(), CommitFailure> {
    Ok(run(connection, "COMMIT")?)
}

/// Rolls back the open transaction of the connection, if there is one.
pub(super) fn roll_back(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() {
        return Ok(());
    }
    // After some errors SQLite itself rolls back; ROLLBACK then fails because there is no transaction.
    run(connection, "ROLLBACK").or_else(|error| if connection.is_autocommit() { Ok(()) } else { Err(error) })
}

/// Checkpoints the write-ahead log as far as readers allow, without waiting.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    // If the first read of a connection failed, it has not mapped the log's index, and SQLite checkpoints nothing.
    connection.query_one("PRAGMA user_version", [], |_| Ok(()))?;
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

/// Checkpoints a write-ahead log that was left by a crash, makes that durable, and truncates the log unless another
/// connection uses it. Does not wait.
///
/// The frames of a crashed process may be in the page cache only, marked as clean if a sync failed: a later commit
/// appended after them would be lost with them. And the frames of an incomplete commit could be completed by a later
/// commit that overwrites them and is itself incomplete.
pub(super) fn checkpoint_leftover_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    connection.busy_timeout(Duration::ZERO)?;
    checkpoint_and_truncate(connection)
}

/// Checkpoints all of the write-ahead log, makes that durable and truncates the log; fails with [`Busy`](Error::Busy)
/// if another connection prevents it.
pub(super) fn empty_log(connection: &Connection) -> Result<(), Failure> {
    let is_busy: bool = connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy { Err(Error::busy(Duration::ZERO).into()) } else { Ok(()) }
}

/// Checkpoints all of the write-ahead log, makes that durable and truncates the log, if no other connection prevents
/// it.
pub(super) fn checkpoint_and_truncate(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

pub(super) fn run(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
