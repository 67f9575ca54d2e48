//! refinery, run inside a transaction of ours.
//!
//! By itself refinery is not safe when several processes open a fresh file at once, does not commit a migration and its
//! row of the history together, and panics on a damaged row. Inside our BEGIN IMMEDIATE there is one runner at a time,
//! all of it commits or nothing, and the history was checked before. Its own comparison of checksums is off: it differs
//! between features that an application may enable, and the schema is compared object by object anyway.

use refinery_core::traits::sync::{Migrate, Query, Transaction};
use refinery_core::{Migration, Runner, SchemaVersion};
use rusqlite::Connection;
use rusqlite::types::{FromSqlError, Type};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::schema::{CREATE_HISTORY, HISTORY_TABLE, Schema};
use crate::error::{Failure, from_code, shared};

/// Runs the migrations that the file does not have yet, inside the transaction that is open on the connection.
pub(super) fn run(connection: &Connection, schema: &Schema) -> Result<(), Failure> {
    let migrations: Result<Vec<_>, _> =
        schema.migrations.iter().map(|migration| Migration::unapplied(migration.file, migration.sql)).collect();
    let mut runner = Runner::new(&migrations.map_err(from_refinery)?).set_grouped(true).set_abort_divergent(false);
    runner.set_migration_table_name(HISTORY_TABLE);
    runner.run(&mut InTransaction(connection)).map(drop).map_err(from_refinery)
}

/// What refinery's error means: what SQLite said is boxed in it.
fn from_refinery(error: refinery::Error) -> Failure {
    let sqlite = std::error::Error::source(&error).and_then(|source| source.downcast_ref());
    let code = sqlite.and_then(rusqlite::Error::sqlite_error_code);
    from_code(code, shared(error))
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
    fn query(&mut self, query: &str) -> rusqlite::Result<Vec<Migration>> {
        let mut statement = self.0.prepare(query)?;
        let rows = statement.query_map([], |row| {
            let version: SchemaVersion = row.get(0)?;
            let applied_on = OffsetDateTime::parse(row.get_ref(2)?.as_str()?, &Rfc3339).map_err(|_| no_text(2))?;
            let checksum = row.get_ref(3)?.as_str()?.parse().map_err(|_| no_text(3))?;
            Ok(Migration::applied(version, row.get(1)?, applied_on, checksum))
        })?;
        rows.collect()
    }
}

impl Migrate for InTransaction<'_> {
    fn assert_migrations_table_query(_: &str) -> String {
        CREATE_HISTORY.to_owned()
    }
}

fn no_text(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(FromSqlError::InvalidType))
}
