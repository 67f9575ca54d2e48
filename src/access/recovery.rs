//! The writer's connection, and the recovery after a failed commit.
//!
//! After an error of the disk it is unknown what the disk holds, and a failed commit may have been stored. Two things
//! can go wrong with the write-ahead log then. Its frames may be in the page cache only, marked as clean although the
//! sync failed: a later commit appended after them would be lost with them. And the frames of an incomplete commit may
//! be completed by the next commit, which overwrites them from their start and contains some of the same pages, if the
//! power fails in the middle of it. So before the next write a fresh connection checkpoints all of the log into the
//! file, syncs the file, and truncates the log.

use std::time::Duration;

use crate::error::Error;
use crate::sqlite::database::Database;
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
    },
}

impl LeaderConnection {
    /// Marks the connection as in need of recovery, after a failed commit.
    pub(super) fn discard(&mut self) {
        if let Self::Ready(connection) = self.take()
            && connection.roll_back().is_ok()
        {
            *self = Self::NeedsRecovery { discarded: Some(connection) };
        }
    }

    /// The connection, outside any transaction; after a failed commit a fresh one, which waits for other connections no
    /// longer than `timeout`.
    pub(super) fn ready(
        &mut self,
        database: Option<&Database>,
        timeout: Duration,
    ) -> Result<&mut WriteConnection, Failure> {
        self.roll_back(database.is_none())?;
        if let (Self::NeedsRecovery { .. }, Some(database)) = (&*self, database) {
            let fresh = database.writer_within(timeout)?;
            wal::checkpoint_and_truncate(&fresh, &database.file)?;
            *self = Self::Ready(Box::new(WriteConnection::new(fresh)));
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
            Self::Ready(connection) | Self::NeedsRecovery { discarded: Some(connection) } => {
                database.release_log(connection.plain())
            }
            Self::NeedsRecovery { discarded: None } => Ok(()),
        }
    }

    /// Leaks the connection: after a fork it belongs to the parent.
    pub(super) fn leak(&mut self) {
        std::mem::forget(self.take());
    }

    /// Moves the connection out, and leaves [`NeedsRecovery`](Self::NeedsRecovery) behind.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::NeedsRecovery { discarded: None })
    }
}
