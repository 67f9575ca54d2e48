//! Write transactions, and the connection that runs them one at a time: begin, commit, rollback, savepoints.
//!
//! The statements are prepared once and cached, since parsing them would cost more than running them.

use std::cell::Cell;
use std::ops::Deref;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::budget;
use super::database::Database;
use super::deadline::Deadline;
use super::failure::{CommitFailure, Failure};
use super::sequence::ReservedSeqs;
use super::snapshot::{self, Snapshot};

/// A connection for writing. Every write uses a [`Transaction`].
#[derive(Debug)]
pub(crate) struct WriteConnection {
    connection: Connection,
    /// The reserved sequence numbers that were left after the last commit.
    numbers: Cell<ReservedSeqs>,
}

impl WriteConnection {
    pub(crate) fn new(connection: Connection) -> rusqlite::Result<Self> {
        // Only BEGIN IMMEDIATE waits, and not in SQLite's busy handler.
        connection.busy_timeout(Duration::ZERO)?;
        Ok(Self { connection, numbers: Cell::default() })
    }

    /// Begins a transaction. It takes the write lock at once, so that only this call waits for the lock, until the
    /// deadline.
    ///
    /// If another connection has changed the file since the last commit, `check_changed` checks it first.
    pub(crate) fn begin(
        &self,
        deadline: &Deadline,
        check_changed: impl FnOnce(&Connection) -> Result<(), Failure>,
    ) -> Result<Transaction<'_>, Failure> {
        begin(&self.connection, deadline)?;
        let (numbers, version) = (self.numbers.get(), data_version(&self.connection)?);
        if numbers.is_as_of(version) {
            return Ok(Transaction::new(self, numbers));
        }
        check_changed(&self.connection)?;
        Ok(Transaction::new(self, ReservedSeqs::none_as_of(version)))
    }

    /// Rolls back the open transaction, if there is one.
    pub(crate) fn roll_back(&self) -> Result<(), Failure> {
        Ok(roll_back(&self.connection)?)
    }

    /// Runs `work` on a snapshot of the file. `None` if it fails, or takes longer than some milliseconds.
    pub(crate) fn read_briefly<T>(
        &mut self,
        database: &Database,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
    ) -> Option<T> {
        let supported = database.schema.current();
        budget::briefly(&mut self.connection, |connection| snapshot::read_supported(supported, connection, false, work))
    }

    /// The connection itself, for operations on the file as a whole.
    pub(crate) fn plain(&self) -> &Connection {
        &self.connection
    }

    /// The same, for those that write the file anew. SQLite does not say what they do to `data_version`, so the next
    /// transaction begins as if another connection had changed the file.
    pub(crate) fn plain_to_rewrite(&mut self) -> &mut Connection {
        self.numbers.take();
        &mut self.connection
    }

    #[cfg(test)]
    pub(crate) fn plain_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Closes the connection unless `keep` keeps it.
    pub(crate) fn close(self, keep: impl FnOnce(Connection) -> Option<Connection>) -> Result<(), Failure> {
        Ok(keep(self.connection).map_or(Ok(()), |last| last.close().map_err(|(_, error)| error))?)
    }
}

/// A write transaction. It is also a snapshot, which contains the changes of the transaction.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    snapshot: Snapshot<'a>,
    connection: &'a WriteConnection,
    /// The reserved sequence numbers that are left.
    numbers: Cell<ReservedSeqs>,
}

impl<'a> Deref for Transaction<'a> {
    type Target = Snapshot<'a>;

    fn deref(&self) -> &Snapshot<'a> {
        &self.snapshot
    }
}

impl<'a> Transaction<'a> {
    fn new(connection: &'a WriteConnection, numbers: ReservedSeqs) -> Self {
        Self { snapshot: Snapshot::new(&connection.connection, false), connection, numbers: Cell::new(numbers) }
    }

    /// The connection itself.
    #[cfg(test)]
    pub(crate) fn plain(&self) -> &Connection {
        self.snapshot.connection()
    }

    pub(super) fn numbers(&self) -> ReservedSeqs {
        self.numbers.get()
    }

    pub(super) fn set_numbers(&self, numbers: ReservedSeqs) {
        self.numbers.set(numbers);
    }

    pub(crate) fn commit(self) -> Result<(), CommitFailure> {
        commit(&self.connection.connection)?;
        self.connection.numbers.set(self.numbers.get());
        Ok(())
    }

    /// Runs `work` in a savepoint: a failure rolls back only what `work` wrote.
    pub(crate) fn savepoint<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<Result<T, E>, TransactionLost> {
        let (connection, numbers) = (self.snapshot.connection(), self.numbers.get());
        run(connection, "SAVEPOINT job").map_err(|_| TransactionLost)?;
        let worked = work();
        // After some errors, such as a full disk, SQLite itself rolls back the whole transaction.
        if connection.is_autocommit() {
            return Err(TransactionLost);
        }
        if worked.is_err() {
            run(connection, "ROLLBACK TO job").map_err(|_| TransactionLost)?;
            self.numbers.set(numbers);
        }
        run(connection, "RELEASE job").map_err(|_| TransactionLost)?;
        Ok(worked)
    }
}

/// The whole transaction was rolled back, or must be: the savepoint could not be released or rolled back.
#[derive(Debug)]
pub(crate) struct TransactionLost;

/// A number that changes when another connection has changed the file
/// (<https://sqlite.org/pragma.html#pragma_data_version>).
pub(super) fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_one([], |row| row.get(0))
}

/// Begins a write transaction, which takes the write lock; waits for it until the deadline.
pub(super) fn begin(connection: &Connection, deadline: &Deadline) -> rusqlite::Result<()> {
    loop {
        let attempt = Instant::now();
        match run(connection, "BEGIN IMMEDIATE") {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && deadline.pause(attempt) => {}
            begun => return begun,
        }
    }
}

/// Commits the open transaction of the connection.
pub(super) fn commit(connection: &Connection) -> Result<(), CommitFailure> {
    Ok(run(connection, "COMMIT")?)
}

/// Rolls back the open transaction of the connection, if there is one.
pub(super) fn roll_back(connection: &Connection) -> rusqlite::Result<()> {
    if connection.is_autocommit() {
        return Ok(());
    }
    // After some errors SQLite itself rolls back; ROLLBACK then fails because there is no transaction.
    run(connection, "ROLLBACK").or_else(|error| if connection.is_autocommit() { Ok(()) } else { Err(error) })
}

fn run(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
