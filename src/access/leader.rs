//! The thread that has the writer's connection: it runs its job and those of its followers, and commits.

use std::time::Duration;

use super::job::Job;
use super::queue::Outcome;
use super::readers::Readers;
use super::recovery::{LeaderConnection, Log};
use super::writer::Writer;
use crate::error::Error;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::{CommitFailure, Failure, cause};
use crate::sqlite::progress::Callback;
use crate::sqlite::transaction::{Transaction, WriteConnection};
use crate::sqlite::{vacuum, wal};

/// The connection, held by the leader. Dropping this leader rolls back what was not committed and hands the connection
/// to the next waiter.
pub(crate) struct Leader<'a> {
    pub(super) writer: &'a Writer,
    pub(super) connection: LeaderConnection,
    /// The length of the log after the last commit of this leader.
    pub(super) log_length: u64,
    /// The store is closed when this leader is dropped.
    pub(super) closes_store: bool,
    /// The process that opened the file; set while code of the application runs, since it may fork.
    pub(super) application_process: Option<u32>,
}

impl Leader<'_> {
    /// Runs the job and, unless it must be alone, the small jobs at the front of the queue, in one transaction.
    pub(super) fn run_group<J: Job>(
        &mut self,
        job: &J,
        alone: bool,
        deadline: &Deadline,
    ) -> Result<J::Output, Failure> {
        let writer = self.writer;
        let transaction = self.begin(deadline)?;
        // On an early return or a panic, dropping the leader rolls back.
        let output = job.run(&transaction)?;
        let mut followers = if alone { Vec::new() } else { writer.take_followers(job) };
        let can_commit = followers.iter_mut().all(|follower| follower.follow(&transaction).is_ok());
        let committed = can_commit.then(|| transaction.commit());
        let (outcome, result) = match committed.map(|committed| self.after_commit(committed)) {
            Some(Ok(())) => (Outcome::Committed, Some(Ok(output))),
            Some(Err(CommitFailure::Unknown(source))) => {
                (Outcome::Unknown(source.clone()), Some(Err(job.outcome_unknown(output, source).into())))
            }
            Some(Err(CommitFailure::WithoutEffect(error))) => {
                (Outcome::RolledBack, followers.is_empty().then(|| Err(error.into())))
            }
            None => (Outcome::RolledBack, None),
        };
        let unfinished: Vec<_> = followers.into_iter().filter_map(|follower| follower.conclude(&outcome)).collect();
        if !unfinished.is_empty() {
            writer.put_back(unfinished);
        }
        match result {
            Some(result) => result,
            None => self.run_group(job, true, deadline),
        }
    }

    /// Notes that code of the application is going to run while this leader is held.
    pub(super) fn runs_application(&mut self) {
        self.writer.set_application_thread();
        self.application_process = self.writer.database.as_ref().map(|_| std::process::id());
    }

    /// Begins a write transaction.
    pub(super) fn begin(&mut self, deadline: &Deadline) -> Result<Transaction<'_>, Failure> {
        let writer = self.writer;
        let connection = self.ready(deadline)?;
        let transaction = connection.begin(deadline, |connection| match &writer.database {
            Some(database) => database.check_version(connection),
            None => Ok(()),
        })?;
        // After waiting for the lock, during which the file may have been moved.
        if let Some(database) = &writer.database {
            database.check_files()?;
        }
        Ok(transaction)
    }

    /// Records the result of a commit, and wakes the watches unless it had no effect. After a failed one the log needs
    /// recovery, unless SQLite was busy and wrote nothing.
    pub(super) fn after_commit(&mut self, committed: Result<(), CommitFailure>) -> Result<(), CommitFailure> {
        let checked = self.check_commit(committed);
        if !matches!(checked, Err(CommitFailure::WithoutEffect(_))) {
            self.writer.signal.committed();
        }
        checked
    }

    fn check_commit(&mut self, committed: Result<(), CommitFailure>) -> Result<(), CommitFailure> {
        if self.writer.database.is_some() {
            match committed {
                Ok(()) | Err(CommitFailure::WithoutEffect(Error::Busy { .. })) => {}
                Err(CommitFailure::WithoutEffect(_)) => self.connection.discard(Log::EndsInIncompleteCommit),
                Err(CommitFailure::Unknown(_)) => self.connection.discard(Log::MayBeLost),
            }
        }
        committed?;
        // If the file was moved or its log removed after the check at the beginning, the commit is where no other
        // process finds it.
        if let Some(database) = &self.writer.database {
            self.log_length = database.check_files().map_err(|error| CommitFailure::Unknown(cause(error)))?;
        }
        Ok(())
    }

    /// Checks what must hold before the database is written anew. Returns its length in bytes.
    pub(super) fn check_before_vacuum(&mut self, callback: Callback, deadline: &Deadline) -> Result<u64, Failure> {
        let file = self.writer.file();
        vacuum::check(self.ready(deadline)?.plain_to_rewrite(), file, callback)
    }

    /// Writes the database of this length anew. `callback` makes the callback of each attempt.
    pub(super) fn vacuum(
        &mut self,
        length: u64,
        callback: &impl Fn() -> Callback,
        deadline: &Deadline,
    ) -> Result<(), Failure> {
        let writer = self.writer;
        // It waits for the lock and looks at the version and the files. VACUUM begins a transaction of its own.
        self.begin(deadline)?;
        let connection = self.ready(deadline)?.plain_to_rewrite();
        if let Err(Failure(error)) = vacuum::run(connection, writer.file(), length, deadline, callback) {
            self.after_failed_vacuum(&error, deadline);
            return Err(error.into());
        }
        if let Some(database) = &writer.database {
            self.log_length = database.check_files()?;
        }
        Ok(())
    }

    /// As [after a failed commit](Self::after_commit): the error does not tell whether VACUUM had come to its own.
    fn after_failed_vacuum(&mut self, error: &Error, deadline: &Deadline) {
        match error {
            _ if self.writer.database.is_none() => {}
            // Nothing was written, or not yet a commit.
            Error::Busy { .. } | Error::Cancelled | Error::Corrupt { .. } => {}
            Error::StorageFull { .. } => {
                self.connection.discard(Log::EndsInIncompleteCommit);
                // Its frames in the log take the space that others need now.
                let _ = self.ready(deadline);
            }
            _ => self.connection.discard(Log::MayBeLost),
        }
    }

    /// The connection, outside any transaction.
    pub(crate) fn ready(&mut self, deadline: &Deadline) -> Result<&mut WriteConnection, Failure> {
        self.connection.ready(self.writer.database.as_deref(), deadline)
    }

    /// Begins the log anew if the last commit has made it too long. Waits at most until the deadline.
    pub(super) fn keep_log_short(&self, readers: Option<&Readers>, deadline: &Deadline) {
        if let (LeaderConnection::Ready(connection), Some(readers)) = (&self.connection, readers) {
            self.writer.log.keep(connection.plain(), self.log_length, readers, deadline.left());
        }
    }

    /// Checkpoints all of the log and truncates it. Waits at most `wait` for reads of this store, and as long for other
    /// processes; returns false if they go on for longer.
    pub(super) fn checkpoint(
        &mut self,
        readers: &Readers,
        wait: Duration,
        deadline: &Deadline,
    ) -> Result<bool, Failure> {
        let Some(database) = &self.writer.database else { return Ok(true) };
        database.check_files()?;
        let connection = self.ready(deadline)?;
        // Most of the work, while everything else goes on.
        wal::checkpoint_passive(connection.plain())?;
        let paused = readers.pause(wait);
        let are_idle = paused.as_ref().is_some_and(|paused| paused.are_idle);
        wal::checkpoint_and_truncate(connection.plain(), &database.file, if are_idle { wait } else { Duration::ZERO })
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if self.application_process.is_some_and(|process| process != std::process::id()) {
            self.connection.leak();
        }
        // In memory it may fail, for want of memory: it is rolled back before its next use.
        let _ = self.connection.roll_back(self.writer.database.is_none());
        self.writer.end_lead(self.connection.take(), self.closes_store);
    }
}
