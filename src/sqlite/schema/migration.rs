//! refinery, run inside a transaction of ours.
//!
//! By itself refinery is not safe when several processes open a fresh file at once, does not commit a migration and its
//! row of the history together, and panics on a damaged row. Inside our BEGIN IMMEDIATE there is one runner at a time, and
//! all of it commits or nothing. refinery is given the migrations that are missing, and an empty history: which ones were
//! applied says `user_version`, and [`Schema::check`] compares the history with it, before and after.

use refinery_core::traits::sync::{Migrate, Query, Transaction};
use refinery_core::{Migration, Runner};
use rusqlite::Connection;

use super::{CREATE_HISTORY, HISTORY_TABLE, Schema};
use crate::sqlite::failure::{Failure, cause, from_code};

/// Runs the migrations after `version`, inside the transaction that is open on the connection.
pub(in crate::sqlite) fn run_from(connection: &Connection, schema: &Schema, version: i64) -> Result<(), Failure> {
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    let missing = schema.migrations.iter().skip(applied);
    let missing: Result<Vec<_>, _> =
        missing.map(|migration| Migration::unapplied(migration.file, migration.sql)).collect();
    let mut runner = Runner::new(&missing.map_err(from_refinery)?).set_grouped(true);
    runner.set_migration_table_name(HISTORY_TABLE);
    runner.run(&mut InTransaction(connection)).map(drop).map_err(from_refinery)
}

/// What refinery's error means: what SQLite said is boxed in it.
fn from_refinery(error: refinery::Error) -> Failure {
    let sqlite = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    let code = sqlite.and_then(rusqlite::Error::sqlite_error_code);
    from_code(code, cause(error))
}

/// The transaction that is open on a connection, as refinery's traits want it.
struct InTransaction<'a>(&'a Connection);

impl Transaction for InTransaction<'_> {
    type Error = rusqlite::Error;

    fn execute<'a, T: Iterator<Item = &'a str>>(&mut self, queries: T) -> rusqlite::Result<usize> {
        let mut count = 0;
        for query in queries {
            self.0.execute_batch(query)?;
            count += 1;
        }
        Ok(count)
    }
}

impl Query<Vec<Migration>> for InTransaction<'_> {
    fn query(&mut self, _history: &str) -> rusqlite::Result<Vec<Migration>> {
        Ok(Vec::new())
    }
}

impl Migrate for InTransaction<'_> {
    fn assert_migrations_table_query(_: &str) -> String {
        CREATE_HISTORY.to_owned()
    }
}
