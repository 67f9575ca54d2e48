//! Removing the rows of datasets that need not be intact.
//!
//! A damaged key can make rows stand out of order in their B-tree. A scan meets them, a search by their key does not,
//! and the two are mixed where foreign keys are enforced: SQLite counts the children of a dataset in a range of the
//! B-tree, collects their keys, and searches for each of them to delete it. If it does not find one, the foreign key
//! fails. Without foreign keys and subqueries it deletes each row where the scan meets it. So what cannot be deleted by
//! its foreign keys is deleted without them, the children of a dataset explicitly.

use rusqlite::config::DbConfig;
use rusqlite::ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CORRUPT_INDEX};
use rusqlite::{Connection, ErrorCode, Params};

use crate::sqlite::failure::Failure;

const DELETE: &str = "DELETE FROM dataset WHERE seq = ?1";
const DELETE_BY_SCAN: &str = "DELETE FROM dataset NOT INDEXED WHERE +seq = ?1";
const DELETE_CHILDREN_BY_SCAN: [&str; 2] =
    ["DELETE FROM kpi WHERE +dataset_seq = ?1", "DELETE FROM dataset_version WHERE +dataset_seq = ?1"];

/// Removes a dataset with its KPIs and its history.
pub(super) fn remove_dataset(connection: &Connection, seq: i64) -> Result<(), Failure> {
    // Its KPIs and its history go with it, by their foreign keys.
    match connection.prepare_cached(DELETE)?.execute([seq]) {
        Err(error) if is_of_damage(&error) && !connection.is_autocommit() => without_foreign_keys(connection, || {
            reindex(connection, "REINDEX dataset")?;
            delete_all(connection, DELETE_BY_SCAN, [seq])?;
            DELETE_CHILDREN_BY_SCAN.into_iter().try_for_each(|sql| Ok(delete_all(connection, sql, [seq])?))
        }),
        deleted => Ok(deleted.map(drop)?),
    }
}

/// Deletes until nothing is found any more: when a row is deleted, SQLite may search for the place where its scan goes
/// on, and miss it.
pub(super) fn delete_all(connection: &Connection, sql: &str, of: impl Params + Copy) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql)?;
    while statement.execute(of)? > 0 {}
    Ok(())
}

/// Builds the indexes anew, unless damage made two rows equal that must not be: then they stay as they are.
pub(super) fn reindex(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    match connection.prepare_cached(sql)?.execute([]) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(()),
        reindexed => reindexed.map(drop),
    }
}

/// Whether a row could not be deleted by its keys: a search met a damaged one, an index lacks the row, or not every
/// child was found.
fn is_of_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) || has_code(error, SQLITE_CONSTRAINT_FOREIGNKEY)
}

/// Whether a row could not be deleted because an index lacks it.
pub(super) fn lacks_a_row(error: &rusqlite::Error) -> bool {
    has_code(error, SQLITE_CORRUPT_INDEX)
}

fn has_code(error: &rusqlite::Error, code: i32) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == code)
}

/// Runs `work` without enforcing foreign keys, also inside a transaction, where the PRAGMA has no effect.
pub(super) fn without_foreign_keys<T>(
    connection: &Connection,
    work: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    struct Enforced<'a>(&'a Connection);
    impl Drop for Enforced<'_> {
        fn drop(&mut self) {
            // It only sets a flag: it does not fail on an open connection.
            let _ = self.0.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true);
        }
    }
    let _enforced_afterward = Enforced(connection);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
    work()
}
