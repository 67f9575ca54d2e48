//! The first reads of a store, on the writer's connection.
//!
//! Opening a connection costs as much as dozens of reads, since SQLite parses the schema each time. A program that opens
//! a store, reads a few datasets and closes it needs no second one. So the first reads use the writer's connection if it
//! is idle and no other is open. A write that arrives meanwhile waits until the read ends or is interrupted, which happens
//! after some milliseconds: SQLite counts the steps of all runs of a statement, so it may be sooner. An interrupted read is
//! repeated on a connection of its own, and so are all reads after it: as soon as a store is read for long, or read and
//! written by several threads, reads and writes do not wait for each other. In a store whose writes must not wait, no read
//! uses the writer's connection.
//!
//! A read that fails, for whatever reason, is repeated on a connection for reading too.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::readers::Readers;
use super::recovery::LeaderConnection;
use super::writer::{Writer, WriterState};
use crate::sqlite::failure::Failure;
use crate::sqlite::snapshot::Snapshot;

/// How many reads use the writer's connection. Each looks at the files first, which a kept connection for reading need
/// not: a program that reads more often gains by one of its own.
const EARLY_READS_MAX: u32 = 8;

/// With a shorter busy timeout, a write could fail because it had to wait for such a read.
const BUSY_TIMEOUT_MIN: Duration = Duration::from_millis(250);

#[derive(Debug, Default)]
pub(super) struct EarlyReads {
    count: AtomicU32,
}

impl EarlyReads {
    /// Runs `work` on the writer's connection. `None` if the read is to be done on a connection for reading.
    pub(super) fn read<T>(
        &self,
        writer: &Writer,
        readers: &Readers,
        work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>,
    ) -> Option<T> {
        if self.count.load(Relaxed) >= EARLY_READS_MAX {
            return None;
        }
        self.count.fetch_add(1, Relaxed);
        let read = if readers.have_connection() { None } else { writer.read_briefly(work) };
        if read.is_none() {
            self.count.store(EARLY_READS_MAX, Relaxed);
        }
        read
    }
}

impl Writer {
    /// Runs `work` on a snapshot of the file. `None` if the connection is not idle, and if the read fails or is long.
    fn read_briefly<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>) -> Option<T> {
        let database = self.database.as_deref()?;
        if self.busy_timeout < BUSY_TIMEOUT_MIN {
            return None;
        }
        let connection = {
            let mut state = self.lock();
            match std::mem::replace(&mut state.writer, WriterState::InUse) {
                WriterState::Idle(connection @ LeaderConnection::Ready(_)) => connection,
                other => {
                    state.writer = other;
                    return None;
                }
            }
        };
        // From here on the leader hands the connection on, however this ends.
        let mut leader = self.leader(connection);
        database.check_files().ok()?;
        // Taken, so that a panic does not leave the bound of the read on the connection of the next write.
        let LeaderConnection::Ready(mut connection) = leader.connection.take() else { return None };
        let read = connection.read_briefly(database, work);
        leader.connection = LeaderConnection::Ready(connection);
        read
    }
}
