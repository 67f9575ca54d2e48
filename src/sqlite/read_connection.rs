//! A connection for reading, which serves one snapshot at a time.

use std::path::PathBuf;

use rusqlite::Connection;

use super::budget::Budget;
use super::database::Database;
use super::failure::Failure;
use super::snapshot::{self, Snapshot};

/// A connection for reading. Every read uses [`snapshot`](Self::snapshot).
#[derive(Debug)]
pub(crate) struct ReadConnection {
    connection: Connection,
    budget: Budget,
    /// The latest schema version that this version of the crate supports.
    supported: i64,
}

impl ReadConnection {
    pub(super) fn new(mut connection: Connection, file: PathBuf, supported: i64) -> Self {
        let budget = Budget::install(&mut connection, file);
        Self { connection, budget, supported }
    }

    /// Runs `work` on a snapshot of the file, and interrupts it if it exceeds its budget. Fails if a later version of
    /// this crate has upgraded the file since it was opened: its schema is unknown here.
    pub(crate) fn snapshot<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        self.budget.spend(|| snapshot::read_supported(self.supported, &self.connection, work))
    }

    /// See [`Database::release_log`].
    pub(crate) fn release_log(&self, database: &Database) -> Result<(), Failure> {
        database.release_log(&self.connection)
    }

    /// The connection itself.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> &Connection {
        &self.connection
    }
}
