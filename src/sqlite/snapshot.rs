//! Snapshots: what every read runs on.

use rusqlite::Connection;

use super::failure::Failure;
use super::table::row::Columns;
use crate::error::Error;

/// A consistent view of the file at one point in time. Every read needs one.
#[derive(Debug)]
pub(crate) struct Snapshot<'a> {
    connection: &'a Connection,
    /// Whether what SQLite calls malformed is known to be damage, and not a read that failed.
    damage_is_known: bool,
}

impl<'a> Snapshot<'a> {
    pub(super) fn new(connection: &'a Connection, damage_is_known: bool) -> Self {
        Self { connection, damage_is_known }
    }

    pub(super) fn connection(&self) -> &Connection {
        self.connection
    }

    #[cfg(test)]
    pub(crate) fn plain(&self) -> &Connection {
        self.connection
    }

    /// Whether the failure is damage for certain, so that a read can continue beside it.
    pub(super) fn is_damage(&self, failure: &Failure) -> bool {
        failure.is_damage() && (self.damage_is_known || !failure.may_be_failed_read())
    }
}

/// Runs `work` on a snapshot.
///
/// The snapshot lasts while a statement has a current row. A statement that reads a number from the header of the file
/// costs half as much as BEGIN and COMMIT.
///
/// `damage_is_known` tells whether what SQLite calls malformed is known to be damage; see [`super::diagnosis`].
pub(crate) fn read<T>(
    connection: &Connection,
    damage_is_known: bool,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    read_supported(i64::MAX, connection, damage_is_known, work)
}

/// Runs `work` on a snapshot of a file whose schema version is at most `supported`. Fails with [`TooNew`](Error::TooNew)
/// if a later version of this crate has upgraded the file.
pub(super) fn read_supported<T>(
    supported: i64,
    connection: &Connection,
    damage_is_known: bool,
    work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut statement = connection.prepare_cached("PRAGMA user_version")?;
    let mut rows = statement.raw_query();
    let found = rows.next()?.map_or(Ok(0), |row| Columns(row).integer(0))?;
    if found > supported {
        return Err(Error::TooNew { found, supported }.into());
    }
    work(&Snapshot::new(connection, damage_is_known))
}
