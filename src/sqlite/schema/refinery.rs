//! Running refinery inside a transaction of this crate.
//!
//! On its own, refinery is not safe if several processes open a fresh file at once, does not commit a migration
//! together with its row of the history, and panics on a damaged row. Inside this crate's BEGIN IMMEDIATE only one
//! process migrates at a time, and either everything is committed or nothing. refinery gets only the missing
//! migrations, and an empty history: `user_version` determines which migrations were applied, and [`Schema::check`]
//! compares the history with it, before and after.

use refinery_core::traits::sync::{Migrate, Query, Transaction};
use refinery_core::{Migration, Runner};
use rusqlite::Connection;

use super::{CREATE_HISTORY, HISTORY_TABLE, Schema};
use crate::sqlite::failure::{Failure, cause, from_code};

/// Runs the migrations after `version` in the open transaction of the connection.
pub(in crate::sqlite) fn run_from(connection: &Connection, schema: &Schema, version: i64) -> Result<(), Failure> {
    let applied = usize::try_from(version).unwrap_or(usize::MAX);
    let missing = schema.migrations.iter().skip(applied);
    let missing: Result<Vec<_>, _> =
        missing.map(|migration| Migration::unapplied(migration.file, migration.sql)).collect();
    let mut runner = Runner::new(&missing.map_err(from_refinery)?).set_grouped(true);
    runner.set_migration_table_name(HISTORY_TABLE);
    runner.run(&mut InTransaction(connection)).map(drop).map_err(from_refinery)
}

/// Converts refinery's error, whose source is SQLite's error if there is one.
fn from_refinery(error: refinery::Error) -> Failure {
    let sqlite = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    let code = sqlite.and_then(rusqlite::Error::sqlite_error_code);
    from_code(code, cause(error))
}

/// The open transaction of a connection, for refinery's traits.
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
