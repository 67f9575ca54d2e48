//! The connection that writes: one transaction after the other.

use std::cell::Cell;
use std::ops::Deref;

use rusqlite::Connection;

use super::failure::{CommitFailure, Failure};
use super::number::Numbers;
use super::transaction::{self, Snapshot};

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

/// A transaction that writes. It is a snapshot, too, which also has what the transaction wrote.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    snapshot: Snapshot<'a>,
    connection: &'a WriteConnection,
    /// What is left of the numbers for datasets.
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

    /// Runs `work` so that its failure undoes what it wrote, and nothing else.
    pub(crate) fn savepoint<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<Result<T, E>, TransactionLost> {
        let (connection, numbers) = (self.snapshot.connection(), self.numbers.get());
        transaction::run(connection, "SAVEPOINT job").map_err(|_| TransactionLost)?;
        let worked = work();
        // After some errors SQLite rolls back the whole transaction by itself; after a full disk, for one.
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

/// The transaction was rolled back, or must be: a part of it could not be kept or undone by itself.
#[derive(Debug)]
pub(crate) struct TransactionLost;

/// A number that changes when another connection has changed the file (<https://sqlite.org/pragma.html#pragma_data_version>).
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0))
}
