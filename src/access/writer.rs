//! The writer: every write goes through it, and jobs that wait at the same time share a transaction (group commit).
//!
//! This module and [`leader`](super::leader) own BEGIN IMMEDIATE, the commit, the rollback and the handling of a failed
//! commit. One connection writes; the thread that has it is the leader. A thread that arrives meanwhile enqueues its
//! job and waits ([`queue`](super::queue)). When the leader has run its own job, it runs the small jobs at the front of
//! the queue, each in a savepoint, so that the failure of one leaves the others intact, and commits once: one sync for
//! all of them. No call returns before the commit. If the transaction was rolled back, each job runs again alone in its
//! own thread, so that its result never depends on the other jobs of the transaction.
//!
//! Why a leader, and not one of the alternatives (figures: `docs/performance.md`)? With a mutex alone, eight threads
//! wait for eight syncs. A dedicated writer thread costs a lone writer two context switches for each write, and a
//! library should start no threads. Batches by time delay every write. Here a lone writer finds the queue empty and
//! runs its job as if there were no queue.
//!
//! The connection is handed to the first thread in the queue, so that no thread overtakes another. A large job is never
//! run as a follower, because callers with small jobs would wait for it; it leads when its turn comes. Waiting for the
//! connection and waiting for SQLite's lock, which another store or process may hold, share one deadline.
//!
//! No code of the application runs here, with two exceptions: a load into a file, whose input may be too large for
//! memory, and the callback of a compaction. They have the writer to themselves. A call that the application's code
//! makes from there and that needs the writer fails at once, because it would deadlock.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use rusqlite::Connection;

use super::job::Job;
use super::leader::Leader;
use super::log::{LogBound, wait_for_readers};
use super::queue::{WaitQueue, Waiter, Wake};
use super::readers::Readers;
use super::recovery::{LeaderConnection, Log};
use super::watch::Patience;
use crate::error::{Error, Result, Source};
use crate::sqlite::commit_signal::CommitSignal;
use crate::sqlite::database::Database;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::{CommitFailure, Failure, ReadOnlyCause, cause};
use crate::sqlite::progress::Callback;
use crate::sqlite::snapshot::{self, Snapshot};
use crate::sqlite::transaction::{Transaction, WriteConnection};

/// How often a watch that waits for the connection looks whether it was stopped.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(20);

pub(crate) struct Writer {
    pub(super) state: Mutex<State>,
    /// Opens a fresh connection; `None` in memory, where the connection is the database.
    pub(super) database: Option<Arc<Database>>,
    pub(super) busy_timeout: Duration,
    pub(super) log: LogBound,
    /// Wakes the watches after commits.
    pub(super) signal: Arc<CommitSignal>,
}

pub(super) struct State {
    pub(super) writer: WriterState,
    /// The threads that wait while the connection is in use.
    queue: WaitQueue,
    /// The thread that may run code of the application while it uses the connection.
    application_thread: Option<ThreadId>,
}

pub(super) enum WriterState {
    Idle(LeaderConnection),
    InUse,
    /// The store was opened for reading only.
    ReadOnly,
    Closed,
}

/// A call from code of the application that runs while the connection is held.
#[derive(Debug, thiserror::Error)]
#[error("the call came from an iterator, callback or id source that runs while the store is in use by the same thread")]
struct Reentrant;

/// The leader that ran the job panicked before the commit. Only a defect of this crate can cause that.
#[derive(Debug, thiserror::Error)]
#[error("the thread that wrote panicked before the commit")]
struct LeaderPanicked;

impl Writer {
    pub(super) fn new(
        first: Connection,
        database: Option<Arc<Database>>,
        busy_timeout: Duration,
        signal: Arc<CommitSignal>,
    ) -> Result<Self, Failure> {
        let mut connection = LeaderConnection::Ready(Box::new(WriteConnection::new(first)?));
        if database.as_ref().is_some_and(|database| !database.is_log_durable) {
            connection.discard(Log::MayBeLost);
        }
        Ok(Self::with(WriterState::Idle(connection), database, busy_timeout, signal))
    }

    /// A writer that refuses every write.
    pub(super) fn read_only(signal: Arc<CommitSignal>) -> Self {
        Self::with(WriterState::ReadOnly, None, Duration::ZERO, signal)
    }

    fn with(
        writer: WriterState,
        database: Option<Arc<Database>>,
        busy_timeout: Duration,
        signal: Arc<CommitSignal>,
    ) -> Self {
        let state = State { writer, queue: WaitQueue::default(), application_thread: None };
        let log = LogBound::new(database.as_ref().map_or(u64::MAX, |database| database.settings.log_max), busy_timeout);
        Self { state: Mutex::new(state), database, busy_timeout, log, signal }
    }

    /// Fails if the store was closed.
    pub(super) fn check_open(&self) -> Result<()> {
        if let WriterState::Closed = self.lock().writer { Err(Error::Closed) } else { Ok(()) }
    }

    /// Runs the job in one transaction, possibly shared with other jobs, and returns it with its output.
    pub(super) fn write<J: Job>(&self, job: J, readers: Option<&Readers>) -> Result<(J, J::Output)> {
        let deadline = Deadline::after(self.busy_timeout);
        match self.acquire(job, &deadline, None)? {
            Acquired::Leader { mut leader, job, alone } => {
                let output = self.diagnosed(|| leader.run_group(&job, alone, &deadline));
                let output = output.map_err(|failure| deadline.error(failure))?;
                leader.keep_log_short(readers, &deadline);
                Ok((job, output))
            }
            Acquired::Done(done) => done.map_err(|error| deadline.error(error.into())),
        }
    }

    /// Runs `work`, which may call code of the application, in a transaction of its own in this thread.
    pub(super) fn write_exclusively<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
        outcome_unknown: impl FnOnce(T, Option<Source>) -> Error,
        readers: Option<&Readers>,
    ) -> Result<()> {
        let deadline = Deadline::after(self.busy_timeout);
        let mut leader = self.acquire_connection(&deadline)?;
        leader.runs_application();
        let written = leader.begin(&deadline).and_then(|transaction| {
            let value = work(&transaction)?;
            Ok((value, transaction.commit()))
        });
        let diagnosed = |failure| match &self.database {
            Some(database) => database.diagnosed_error(failure),
            None => failure,
        };
        let (value, committed) = written.map_err(|failure| deadline.error(diagnosed(failure)))?;
        leader.after_commit(committed).map_err(|failed| match failed {
            CommitFailure::Unknown(source) => outcome_unknown(value, source),
            CommitFailure::WithoutEffect(error) => deadline.error(error.into()),
        })?;
        leader.keep_log_short(readers, &deadline);
        Ok(())
    }

    /// Writes the database anew. `callback` makes the callback of each part of the work. Returns the length of the
    /// database before, in bytes.
    pub(super) fn vacuum(&self, callback: &impl Fn() -> Callback) -> Result<u64> {
        let deadline = Deadline::after(self.busy_timeout);
        let mut leader = self.acquire_connection(&deadline)?;
        leader.runs_application();
        let length = self.diagnosed(|| leader.check_before_vacuum(callback(), &deadline));
        let length = length.map_err(|failure| deadline.error(failure))?;
        // The check may have taken long, which is not waiting.
        let deadline = Deadline::after(self.busy_timeout);
        let vacuumed = self.diagnosed(|| leader.vacuum(length, callback, &deadline));
        vacuumed.map(|()| length).map_err(|failure| deadline.error(failure))
    }

    /// Begins the log anew if it is too long and no write is in progress for long.
    pub(super) fn keep_log_short(&self, readers: &Readers) {
        let Some(Ok(length)) = self.database.as_ref().map(|database| database.check_files()) else { return };
        let deadline = Deadline::after(wait_for_readers(self.busy_timeout) * 2);
        if self.log.is_exceeded_by(length)
            && let Ok(mut leader) = self.acquire_connection(&deadline)
        {
            leader.log_length = length;
            leader.keep_log_short(Some(readers), &deadline);
        }
    }

    /// Checkpoints all of the log and truncates it. Returns false if another thread or process prevents it.
    pub(super) fn checkpoint(&self, readers: &Readers) -> Result<bool> {
        match self.empty_log(readers) {
            Err(Error::Busy { .. }) => Ok(false),
            emptied => emptied,
        }
    }

    /// The same, with [`Busy`](Error::Busy) if a write in progress prevents it.
    pub(super) fn empty_log(&self, readers: &Readers) -> Result<bool> {
        let (deadline, wait) = (Deadline::after(self.busy_timeout), wait_for_readers(self.busy_timeout));
        loop {
            let checkpointed = self
                .acquire_connection(&deadline)
                .and_then(|mut leader| Ok(self.diagnosed(|| leader.checkpoint(readers, wait, &deadline))?));
            match checkpointed {
                // In between, reads and writes of this store and of others go on.
                Ok(false) if !readers.has_own() && deadline.left() > wait * 3 => std::thread::sleep(wait),
                checkpointed => return checkpointed,
            }
        }
    }

    /// Runs `work` on a snapshot of a store in memory; for a watch, with its patience.
    pub(super) fn read<T>(
        &self,
        patience: Option<Patience<'_>>,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
    ) -> Result<T> {
        let timeout = patience.map_or(self.busy_timeout, |patience| patience.timeout.min(self.busy_timeout));
        let deadline = Deadline::after(timeout);
        let is_stopped = patience.map(|patience| patience.is_stopped);
        let mut leader = self.acquire(ConnectionWanted, &deadline, is_stopped)?.into_leader()?;
        let connection = leader.ready(&deadline).map_err(|failure| deadline.error(failure))?;
        snapshot::read(connection.plain(), true, work).map_err(|failure| deadline.error(failure))
    }

    /// Runs `work` up to three times, so that a read that failed is not answered as damage.
    pub(super) fn diagnosed<T>(&self, mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        match &self.database {
            Some(database) => database.diagnosed(|_| work()),
            None => work(),
        }
    }

    /// Waits for the connection.
    pub(super) fn acquire_connection(&self, deadline: &Deadline) -> Result<Leader<'_>> {
        self.acquire(ConnectionWanted, deadline, None)?.into_leader()
    }

    /// Waits for the connection, or until another thread has run the job, but not after the watch was stopped.
    fn acquire<J: Job>(&self, job: J, deadline: &Deadline, is_stopped: Option<&AtomicBool>) -> Result<Acquired<'_, J>> {
        let (id, woken) = {
            let mut state = self.lock();
            match std::mem::replace(&mut state.writer, WriterState::InUse) {
                WriterState::Idle(connection) => {
                    return Ok(Acquired::Leader { leader: self.leader(connection), job, alone: false });
                }
                WriterState::InUse if state.application_thread == Some(std::thread::current().id()) => {
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
        let wake = match receive(&woken, deadline, is_stopped) {
            Err(RecvTimeoutError::Timeout) if self.lock().queue.leave(id) => {
                return Err(Error::busy(deadline.waited()));
            }
            // The leader took the job before the timeout: its result arrives soon.
            Err(RecvTimeoutError::Timeout) => woken.recv().ok(),
            wake => wake.ok(),
        };
        match wake {
            Some(Wake::Lead { connection, job, alone }) => {
                Ok(Acquired::Leader { leader: self.leader(connection), job, alone })
            }
            Some(Wake::Done(done)) => Ok(Acquired::Done(done)),
            None => Err(self.check_open().err().unwrap_or_else(|| Error::storage(LeaderPanicked))),
        }
    }

    /// The file; `None` in memory.
    pub(super) fn file(&self) -> Option<&Path> {
        self.database.as_deref().map(|database| database.file.as_path())
    }

    /// Notes that this thread, which has the connection, is going to run code of the application.
    pub(super) fn set_application_thread(&self) {
        self.lock().application_thread = Some(std::thread::current().id());
    }

    /// The jobs from the front of the queue that share the transaction of the leader's job.
    pub(super) fn take_followers<J: Job>(&self, job: &J) -> Vec<Box<dyn Waiter>> {
        self.lock().queue.take_followers(job)
    }

    /// Puts followers back whose jobs must run alone.
    pub(super) fn put_back(&self, followers: Vec<Box<dyn Waiter>>) {
        self.lock().queue.put_back(followers);
    }

    /// Hands the connection to the next waiter, or closes the store.
    pub(super) fn end_lead(&self, connection: LeaderConnection, closes_store: bool) {
        let mut state = self.lock();
        state.application_thread = None;
        if closes_store {
            state.writer = WriterState::Closed;
            // To drop the waiters wakes them.
            state.queue = WaitQueue::default();
        } else if let Some(first) = state.queue.pop() {
            first.hand_over(connection);
        } else {
            state.writer = WriterState::Idle(connection);
        }
    }

    pub(super) fn leader(&self, connection: LeaderConnection) -> Leader<'_> {
        Leader { writer: self, connection, log_length: 0, closes_store: false, application_process: None }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is harmless: nothing that runs under it can panic halfway through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps every other thread waiting while the leader is held.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> Leader<'_> {
        self.acquire_connection(&Deadline::after(self.busy_timeout)).unwrap()
    }

    /// Whether the next write must recover from a failed commit.
    #[cfg(test)]
    pub(crate) fn needs_recovery(&self) -> bool {
        matches!(&self.lock().writer, WriterState::Idle(LeaderConnection::NeedsRecovery { .. }))
    }

    /// How many threads wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }
}

/// Waits for the message until the deadline, or until the watch was stopped, which is a timeout too.
fn receive<T>(
    woken: &Receiver<T>,
    deadline: &Deadline,
    is_stopped: Option<&AtomicBool>,
) -> Result<T, RecvTimeoutError> {
    let Some(is_stopped) = is_stopped else { return woken.recv_timeout(deadline.left()) };
    loop {
        // Not in the queue anew each time, which would cost its place.
        let received = woken.recv_timeout(deadline.left().min(STOP_CHECK_INTERVAL));
        let has_ended = is_stopped.load(Relaxed) || deadline.left().is_zero();
        if has_ended || !matches!(received, Err(RecvTimeoutError::Timeout)) {
            return received;
        }
    }
}

/// How waiting ended.
enum Acquired<'a, J: Job> {
    /// This thread has the connection and runs the job, in a transaction of its own if it must be alone.
    Leader { leader: Leader<'a>, job: J, alone: bool },
    /// Another thread ran the job.
    Done(Result<(J, J::Output)>),
}

impl<'a> Acquired<'a, ConnectionWanted> {
    fn into_leader(self) -> Result<Leader<'a>> {
        match self {
            Acquired::Leader { leader, .. } => Ok(leader),
            Acquired::Done(done) => Err(done.err().unwrap_or(Error::Storage { source: None })),
        }
    }
}

/// The job of a thread that needs only the connection.
struct ConnectionWanted;

impl Job for ConnectionWanted {
    type Output = ();

    fn run(&self, _: &Transaction<'_>) -> Result<(), Failure> {
        Ok(())
    }

    /// So large that it is never run as a follower.
    fn bytes(&self) -> usize {
        usize::MAX
    }

    fn outcome_unknown(&self, (): (), source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: Vec::new(), updated_at: None, source }
    }
}
