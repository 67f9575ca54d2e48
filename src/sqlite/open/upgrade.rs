//! Upgrading a file to the current schema in one transaction.

use std::path::PathBuf;

use rusqlite::Connection;

use super::inspect::identify;
use crate::error::Error;
use crate::sqlite::connection::set_pragma;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::{CommitFailure, Failure, damaged};
use crate::sqlite::file::companions;
use crate::sqlite::schema::{APPLICATION_ID, Schema, refinery};
use crate::sqlite::{integrity, transaction};

/// Runs the missing migrations. If the file is not empty, calls `back_up` with its version before the first change and
/// under the write lock, for which it waits until the deadline; `back_up` returns the path of the copy.
pub(super) fn migrate(
    connection: &Connection,
    schema: &Schema,
    deadline: &Deadline,
    back_up: impl FnOnce(i64) -> Result<Option<PathBuf>, Failure>,
) -> Result<(), Failure> {
    // IMPORTANT: with foreign keys on, the DROP TABLE of a migration that rebuilds a table would delete every KPI. The
    // pragma has no effect inside a transaction, so it is set before, and always restored after.
    set_pragma(connection, "foreign_keys", 0)?;
    let migrated = migrate_in_transaction(connection, schema, deadline, back_up);
    let rolled_back = transaction::roll_back(connection);
    set_pragma(connection, "foreign_keys", 1)?;
    migrated.and_then(|()| rolled_back.map_err(Failure::from))
}

fn migrate_in_transaction(
    connection: &Connection,
    schema: &Schema,
    deadline: &Deadline,
    back_up: impl FnOnce(i64) -> Result<Option<PathBuf>, Failure>,
) -> Result<(), Failure> {
    transaction::begin(connection, deadline)?;
    // Another process may have upgraded the file meanwhile.
    let version = identify(connection, schema)?.version;
    if version == schema.current() {
        return Ok(());
    }
    let copy = if version > 0 { back_up(version)? } else { None };
    let migrated = run_migrations(connection, schema, version);
    let committed = if migrated.is_ok() { transaction::commit(connection) } else { Ok(()) };
    let is_unchanged = migrated.is_err() || matches!(committed, Err(CommitFailure::WithoutEffect(_)));
    // Without the removal, an application that tries to upgrade on every start would fill the disk with copies.
    if let Some(copy) = copy.filter(|_| is_unchanged) {
        companions::remove_with_companions(&copy);
    }
    migrated?;
    committed.map_err(|failed| match failed {
        CommitFailure::WithoutEffect(error) => error.into(),
        CommitFailure::Unknown(source) => Error::Storage { source }.into(),
    })
}

fn run_migrations(connection: &Connection, schema: &Schema, version: i64) -> Result<(), Failure> {
    refinery::run_from(connection, schema, version)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", schema.current())?;
    if integrity::orphans(connection, schema, &[])? > 0 {
        return Err(damaged("a KPI belongs to no dataset").into());
    }
    schema.check(connection, schema.current())
}
