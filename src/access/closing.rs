//! Closing a store: the writer, then the readers, and the writer's connection last, which checkpoints the log.

use std::sync::PoisonError;

use super::readers::Readers;
use super::recovery::LeaderConnection;
use super::writer::{Writer, WriterState};
use crate::error::{Error, Result};
use crate::sqlite::deadline::Deadline;
use crate::sqlite::wal;

impl Writer {
    /// Closes the store once the write in progress is done, and the readers when no thread can write any more.
    /// `end_watches` is called before that, so that the connection of none is open at the end.
    pub(super) fn close(&self, readers: Option<&Readers>, end_watches: impl FnOnce()) -> Result<()> {
        {
            let mut state = self.lock();
            if let WriterState::ReadOnly = state.writer {
                // There is no write to wait for and no log to checkpoint.
                state.writer = WriterState::Closed;
                drop(state);
                if let Some(readers) = readers {
                    end_watches();
                    readers.close();
                    readers.end();
                }
                return Ok(());
            }
        }
        let deadline = Deadline::after(self.busy_timeout);
        let mut leader = self.acquire_connection(&deadline)?;
        // The next opening must not recover the frames of a failed commit from the log.
        let recovered = self.diagnosed(|| leader.ready(&deadline).map(drop));
        let recovered = recovered.map_err(|failure| deadline.error(failure));
        if matches!(recovered, Err(Error::Busy { .. })) {
            return recovered;
        }
        leader.closes_store = true;
        if let Some(readers) = readers {
            end_watches();
            readers.close();
        }
        let connection = leader.connection.take();
        let released = self.database.as_ref().map_or(Ok(()), |database| connection.release_log(database));
        let closed = match (released, connection) {
            (Err(lost), connection) => {
                // The log is not its own any more: the connection leaves it alone.
                drop(connection);
                Err(lost.into())
            }
            (Ok(()), LeaderConnection::Ready(connection)) => {
                let checkpointed = self.diagnosed(|| Ok(wal::checkpoint_passive(connection.plain())?));
                let closed = connection.close(|connection| match readers {
                    Some(readers) => readers.keep_until_unused(connection),
                    None => Some(connection),
                });
                checkpointed.and(closed).map_err(Error::from)
            }
            (Ok(()), LeaderConnection::NeedsRecovery { .. }) => recovered,
        };
        readers.into_iter().for_each(Readers::end);
        closed
    }

    /// Before the writer is dropped: see `Database::release_log`.
    pub(super) fn release_log(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let (WriterState::Idle(connection), Some(database)) = (&state.writer, &self.database) {
            let _ = connection.release_log(database);
        }
    }

    /// Leaks the connection: after a fork it belongs to the parent.
    pub(super) fn leak(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(std::mem::replace(&mut state.writer, WriterState::Closed));
    }
}
