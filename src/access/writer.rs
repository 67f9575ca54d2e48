//! The writer: every write goes through it, and jobs that wait at the same time share a transaction (group commit).
//!
//! It owns BEGIN IMMEDIATE, the commit, the rollback and what became of it. One connection writes; the thread that has it
//! is the leader. A thread that arrives meanwhile enqueues its job and waits ([`queue`](super::queue)). When the leader has
//! run its own job, it runs the small jobs at the front of the queue, each in a savepoint, so that the failure of one
//! leaves the others, and commits once: one wait for the disk for all of them. No caller is answered before that. Where the
//! transaction is lost or nothing of it was committed, each job is run again alone by its own thread, so that its answer is
//! true of it, and not of what others did in the same transaction.
//!
//! Why a leader, and not one of the alternatives (figures: `docs/performance.md`)? With a mutex alone eight threads wait for
//! eight syncs. A thread that writes for all costs a lone writer two switches of threads for each write, and a library
//! should start no threads. Batches by time make every writer wait for a clock. Here a lone writer finds the queue empty
//! and runs its job as if there were none.
//!
//! The connection is handed to the first in the queue, so that no thread overtakes another. A large job is never run as a
//! follower: callers with a small one would wait for it; it leads when its turn comes. Waiting for the connection and
//! waiting for SQLite's lock, which another store or process may hold, share one deadline.
//!
//! No code of the application runs in here, with two exceptions: a load whose input is not to be held in memory, and in
//! memory the callbacks of a verification or backup. They have the writer for themselves, and what that code asks of the
//! writer is refused at once, since it would wait for itself.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use rusqlite::Connection;

use super::deadline::Deadline;
use super::job::Job;
use super::queue::{Fate, WaitQueue, Wake};
use super::recovery::WriterConnection;
use crate::error::{Error, Result, Source};
use crate::sqlite::connection::set_busy_timeout;
use crate::sqlite::failure::{CommitFailure, Failure, ReadOnlyCause, cause};
use crate::sqlite::open::Database;
use crate::sqlite::transaction::{self, Snapshot};
use crate::sqlite::write_connection::{Transaction, WriteConnection};

pub(crate) struct Writer {
    state: Mutex<State>,
    /// Where a fresh connection comes from; none in memory, where the connection is the database.
    database: Option<Arc<Database>>,
    busy_timeout: Duration,
}

struct State {
    writer: WriterState,
    /// The threads that wait while the connection is in use.
    queue: WaitQueue,
    /// The thread in which code of the application may run while the connection is in use.
    caller: Option<ThreadId>,
}

enum WriterState {
    Idle(WriterConnection),
    InUse,
    /// The store was opened for reading only.
    ReadOnly,
    Closed,
}

/// A call from code of the application that runs while the connection is held.
#[derive(Debug, thiserror::Error)]
#[error("the call came from inside of a call that holds the store: from its iterator, callback or source of ids")]
struct Reentrant;

/// The thread that ran the job is gone. It panicked before the commit, which it cannot do but by a defect.
#[derive(Debug, thiserror::Error)]
#[error("the thread that wrote panicked before the commit")]
struct LeaderPanicked;

impl Writer {
    pub(super) fn new(first: Connection, database: Option<Arc<Database>>, busy_timeout: Duration) -> Self {
        let mut connection = WriterConnection::Ready(Box::new(WriteConnection::new(first)));
        if database.as_ref().is_some_and(|database| !database.is_settled) {
            connection.discard();
        }
        Self::with(WriterState::Idle(connection), database, busy_timeout)
    }

    /// A writer that refuses every write.
    pub(super) fn read_only() -> Self {
        Self::with(WriterState::ReadOnly, None, Duration::ZERO)
    }

    fn with(writer: WriterState, database: Option<Arc<Database>>, busy_timeout: Duration) -> Self {
        let state = State { writer, queue: WaitQueue::default(), caller: None };
        Self { state: Mutex::new(state), database, busy_timeout }
    }

    /// Refuses once the store was closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if let WriterState::Closed = self.lock().writer { Err(Error::Closed) } else { Ok(()) }
    }

    /// Runs the job in one transaction, perhaps shared with others, and gives it back with its output.
    pub(super) fn write<J: Job>(&self, job: J) -> Result<(J, J::Output)> {
        let deadline = Deadline::after(self.busy_timeout);
        match self.acquire(job, &deadline)? {
            Acquired::Connection(mut guard, job, alone) => {
                let output = guard.lead(&job, alone, &deadline).map_err(|failure| deadline.error(failure))?;
                Ok((job, output))
            }
            Acquired::Done(done) => done.map_err(|error| deadline.error(error.into())),
        }
    }

    /// Runs `work`, in which code of the application may run, in one transaction in this thread.
    pub(super) fn write_exclusively<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
        outcome_unknown: impl FnOnce(T, Option<Source>) -> Error,
    ) -> Result<()> {
        let deadline = Deadline::after(self.busy_timeout);
        let mut guard = self.acquire_connection(&deadline)?;
        self.lock().caller = Some(std::thread::current().id());
        guard.process = self.database.as_ref().map(|_| std::process::id());
        let written = guard.begin(&deadline).and_then(|transaction| {
            let value = work(&transaction)?;
            Ok((value, transaction.commit()))
        });
        let (value, committed) = written.map_err(|failure| deadline.error(failure))?;
        guard.committed(committed).map_err(|failed| match failed {
            CommitFailure::Unknown(source) => outcome_unknown(value, source),
            CommitFailure::WithoutEffect(error) => deadline.error(error.into()),
        })?;
        if let (Some(database), WriterConnection::Ready(connection)) = (&self.database, &guard.connection) {
            database.shorten_log(connection.plain());
        }
        Ok(())
    }

    /// Runs `work` on a snapshot of a store in memory.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>) -> Result<T> {
        self.with_connection(|connection| transaction::read(connection, work))
    }

    /// Runs `work` on the one connection of a store in memory.
    pub(super) fn with_connection<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Failure>) -> Result<T> {
        let deadline = Deadline::after(self.busy_timeout);
        let mut guard = self.acquire_connection(&deadline)?;
        self.lock().caller = Some(std::thread::current().id());
        guard
            .ready(Duration::ZERO)
            .and_then(|connection| work(connection.plain_mut()))
            .map_err(|failure| deadline.error(failure))
    }

    /// Closes the store once the write in progress is done; `meanwhile` runs when no thread can write any more.
    pub(super) fn close(&self, meanwhile: impl FnOnce()) -> Result<()> {
        {
            let mut state = self.lock();
            if let WriterState::ReadOnly = state.writer {
                // There is no writer to wait for and nothing to copy.
                state.writer = WriterState::Closed;
                drop(state);
                meanwhile();
                return Ok(());
            }
        }
        let deadline = Deadline::after(self.busy_timeout);
        let mut guard = self.acquire_connection(&deadline)?;
        // What the log holds of a commit that failed must not come back with the next opening.
        let recovered = guard.ready(deadline.left()).map(drop).map_err(|failure| deadline.error(failure));
        if matches!(recovered, Err(Error::Busy { .. })) {
            return recovered;
        }
        guard.is_last = true;
        meanwhile();
        match guard.connection.take() {
            WriterConnection::Ready(connection) => Ok(connection.close()?),
            WriterConnection::NeedsRecovery { .. } => recovered,
        }
    }

    /// Leaks the connection: after a fork it is the parent's.
    pub(super) fn leak(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(std::mem::replace(&mut state.writer, WriterState::Closed));
    }

    /// Waits for the connection.
    fn acquire_connection(&self, deadline: &Deadline) -> Result<WriterGuard<'_>> {
        match self.acquire(ConnectionWanted, deadline)? {
            Acquired::Connection(guard, ..) => Ok(guard),
            Acquired::Done(done) => Err(done.err().unwrap_or(Error::Storage { source: None })),
        }
    }

    /// Waits for the connection, or until another thread has run the job.
    fn acquire<J: Job>(&self, job: J, deadline: &Deadline) -> Result<Acquired<'_, J>> {
        let (id, woken) = {
            let mut state = self.lock();
            match std::mem::replace(&mut state.writer, WriterState::InUse) {
                WriterState::Idle(connection) => {
                    return Ok(Acquired::Connection(self.guard(connection), job, false));
                }
                WriterState::InUse if state.caller == Some(std::thread::current().id()) => {
                    return Err(Error::Busy { waited: deadline.waited(), source: cause(Reentrant) });
                }
                WriterState::InUse => state.queue.join(job),
                WriterState::ReadOnly => {
                    state.writer = WriterState::ReadOnly;
                    return Err(Error::ReadOnly { source: cause(ReadOnlyCause::Asked) });
                }
                WriterState::Closed => {
                    state.writer = WriterState::Closed;
                    return Err(Error::Closed);
                }
            }
        };
        let wake = match woken.recv_timeout(deadline.left()) {
            Err(RecvTimeoutError::Timeout) if self.lock().queue.leave(id) => {
                return Err(Error::busy(deadline.waited()));
            }
            // Its job was taken over before its time was up: what became of it is on its way.
            Err(RecvTimeoutError::Timeout) => woken.recv().ok(),
            wake => wake.ok(),
        };
        match wake {
            Some(Wake::Lead { connection, job, alone }) => Ok(Acquired::Connection(self.guard(connection), job, alone)),
            Some(Wake::Done(done)) => Ok(Acquired::Done(done)),
            None => Err(self.check_open().err().unwrap_or_else(|| Error::storage(LeaderPanicked))),
        }
    }

    fn guard(&self, connection: WriterConnection) -> WriterGuard<'_> {
        WriterGuard { writer: self, connection, is_last: false, process: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic cannot leave the state half changed: nothing in between can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps every other thread waiting while the guard is held.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> WriterGuard<'_> {
        self.acquire_connection(&Deadline::after(self.busy_timeout)).unwrap()
    }

    /// Whether the next write must recover from a failed commit.
    #[cfg(test)]
    pub(crate) fn needs_recovery(&self) -> bool {
        matches!(&self.lock().writer, WriterState::Idle(WriterConnection::NeedsRecovery { .. }))
    }

    /// How many threads wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }
}

/// How waiting ended.
enum Acquired<'a, J: Job> {
    /// With the connection, to run the job; alone, if it must not share its transaction.
    Connection(WriterGuard<'a>, J, bool),
    /// With the job run by another thread.
    Done(Result<(J, J::Output)>),
}

/// The job of a thread that wants nothing but the connection.
struct ConnectionWanted;

impl Job for ConnectionWanted {
    type Output = ();

    fn run(&self, _: &Transaction<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// No other thread runs it.
    fn bytes(&self) -> usize {
        usize::MAX
    }

    fn outcome_unknown(&self, source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: Vec::new(), source }
    }
}

/// The connection, held by the leader. Dropping this rolls back what was not committed and hands the connection on.
pub(crate) struct WriterGuard<'a> {
    writer: &'a Writer,
    connection: WriterConnection,
    is_last: bool,
    /// Where code of the application runs, which may fork: the process to which the connection to a file belongs.
    process: Option<u32>,
}

impl WriterGuard<'_> {
    /// Runs the job and then, unless it must be alone, those at the front of the queue, in one transaction.
    fn lead<J: Job>(&mut self, job: &J, alone: bool, deadline: &Deadline) -> Result<J::Output, Failure> {
        let writer = self.writer;
        let transaction = self.begin(deadline)?;
        // However this ends early, even by a panic, the drop of the guard rolls back.
        let output = job.run(&transaction)?;
        let mut followers = if alone { Vec::new() } else { writer.lock().queue.take_followers(job) };
        let is_whole = followers.iter_mut().all(|follower| follower.follow(&transaction).is_ok());
        let committed = is_whole.then(|| transaction.commit());
        let (fate, result) = match committed.map(|committed| self.committed(committed)) {
            Some(Ok(())) => (Fate::Committed, Some(Ok(output))),
            Some(Err(CommitFailure::Unknown(source))) => {
                (Fate::Unknown(source.clone()), Some(Err(job.outcome_unknown(source).into())))
            }
            Some(Err(CommitFailure::WithoutEffect(error))) => {
                (Fate::Undone, followers.is_empty().then(|| Err(error.into())))
            }
            None => (Fate::Undone, None),
        };
        let unanswered: Vec<_> = followers.into_iter().filter_map(|follower| follower.conclude(&fate)).collect();
        if !unanswered.is_empty() {
            writer.lock().queue.put_back(unanswered);
        }
        match result {
            Some(result) => result,
            None => self.lead(job, true, deadline),
        }
    }

    /// Begins a transaction that writes.
    fn begin(&mut self, deadline: &Deadline) -> Result<Transaction<'_>, Failure> {
        if let Some(database) = &self.writer.database {
            database.check_unmoved()?;
        }
        let writer = self.writer;
        let connection = self.ready(deadline.left())?;
        set_busy_timeout(connection.plain(), deadline.left())?;
        connection.begin(|connection| match &writer.database {
            Some(database) => database.check_version(connection),
            None => Ok(()),
        })
    }

    /// Notes how a commit ended: after one that failed, unless it was refused before anything was written, the log needs
    /// recovery.
    fn committed(&mut self, committed: Result<(), CommitFailure>) -> Result<(), CommitFailure> {
        if self.writer.database.is_some()
            && !matches!(committed, Ok(()) | Err(CommitFailure::WithoutEffect(Error::Busy { .. })))
        {
            self.connection.discard();
        }
        committed
    }

    /// The connection, outside of any transaction.
    pub(crate) fn ready(&mut self, timeout: Duration) -> Result<&mut WriteConnection, Failure> {
        self.connection.ready(self.writer.database.as_deref(), timeout)
    }
}

impl Drop for WriterGuard<'_> {
    fn drop(&mut self) {
        if self.process.is_some_and(|process| process != std::process::id()) {
            self.connection.leak();
        }
        // In memory it may fail, for want of memory: it is rolled back before its next use.
        let _ = self.connection.roll_back(self.writer.database.is_none());
        let connection = self.connection.take();
        let mut state = self.writer.lock();
        state.caller = None;
        if self.is_last {
            state.writer = WriterState::Closed;
            // To drop the waiters wakes them.
            state.queue = WaitQueue::default();
        } else if let Some(first) = state.queue.pop() {
            first.lead(connection);
        } else {
            state.writer = WriterState::Idle(connection);
        }
    }
}
