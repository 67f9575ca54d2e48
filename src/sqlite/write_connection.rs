//! The connection that writes: one transaction after the other.

use std::cell::Cell;

use rusqlite::Connection;

use super::failure::{CommitFailure, Failure};
use super::number::Numbers;
use super::transaction::{self, Transaction};

/// A connection that writes. All that is written goes through a [`Transaction`].
#[derive(Debug)]
pub(crate) struct WriteConnection {
    connection: Connection,
    /// As of the last commit.
    numbers: Cell<Numbers>,
}

impl WriteConnection {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, numbers: Cell::default() }
    }

    /// Begins a transaction. It takes the write lock at once, so that waiting for it happens here and nowhere later.
    ///
    /// `changed` checks the file where another connection has changed it since the last commit.
    pub(crate) fn begin(
        &self,
        changed: impl FnOnce(&Connection) -> Result<(), Failure>,
    ) -> Result<Transaction<'_>, Failure> {
        transaction::begin(&self.connection)?;
        let (numbers, version) = (self.numbers.get(), data_version(&self.connection)?);
        if numbers.is_as_of(version) {
            return Ok(Transaction::new(self, numbers));
        }
        changed(&self.connection)?;
        Ok(Transaction::new(self, Numbers::none_as_of(version)))
    }

    /// Commits a transaction that has these numbers left.
    pub(super) fn commit(&self, numbers: Numbers) -> Result<(), CommitFailure> {
        transaction::commit(&self.connection)?;
        self.numbers.set(numbers);
        Ok(())
    }

    /// Ends a transaction that must not hold, if there is one.
    pub(crate) fn roll_back(&self) -> Result<(), Failure> {
        Ok(transaction::end(&self.connection)?)
    }

    /// The connection itself, for what is asked about the file as a whole.
    pub(crate) fn plain(&self) -> &Connection {
        &self.connection
    }

    pub(crate) fn plain_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Copies the write-ahead log into the file as far as readers let it, waiting for none of them, and closes.
    pub(crate) fn close(self) -> Result<(), Failure> {
        let checkpointed = transaction::checkpoint(&self.connection);
        let closed = self.connection.close().map_err(|(_, error)| error);
        Ok(checkpointed.and(closed)?)
    }
}

/// A number that changes when another connection has changed the file (<https://sqlite.org/pragma.html#pragma_data_version>).
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0))
}
