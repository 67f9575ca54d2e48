//! Bringing a file up to date, in one transaction.

use std::path::PathBuf;

use rusqlite::Connection;

use super::inspect::identify;
use crate::error::Error;
use crate::sqlite::connection::set_pragma;
use crate::sqlite::failure::{CommitFailure, Failure, damaged};
use crate::sqlite::file::companions;
use crate::sqlite::schema::{APPLICATION_ID, Schema, migration};
use crate::sqlite::{integrity, transaction};

/// Runs the migrations that the file does not have yet. `back_up` is told the version of a file that is not empty, when no
/// other connection can change it any more and nothing was changed yet; it gives the path of the copy.
pub(super) fn migrate(
    connection: &Connection,
    schema: &Schema,
    back_up: impl FnOnce(i64) -> Result<Option<PathBuf>, Failure>,
) -> Result<(), Failure> {
    // IMPORTANT: with foreign keys on, the DROP TABLE of a migration that rebuilds a table would delete every KPI. The
    // pragma does nothing inside a transaction, so it stands around it, and comes back on whatever happens.
    set_pragma(connection, "foreign_keys", 0)?;
    let migrated = migrate_in_transaction(connection, schema, back_up);
    let ended = transaction::end(connection);
    set_pragma(connection, "foreign_keys", 1)?;
    migrated.and_then(|()| ended.map_err(Failure::from))
}

fn migrate_in_transaction(
    connection: &Connection,
    schema: &Schema,
    back_up: impl FnOnce(i64) -> Result<Option<PathBuf>, Failure>,
) -> Result<(), Failure> {
    transaction::begin(connection)?;
    // Another process may have done it since.
    let version = identify(connection, schema)?.version;
    if version == schema.current() {
        return Ok(());
    }
    let copy = if version > 0 { back_up(version)? } else { None };
    let migrated = run_migrations(connection, schema, version);
    let committed = if migrated.is_ok() { transaction::commit(connection) } else { Ok(()) };
    let is_as_it_was = migrated.is_err() || matches!(committed, Err(CommitFailure::WithoutEffect(_)));
    // An application that tries again on every start would fill the disk with copies.
    if let Some(copy) = copy.filter(|_| is_as_it_was) {
        companions::remove_with_companions(&copy);
    }
    migrated?;
    committed.map_err(|failed| match failed {
        CommitFailure::WithoutEffect(error) => error.into(),
        CommitFailure::Unknown(source) => Error::Storage { source }.into(),
    })
}

fn run_migrations(connection: &Connection, schema: &Schema, version: i64) -> Result<(), Failure> {
    migration::run_from(connection, schema, version)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", schema.current())?;
    if integrity::orphans(connection, schema)? > 0 {
        return Err(damaged("a KPI belongs to no dataset").into());
    }
    schema.check(connection, schema.current())
}
