//! Transactions: what runs inside one, begin, commit, roll back.
//!
//! The statements are prepared once and kept, since parsing them would cost more than running them.

use std::time::Duration;

use rusqlite::Connection;

use super::failure::{CommitFailure, Failure};
use super::table::row::Columns;
use crate::error::Error;

/// A view of the file as of one moment, for everything that reads.
#[derive(Debug)]
pub(crate) struct Snapshot<'a>(pub(super) &'a Connection);

impl Snapshot<'_> {
    pub(super) fn connection(&self) -> &Connection {
        self.0
    }
}

/// Runs `work` on a snapshot.
///
/// The snapshot lasts as long as a statement stands on a row. One that gives a number from the header of the file costs half
/// of what BEGIN and COMMIT do.
pub(crate) fn read<T>(
    connection: &Connection,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    read_up_to(i64::MAX, connection, work)
}

/// The same, of a file whose schema version is at most `supported`: a later version of this crate may have upgraded it.
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

/// Begins a transaction that writes, with the write lock.
pub(super) fn begin(connection: &Connection) -> rusqlite::Result<()> {
    run(connection, "BEGIN IMMEDIATE")
}

/// Commits the transaction that is open on the connection.
pub(super) fn commit(connection: &Connection) -> Result<(), CommitFailure> {
    Ok(run(connection, "COMMIT")?)
}

/// Ends a transaction that must not hold, if there is one.
pub(super) fn end(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() {
        return Ok(());
    }
    // SQLite rolls back by itself after some errors; ROLLBACK then fails, for there is nothing to roll back.
    run(connection, "ROLLBACK").or_else(|error| if connection.is_autocommit() { Ok(()) } else { Err(error) })
}

/// Copies the write-ahead log into the file as far as readers let it, waiting for nobody.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
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
pub(super) fn checkpoint_leftover_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    connection.busy_timeout(Duration::ZERO)?;
    checkpoint_and_truncate(connection)
}

/// Copies all of the write-ahead log into the file, makes that durable and cuts the log to nothing; busy if another
/// connection prevents it.
pub(super) fn empty_log(connection: &Connection) -> Result<(), Failure> {
    let is_busy: bool = connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if is_busy { Err(Error::busy(Duration::ZERO).into()) } else { Ok(()) }
}

/// Copies all of the write-ahead log into the file, makes that durable and cuts the log to nothing, if no other connection
/// prevents it.
pub(super) fn checkpoint_and_truncate(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_one("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

pub(super) fn run(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
