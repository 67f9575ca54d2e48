//! The writer's connection, and the recovery after a failed commit.
//!
//! After an error of the disk it is unknown what the disk holds, and a failed commit may have been stored. Two things
//! can go wrong with the write-ahead log then. Its frames may be in the page cache only, marked as clean although the
//! sync failed: a later commit appended after them would be lost with them. And the frames of an incomplete commit may
//! be completed by the next commit, which overwrites them from their start and contains some of the same pages, if the
//! power fails in the middle of it. So before the next write a fresh connection checkpoints all of the log into the
//! file, syncs the file, and truncates the log. Other connections that read from the log can prevent that.
//!
//! On a full disk only the second can happen, because SQLite writes all of a commit before it syncs any of it. Then it
//! is enough to cut off what follows the last complete commit, which no reader prevents.

use crate::error::Error;
use crate::sqlite::database::Database;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::Failure;
use crate::sqlite::transaction::WriteConnection;
use crate::sqlite::wal;

/// The writer's connection, as it is handed from thread to thread.
pub(super) enum LeaderConnection {
    Ready(Box<WriteConnection>),
    /// A fresh connection must empty the log first.
    ///
    /// IMPORTANT: the discarded connection stays open until then, if it can be rolled back. If it were the last one to
    /// close, the next connection would recover the log from its start and treat the frames of the failed commit as
    /// committed.
    NeedsRecovery {
        discarded: Option<Box<WriteConnection>>,
        log: Log,
    },
}

/// The state of the log after a failed commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// Frames of an incomplete commit follow the last complete one.
    EndsInIncompleteCommit,
    /// Besides, earlier frames may not be on the disk, although they can be read.
    MayBeLost,
}

impl LeaderConnection {
    /// Marks the connection as in need of recovery, after a failed commit.
    pub(super) fn discard(&mut self, log: Log) {
        if let Self::Ready(connection) = self.take()
            && connection.roll_back().is_ok()
        {
            *self = Self::NeedsRecovery { discarded: Some(connection), log };
        }
    }

    /// The connection, outside any transaction; after a failed commit a fresh one, which waits for other connections at
    /// most until the deadline.
    pub(super) fn ready(
        &mut self,
        database: Option<&Database>,
        deadline: &Deadline,
    ) -> Result<&mut WriteConnection, Failure> {
        self.roll_back(database.is_none())?;
        if let (Self::NeedsRecovery { discarded, log }, Some(database)) = (&*self, database) {
            let fresh = database.writer_within(deadline.left())?;
            match discarded {
                Some(discarded) if *log == Log::EndsInIncompleteCommit => {
                    wal::cut_incomplete_commit(&fresh, discarded.plain(), &database.file, deadline)?;
                }
                _ if wal::checkpoint_and_truncate(&fresh, &database.file, deadline.left())? => {}
                _ => return Err(Error::busy(deadline.waited()).into()),
            }
            *self = Self::Ready(Box::new(WriteConnection::new(fresh)?));
        }
        match self {
            Self::Ready(connection) => Ok(connection),
            Self::NeedsRecovery { .. } => Err(Error::Storage { source: None }.into()),
        }
    }

    /// Rolls back what was not committed. A connection that cannot be rolled back is closed, which also rolls back. In
    /// memory closing it would lose the data, so it is rolled back before its next use.
    pub(super) fn roll_back(&mut self, is_in_memory: bool) -> Result<(), Failure> {
        let Self::Ready(connection) = self else { return Ok(()) };
        let rolled_back = connection.roll_back();
        if rolled_back.is_err() && !is_in_memory {
            drop(self.take());
            return Ok(());
        }
        rolled_back
    }

    /// See [`Database::release_log`].
    pub(super) fn release_log(&self, database: &Database) -> Result<(), Failure> {
        match self {
            Self::Ready(connection) | Self::NeedsRecovery { discarded: Some(connection), .. } => {
                database.release_log(connection.plain())
            }
            Self::NeedsRecovery { discarded: None, .. } => Ok(()),
        }
    }

    /// Leaks the connection: after a fork it belongs to the parent.
    pub(super) fn leak(&mut self) {
        std::mem::forget(self.take());
    }

    /// Moves the connection out, and leaves [`NeedsRecovery`](Self::NeedsRecovery) behind.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::NeedsRecovery { discarded: None, log: Log::MayBeLost })
    }
}
