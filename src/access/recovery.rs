//! The connection that writes, and what must happen after a commit that failed.
//!
//! A commit that fails may have happened all the same: after an error of the disk nobody knows what is on it. What the log
//! holds may be in the system's memory and not on the disk, marked as written: a later commit behind it would be lost with
//! it. And what it holds of a commit that was cut off could be completed by the next one, which begins in its place and
//! writes some of the same pages, if the power fails in the middle of that. So before the next write a fresh connection
//! copies all of the log into the file, makes the file durable, and begins the log anew.

use std::time::Duration;

use crate::error::Error;
use crate::sqlite::failure::Failure;
use crate::sqlite::open::Database;
use crate::sqlite::write_connection::WriteConnection;

/// The connection that writes, as it is handed from thread to thread.
pub(super) enum WriterConnection {
    Ready(Box<WriteConnection>),
    /// The log must be emptied by a fresh connection first.
    ///
    /// IMPORTANT: the one before stays open until then, if it can be rolled back. Were it the last, the next one would read the
    /// log from its start, and take what it holds of the failed commit for committed.
    NeedsRecovery {
        _discarded: Option<Box<WriteConnection>>,
    },
}

impl WriterConnection {
    /// After a commit that failed.
    pub(super) fn discard(&mut self) {
        if let Self::Ready(connection) = self.take()
            && connection.roll_back().is_ok()
        {
            *self = Self::NeedsRecovery { _discarded: Some(connection) };
        }
    }

    /// The connection, outside of any transaction; after a failed commit a fresh one, waiting for others no longer than
    /// `timeout`.
    pub(super) fn ready(
        &mut self,
        database: Option<&Database>,
        timeout: Duration,
    ) -> Result<&mut WriteConnection, Failure> {
        self.roll_back(database.is_none())?;
        if let (Self::NeedsRecovery { .. }, Some(database)) = (&*self, database) {
            let fresh = database.writer_within(timeout)?;
            database.empty_log(&fresh)?;
            *self = Self::Ready(Box::new(WriteConnection::new(fresh)));
        }
        match self {
            Self::Ready(connection) => Ok(connection),
            Self::NeedsRecovery { .. } => Err(Error::Storage { source: None }.into()),
        }
    }

    /// Rolls back what was not committed. A connection that cannot be rolled back is closed, which rolls back too. In memory
    /// the connection is the data: there it is rolled back before its next use.
    pub(super) fn roll_back(&mut self, is_in_memory: bool) -> Result<(), Failure> {
        let Self::Ready(connection) = self else { return Ok(()) };
        let rolled_back = connection.roll_back();
        if rolled_back.is_err() && !is_in_memory {
            drop(self.take());
            return Ok(());
        }
        rolled_back
    }

    /// Leaks the connection: after a fork it is the parent's.
    pub(super) fn leak(&mut self) {
        std::mem::forget(self.take());
    }

    /// The connection, which is then no longer here.
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::NeedsRecovery { _discarded: None })
    }
}
