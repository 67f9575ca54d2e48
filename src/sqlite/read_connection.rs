//! A connection that only reads, for one snapshot after the other.

use std::path::PathBuf;

use rusqlite::Connection;

use super::budget::Budget;
use super::failure::Failure;
use super::transaction::{self, Snapshot};

/// A connection that only reads. All that is read goes through [`snapshot`](Self::snapshot).
#[derive(Debug)]
pub(crate) struct ReadConnection {
    connection: Connection,
    budget: Budget,
    /// The latest schema version that this version of the crate reads.
    supported: i64,
}

impl ReadConnection {
    pub(super) fn new(mut connection: Connection, file: PathBuf, supported: i64) -> Self {
        let budget = Budget::install(&mut connection, file);
        Self { connection, budget, supported }
    }

    /// Runs `work` on one moment of the file, and ends it if the file has no end. Refuses a file that a later version of this
    /// crate has upgraded since it was opened: its contents are unknown here.
    pub(crate) fn snapshot<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        self.budget.spend(|| transaction::read_up_to(self.supported, &self.connection, work))
    }

    /// The connection itself.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> &Connection {
        &self.connection
    }
}
