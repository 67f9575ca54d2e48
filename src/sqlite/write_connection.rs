//! The connection for writing, which runs one transaction at a time.

use std::cell::Cell;

use rusqlite::Connection;

use super::failure::{CommitFailure, Failure};
use super::number::Numbers;
use super::transaction::{self, Transaction};

/// A connection for writing. Every write uses a [`Transaction`].
#[derive(Debug)]
pub(crate) struct WriteConnection {
    connection: Connection,
    /// The reserved sequence numbers that were left after the last commit.
    numbers: Cell<Numbers>,
}

impl WriteConnection {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, numbers: Cell::default() }
    }

    /// Begins a transaction. It takes the write lock at once, so that only this call waits for the lock.
    ///
    /// If another connection has changed the file since the last commit, `check_changed` checks it first.
    pub(crate) fn begin(
        &self,
        check_changed: impl FnOnce(&Connection) -> Result<(), Failure>,
    ) -> Result<Transaction<'_>, Failure> {
        transaction::begin(&self.connection)?;
        let (numbers, version) = (self.numbers.get(), data_version(&self.connection)?);
        if numbers.is_as_of(version) {
            return Ok(Transaction::new(self, numbers));
        }
        check_changed(&self.connection)?;
        Ok(Transaction::new(self, Numbers::none_as_of(version)))
    }

    /// Commits a transaction that left these numbers unused.
    pub(super) fn commit(&self, numbers: Numbers) -> Result<(), CommitFailure> {
        transaction::commit(&self.connection)?;
        self.numbers.set(numbers);
        Ok(())
    }

    /// Rolls back the open transaction, if there is one.
    pub(crate) fn roll_back(&self) -> Result<(), Failure> {
        Ok(transaction::roll_back(&self.connection)?)
    }

    /// The connection itself, for operations on the file as a whole.
    pub(crate) fn plain(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn plain_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Checkpoints the write-ahead log as far as readers allow, without waiting, and closes the connection.
    pub(crate) fn close(self) -> Result<(), Failure> {
        let checkpointed = transaction::checkpoint(&self.connection);
        let closed = self.connection.close().map_err(|(_, error)| error);
        Ok(checkpointed.and(closed)?)
    }
}

/// A number that changes when another connection has changed the file
/// (<https://sqlite.org/pragma.html#pragma_data_version>).
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0))
}
