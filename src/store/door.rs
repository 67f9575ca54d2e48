//! The door: every write goes through it, and those that wait at the same time share a transaction.
//!
//! It owns BEGIN IMMEDIATE, the commit, the rollback and what became of it. One connection writes; who holds it leads.
//! Who comes while it is held joins the line ([`line`](super::line)) and brings its job along. When the leader has done
//! its own, it takes in the jobs at the front of the line, does each in a savepoint, so that one's failure leaves the
//! others ([`group`](super::group)), and commits once: one wait for the disk for all of them. Nobody is answered before
//! that.
//!
//! Why a leader, and not one of the alternatives (figures: `docs/performance.md`)? A mutex alone makes eight threads wait
//! for eight syncs. A thread that writes for all would cost a lone writer two switches of threads on each write, and a
//! library should start no threads. Batches by time would make everybody wait for a clock. Here a lone writer finds the
//! line empty and does its work as if there were none.
//!
//! The connection is handed to the first in line, so that nobody overtakes. A job of many datasets is never taken in:
//! those who wait for a small one would wait for it; it leads when it is its turn. Waiting for the connection and waiting
//! for SQLite's lock, which another store or process may hold, share one deadline.
//!
//! Nothing of the caller's runs in here: requests are validated, iterators drained, clock and ids asked before. The work
//! is owned (`Send + 'static`), so that one thread can do another's. The exception is a load whose input is not to be held
//! in memory: it leads alone, and what its caller's code asks of the door is refused, since it would wait for itself.
//!
//! A commit that fails may hold all the same: after an error of the disk nobody knows what is on it. The connection is
//! then given up, the callers told [`Error::OutcomeUnknown`], and the next write begins with a fresh connection.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::group::{CommitFailed, Group};
use super::line::{Job, Line, Turn, Writer};
use crate::error::{Error, Failure, FromInside, ReadOnlyCause, Result, shared};
use crate::model::ids::DatasetId;
use crate::sqlite::connection::set_busy_timeout;
use crate::sqlite::opening::Database;
use crate::sqlite::transaction;

pub(super) struct Door {
    state: Mutex<State>,
    /// Where a fresh connection comes from; none in memory, where the connection is the database.
    database: Option<Arc<Database>>,
    busy_timeout: Duration,
}

struct State {
    place: Place,
    /// Those who wait while the connection is in use.
    line: Line,
    /// The thread in which code of the caller's runs while the connection is in use.
    caller: Option<ThreadId>,
}

impl State {
    fn new(place: Place) -> Self {
        Self { place, line: Line::default(), caller: None }
    }
}

enum Place {
    Free(Writer),
    InUse,
    /// The store was opened for reading only.
    ReadOnly,
    Closed,
}

impl Place {
    /// Where nobody writes there is nobody to wait for and nothing to copy.
    fn close_if_read_only(&mut self) -> bool {
        let is_read_only = matches!(self, Place::ReadOnly);
        if is_read_only {
            *self = Place::Closed;
        }
        is_read_only
    }
}

impl Door {
    pub(super) fn new(writer: Connection, database: Option<Arc<Database>>, busy_timeout: Duration) -> Self {
        let mut writer = Writer::new(writer);
        if database.as_ref().is_some_and(|database| !database.is_settled) {
            writer.give_up();
        }
        Self { state: Mutex::new(State::new(Place::Free(writer))), database, busy_timeout }
    }

    /// A door that nobody enters.
    pub(super) fn read_only() -> Self {
        Self { state: Mutex::new(State::new(Place::ReadOnly)), database: None, busy_timeout: Duration::ZERO }
    }

    /// Refuses once the store was closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if let Place::Closed = self.lock().place { Err(Error::Closed) } else { Ok(()) }
    }

    /// Does `work` in one transaction that writes the datasets `ids`.
    pub(super) fn write<T: Send + 'static>(
        &self,
        ids: Vec<DatasetId>,
        work: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let started = Instant::now();
        let (job, value) = Job::new(ids, work);
        let written = self.enter(started, Some(job)).and_then(|entered| match entered {
            Entered::Leading(mut held, Some(job)) => self.lead(&mut held, started, job),
            Entered::Leading(_, None) => Err(Error::Storage { source: None }.into()),
            Entered::Answered(answer) => Ok(answer?),
        });
        written.map_err(|Failure(error)| error.having_waited(started.elapsed()))?;
        value.take()
    }

    /// Does `work`, in which code of the caller's may run, in one transaction in this thread. It gives the last dataset
    /// that it wrote.
    pub(super) fn write_alone(
        &self,
        work: impl FnOnce(&Connection) -> Result<Option<DatasetId>, Failure>,
    ) -> Result<()> {
        let started = Instant::now();
        let written = self.enter_alone(started).and_then(|mut held| {
            self.lock().caller = Some(std::thread::current().id());
            held.process = self.database.as_ref().map(|_| std::process::id());
            let connection = self.begin(&mut held, started)?;
            let last = work(connection)?;
            self.commit(&mut held).map_err(|failed| failed.of(Vec::from_iter(last)))?;
            if let (Some(database), Some(connection)) = (&self.database, &held.writer.connection) {
                database.shorten_log(connection);
            }
            Ok(())
        });
        written.map_err(|Failure(error)| error.having_waited(started.elapsed()))
    }

    /// Does the job, and then those of all who stand in line by then, in one transaction.
    fn lead(&self, held: &mut Held<'_>, started: Instant, own: Job) -> Result<(), Failure> {
        let connection = self.begin(held, started)?;
        let is_small = own.is_small();
        let (ids, work) = own.into_parts();
        // Whatever ends this early, a panic included, the drop of `held` rolls back.
        work(connection)?;
        let mut group = Group::new(ids);
        let guests = if is_small { self.lock().line.take_small() } else { Vec::new() };
        for (guest, job) in guests {
            group.work(connection, guest, job);
        }
        if !group.is_lost()
            && let Err(failed) = self.commit(held)
        {
            group.fail(|ids| failed.of(ids));
        }
        Ok(group.tell()?)
    }

    /// Begins a transaction that writes.
    fn begin<'a>(&self, held: &'a mut Held<'_>, started: Instant) -> Result<&'a Connection, Failure> {
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
        Ok(connection)
    }

    fn commit(&self, held: &mut Held<'_>) -> Result<(), CommitFailed> {
        let Some(connection) = &held.writer.connection else { return Err(CommitFailed::Unknown(None)) };
        transaction::commit(connection).map_err(|error| {
            let is_nothing_written = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
            if self.database.is_some() && !is_nothing_written {
                held.writer.give_up();
            }
            error.into()
        })
    }

    /// Does `work` on the one connection of a store in memory.
    pub(super) fn read<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Failure>) -> Result<T> {
        let started = Instant::now();
        let read = self.enter_alone(started).and_then(|mut held| work(held.connection(Duration::ZERO)?));
        read.map_err(|Failure(error)| error.having_waited(started.elapsed()))
    }

    /// Closes the store once the write in progress is done; `meanwhile` runs when nobody can write any more.
    pub(super) fn close(&self, meanwhile: impl FnOnce()) -> Result<()> {
        if self.lock().place.close_if_read_only() {
            meanwhile();
            return Ok(());
        }
        let started = Instant::now();
        let mut held = self.enter_alone(started).map_err(|Failure(error)| error.having_waited(started.elapsed()))?;
        // What the log holds of a commit that failed must not come back with the next opening.
        let healed = held.connection(self.busy_timeout.saturating_sub(started.elapsed())).map(drop);
        let healed = healed.map_err(|Failure(error)| error.having_waited(started.elapsed()));
        if matches!(healed, Err(Error::Busy { .. })) {
            return healed;
        }
        held.is_last = true;
        meanwhile();
        let Some(connection) = held.writer.connection.take() else { return healed };
        let checkpointed = transaction::checkpoint(&connection);
        let closed = connection.close().map_err(|(_, error)| error);
        Ok(checkpointed.and(closed).map_err(Failure::from)?)
    }

    /// Leaves the connection as it is, neither used nor closed.
    pub(super) fn forget(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(std::mem::replace(&mut state.place, Place::Closed));
    }

    /// Waits until the connection is free.
    fn enter_alone(&self, started: Instant) -> Result<Held<'_>, Failure> {
        match self.enter(started, None)? {
            Entered::Leading(held, _) => Ok(held),
            // Nobody does for another what was not brought along.
            Entered::Answered(answer) => Err(answer.err().unwrap_or(Error::Storage { source: None }).into()),
        }
    }

    /// Waits until the connection is free, or another has done the job.
    fn enter(&self, started: Instant, job: Option<Job>) -> Result<Entered<'_>, Failure> {
        let ticket = {
            let mut state = self.lock();
            match std::mem::replace(&mut state.place, Place::InUse) {
                Place::Free(writer) => return Ok(Entered::Leading(self.held(writer), job)),
                Place::Closed => {
                    state.place = Place::Closed;
                    return Err(Error::Closed.into());
                }
                Place::ReadOnly => {
                    state.place = Place::ReadOnly;
                    return Err(Error::ReadOnly { source: shared(ReadOnlyCause::Asked) }.into());
                }
                // It would wait for itself.
                Place::InUse if state.caller == Some(std::thread::current().id()) => {
                    return Err(Error::Busy { waited: started.elapsed(), source: shared(FromInside) }.into());
                }
                Place::InUse => state.line.join(job),
            }
        };
        let told = ticket.wait(self.busy_timeout.saturating_sub(started.elapsed()));
        if told.is_none() && self.lock().line.leave(&ticket) {
            return Err(Error::Busy { waited: started.elapsed(), source: None }.into());
        }
        match told.unwrap_or_else(|| ticket.wait_on()) {
            Turn::Lead(writer, job) => Ok(Entered::Leading(self.held(writer), job)),
            Turn::Answered(answer) => Ok(Entered::Answered(answer)),
            Turn::Panicked(panic) => resume_unwind(panic),
        }
    }

    /// Nobody gets through while this is held.
    #[cfg(test)]
    pub(super) fn hold(&self) -> Held<'_> {
        self.enter_alone(Instant::now()).map_err(|Failure(error)| error).unwrap()
    }

    /// How many stand in line.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().line.len()
    }

    fn held(&self, writer: Writer) -> Held<'_> {
        Held { door: self, writer, is_last: false, process: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed: nothing in between can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How waiting ended.
enum Entered<'a> {
    /// With the connection, and the job that was brought.
    Leading(Held<'a>, Option<Job>),
    /// With the job done by another.
    Answered(Result<()>),
}

/// The connection, held by the one who is inside; dropping this rolls back what was not committed and hands it on.
pub(super) struct Held<'a> {
    door: &'a Door,
    writer: Writer,
    is_last: bool,
    /// Where code of the caller's runs, which may fork: the process to which the connection to a file belongs.
    process: Option<u32>,
}

impl Held<'_> {
    /// The connection, outside of any transaction; a fresh one, had within `timeout`, if the one before was given up.
    fn connection(&mut self, timeout: Duration) -> Result<&mut Connection, Failure> {
        let connection = match (self.writer.connection.take(), &self.door.database) {
            (Some(connection), _) => connection,
            (None, Some(database)) => {
                let fresh = heal(database, timeout)?;
                self.writer.given_up = None;
                fresh
            }
            (None, None) => return Err(Error::Storage { source: None }.into()),
        };
        let connection = self.writer.connection.insert(connection);
        transaction::end(connection)?;
        Ok(connection)
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
    database.empty_log(&connection)?;
    Ok(connection)
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.process.is_some_and(|process| process != std::process::id()) {
            std::mem::forget(self.writer.connection.take());
        }
        // In memory the connection is the data: one that cannot roll back now, for want of memory, does so before its next use.
        let is_in_memory = self.door.database.is_none();
        let may_stay = |connection: &_| transaction::end(connection).is_ok() || is_in_memory;
        let writer =
            Writer { connection: self.writer.connection.take().filter(may_stay), ..std::mem::take(&mut self.writer) };
        let mut state = self.door.lock();
        state.caller = None;
        if self.is_last {
            state.place = Place::Closed;
            state.line.close();
        } else if let Some(first) = state.line.take_first() {
            first.lead(writer);
        } else {
            state.place = Place::Free(writer);
        }
    }
}

#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod failed_commit_tests;
#[cfg(test)]
mod full_disk_tests;
#[cfg(test)]
mod group_tests;
