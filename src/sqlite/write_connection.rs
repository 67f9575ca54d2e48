//! The connection for writing, which runs one transaction at a time.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::Connection;

use super::failure::{CommitFailure, Failure};
use super::number::Numbers;
use super::transaction::{self, Snapshot};

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

/// A write transaction. It is also a snapshot, which contains the changes of the transaction.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    snapshot: Snapshot<'a>,
    connection: &'a WriteConnection,
    /// The reserved sequence numbers that are left.
    numbers: Cell<Numbers>,
}

impl<'a> Deref for Transaction<'a> {
    type Target = Snapshot<'a>;

    fn deref(&self) -> &Snapshot<'a> {
        &self.snapshot
    }
}

impl<'a> Transaction<'a> {
    fn new(connection: &'a WriteConnection, numbers: Numbers) -> Self {
        Self { snapshot: Snapshot(&connection.connection), connection, numbers: Cell::new(numbers) }
    }

    /// The connection itself.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> &Connection {
        self.snapshot.connection()
    }

    pub(super) fn numbers(&self) -> Numbers {
        self.numbers.get()
    }

    pub(super) fn set_numbers(&self, numbers: Numbers) {
        self.numbers.set(numbers);
    }

    pub(crate) fn commit(self) -> Result<(), CommitFailure> {
        transaction::commit(&self.connection.connection)?;
        self.connection.numbers.set(self.numbers.get());
        Ok(())
    }

    /// Runs `work` in a savepoint: a failure rolls back only what `work` wrote.
    pub(crate) fn savepoint<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<Result<T, E>, TransactionLost> {
        let (connection, numbers) = (self.snapshot.connection(), self.numbers.get());
        transaction::run(connection, "SAVEPOINT job").map_err(|_| TransactionLost)?;
        let worked = work();
        // After some errors, such as a full disk, SQLite itself rolls back the whole transaction.
        if connection.is_autocommit() {
            return Err(TransactionLost);
        }
        if worked.is_err() {
            transaction::run(connection, "ROLLBACK TO job").map_err(|_| TransactionLost)?;
            self.numbers.set(numbers);
        }
        transaction::run(connection, "RELEASE job").map_err(|_| TransactionLost)?;
        Ok(worked)
    }
}

/// The whole transaction was rolled back, or must be: the savepoint could not be released or rolled back.
#[derive(Debug)]
pub(crate) struct TransactionLost;

/// A number that changes when another connection has changed the file
/// (<https://sqlite.org/pragma.html#pragma_data_version>).
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0))
}
