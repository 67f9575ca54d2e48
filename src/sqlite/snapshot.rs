//! Snapshots: what every read runs on.

use rusqlite::Connection;

use super::failure::Failure;
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
    read_supported(i64::MAX, connection, work)
}

/// Runs `work` on a snapshot of a file whose schema version is at most `supported`. Fails with [`TooNew`](Error::TooNew)
/// if a later version of this crate has upgraded the file.
pub(super) fn read_supported<T>(
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
