//! The door: every write goes through it, one at a time.
//!
//! It owns BEGIN IMMEDIATE, the commit, the rollback and what became of it. One connection writes; who holds it is
//! alone. Waiting for it and waiting for SQLite's lock, which another store or process may hold, share one deadline,
//! which is why a condition variable stands here: a std mutex cannot wait with a deadline.
//!
//! Nothing of the caller's runs in here: requests are validated, iterators drained, clock and ids asked before. The work
//! is owned (`Send + 'static`), so that one thread could do another's.
//!
//! A commit that fails may hold all the same: after an error of the disk nobody knows what is on it. The connection is
//! then given up, the caller told [`Error::OutcomeUnknown`], and the next write begins with a fresh connection.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use crate::error::{Error, Failure, ReadOnlyCause, Result, shared};
use crate::model::ids::DatasetId;
use crate::sqlite::connection::set_busy_timeout;
use crate::sqlite::opening::Database;
use crate::sqlite::transaction;

pub(super) struct Door {
    state: Mutex<State>,
    /// Rung when the connection comes back.
    free: Condvar,
    /// Where a fresh connection comes from; none in memory, where the connection is the database.
    database: Option<Arc<Database>>,
    busy_timeout: Duration,
}

enum State {
    Free(Connection),
    InUse,
    /// The connection was given up; it is kept, unused, until there is a fresh one.
    Lost(Option<Connection>),
    /// The store was opened for reading only.
    ReadOnly,
    Closed,
}

impl State {
    /// Where nobody writes there is nobody to wait for and nothing to copy.
    fn close_if_read_only(&mut self) -> bool {
        let is_read_only = matches!(self, State::ReadOnly);
        if is_read_only {
            *self = State::Closed;
        }
        is_read_only
    }
}

impl Door {
    pub(super) fn new(writer: Connection, database: Option<Arc<Database>>, busy_timeout: Duration) -> Self {
        Self { state: Mutex::new(State::Free(writer)), free: Condvar::new(), database, busy_timeout }
    }

    /// A door that nobody enters.
    pub(super) fn read_only() -> Self {
        let state = Mutex::new(State::ReadOnly);
        Self { state, free: Condvar::new(), database: None, busy_timeout: Duration::ZERO }
    }

    /// Refuses once the store was closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if let State::Closed = *self.lock() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Does `work` in one transaction that writes the datasets `ids`.
    pub(super) fn write<T: Send + 'static>(
        &self,
        ids: Vec<DatasetId>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let started = Instant::now();
        let written = self.enter(started).and_then(|mut held| self.transact(&mut held, started, ids, work));
        written.map_err(|Failure(error)| error.having_waited(started.elapsed()))
    }

    fn transact<T>(
        &self,
        held: &mut Held<'_>,
        started: Instant,
        ids: Vec<DatasetId>,
        work: impl FnOnce(&Connection) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(database) = &self.database {
            database.check_unmoved()?;
        }
        let left = || self.busy_timeout.saturating_sub(started.elapsed());
        let connection = held.connection(left())?;
        set_busy_timeout(connection, left())?;
        transaction::begin_write(connection)?;
        if let Some(database) = &self.database {
            database.check_version(connection)?;
        }
        // Whatever ends this early, a panic included, the drop of `held` rolls back.
        let done = work(connection)?;
        match transaction::commit(connection) {
            Ok(()) => Ok(done),
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Err(error.into()),
            Err(error) => {
                if self.database.is_some() {
                    held.give_up();
                }
                if transaction::is_without_effect(&error) {
                    Err(error.into())
                } else {
                    Err(Error::outcome_unknown(ids, error).into())
                }
            }
        }
    }

    /// Does `work` on the one connection of a store in memory.
    pub(super) fn read<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Failure>) -> Result<T> {
        let started = Instant::now();
        let read = self.enter(started).and_then(|mut held| work(held.connection(Duration::ZERO)?));
        read.map_err(|Failure(error)| error.having_waited(started.elapsed()))
    }

    /// Closes the store once the write in progress is done; `meanwhile` runs when nobody can write any more.
    pub(super) fn close(&self, meanwhile: impl FnOnce()) -> Result<()> {
        if self.lock().close_if_read_only() {
            meanwhile();
            return Ok(());
        }
        let started = Instant::now();
        let mut held = self.enter(started).map_err(|Failure(error)| error.having_waited(started.elapsed()))?;
        held.is_last = true;
        meanwhile();
        let Some(connection) = held.connection.take() else { return Ok(()) };
        let checkpointed = transaction::checkpoint(&connection);
        let closed = connection.close().map_err(|(_, error)| error);
        Ok(checkpointed.and(closed).map_err(Failure::from)?)
    }

    /// Leaves the connection as it is, neither used nor closed.
    pub(super) fn forget(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(std::mem::replace(state, State::Closed));
    }

    /// Waits until the connection is free.
    fn enter(&self, started: Instant) -> Result<Held<'_>, Failure> {
        let mut state = self.lock();
        loop {
            match std::mem::replace(&mut *state, State::InUse) {
                State::Free(connection) => return Ok(self.held(Some(connection), None)),
                State::Lost(given_up) => return Ok(self.held(None, given_up)),
                State::Closed => {
                    *state = State::Closed;
                    return Err(Error::Closed.into());
                }
                State::ReadOnly => {
                    *state = State::ReadOnly;
                    return Err(Error::ReadOnly { source: shared(ReadOnlyCause::Asked) }.into());
                }
                State::InUse => state = self.wait(state, started)?,
            }
        }
    }

    fn held(&self, connection: Option<Connection>, given_up: Option<Connection>) -> Held<'_> {
        Held { door: self, connection, given_up, is_last: false }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, started: Instant) -> Result<MutexGuard<'a, State>, Failure> {
        let left = self.busy_timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(Error::Busy { waited: started.elapsed(), source: None }.into());
        }
        Ok(self.free.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed: each change is one assignment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connection, held by the one who is inside; dropping this rolls back what was not committed and hands it on.
struct Held<'a> {
    door: &'a Door,
    connection: Option<Connection>,
    given_up: Option<Connection>,
    is_last: bool,
}

impl Held<'_> {
    /// The connection, outside of any transaction; a fresh one, had within `timeout`, if the one before was given up.
    fn connection(&mut self, timeout: Duration) -> Result<&mut Connection, Failure> {
        let connection = match (self.connection.take(), &self.door.database) {
            (Some(connection), _) => connection,
            (None, Some(database)) => {
                let fresh = heal(database, timeout)?;
                self.given_up = None;
                fresh
            }
            (None, None) => return Err(Error::Storage { source: None }.into()),
        };
        let connection = self.connection.insert(connection);
        transaction::end(connection)?;
        Ok(connection)
    }

    /// IMPORTANT: the connection stays open, if it can be rolled back. Were it the last one, the next one would read the log
    /// from its start, and take what it holds of the failed commit for committed.
    fn give_up(&mut self) {
        self.given_up = self.connection.take().filter(|connection| transaction::end(connection).is_ok());
    }
}

/// A fresh connection after a commit that failed.
///
/// What the log holds may be in the system's memory and not on the disk, marked as written: a later commit behind it
/// would be lost with it. What it holds of a commit that was cut off could be completed by the next one, which begins in
/// its place and writes some of the same pages, if the power fails in the middle of that. So all of the log is first
/// copied into the file, the file made durable, and the log begun anew.
fn heal(database: &Database, timeout: Duration) -> Result<Connection, Failure> {
    let connection = database.writer_within(timeout)?;
    transaction::empty_log(&connection)?;
    Ok(connection)
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // In memory the connection is the data: one that cannot roll back now, for want of memory, does so before its next use.
        let may_stay = |connection: &_| transaction::end(connection).is_ok() || self.door.database.is_none();
        let whole = self.connection.take().filter(may_stay);
        let state = match whole {
            _ if self.is_last => State::Closed,
            Some(connection) => State::Free(connection),
            None => State::Lost(self.given_up.take()),
        };
        *self.door.lock() = state;
        if self.is_last { self.door.free.notify_all() } else { self.door.free.notify_one() }
    }
}

#[cfg(test)]
mod failed_commit_tests;
#[cfg(test)]
mod full_disk_tests;
