//! The pool of connections for reading a file, opened when they are needed and kept for reuse.
//!
//! In WAL mode reads neither wait for a write nor block one. Each connection serves one thread at a time; the lock of
//! the pool is not held meanwhile.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::deadline::Deadline;
use crate::error::{Error, Result};
use crate::sqlite::database::Database;
use crate::sqlite::failure::Failure;
use crate::sqlite::read_connection::ReadConnection;
use crate::sqlite::snapshot::Snapshot;

/// At most this many threads read at the same time; further threads wait.
const READERS_MAX: usize = 8;

pub(crate) struct Readers {
    pool: Mutex<Pool>,
    /// Notified when a connection is returned.
    returned: Condvar,
    database: Arc<Database>,
    busy_timeout: Duration,
}

struct Pool {
    idle: Vec<ReadConnection>,
    in_use: usize,
    /// How many threads wait. Notifying unconditionally would cost a system call for every read.
    waiting: usize,
    is_closed: bool,
}

impl Readers {
    pub(super) fn new(database: Arc<Database>, first: Option<ReadConnection>, busy_timeout: Duration) -> Self {
        let pool = Pool { idle: Vec::from_iter(first), in_use: 0, waiting: 0, is_closed: false };
        Self { pool: Mutex::new(pool), returned: Condvar::new(), database, busy_timeout }
    }

    /// Runs `work` on a snapshot of the file.
    pub(super) fn read<T>(&self, work: impl FnOnce(&Snapshot<'_>) -> Result<T, Failure>) -> Result<T> {
        let deadline = Deadline::after(self.busy_timeout);
        let read = self.borrow(&deadline).and_then(|mut reader| reader.connection()?.snapshot(work));
        read.map_err(|failure| deadline.error(failure))
    }

    /// Closes the idle connections now, and the others when they are returned.
    pub(crate) fn close(&self) {
        let idle = {
            let mut pool = self.lock();
            pool.is_closed = true;
            std::mem::take(&mut pool.idle)
        };
        drop(idle);
        self.returned.notify_all();
    }

    /// Leaks the connections: after a fork they belong to the parent.
    pub(super) fn leak(&mut self) {
        let pool = self.pool.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(std::mem::take(&mut pool.idle));
    }

    fn borrow(&self, deadline: &Deadline) -> Result<Reader<'_>, Failure> {
        let mut pool = self.lock();
        loop {
            if pool.is_closed {
                return Err(Error::Closed.into());
            }
            if pool.in_use < READERS_MAX {
                pool.in_use += 1;
                return Ok(Reader { readers: self, connection: pool.idle.pop() });
            }
            let left = deadline.left();
            if left.is_zero() {
                return Err(Error::busy(deadline.waited()).into());
            }
            pool.waiting += 1;
            pool = self.returned.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
            pool.waiting -= 1;
        }
    }

    /// Takes a connection out of the pool until the guard is dropped.
    #[cfg(test)]
    pub(crate) fn lend(&self) -> Reader<'_> {
        self.borrow(&Deadline::after(self.busy_timeout)).map_err(|Failure(error)| error).unwrap()
    }

    /// Runs `work` on a connection for reading.
    #[cfg(test)]
    pub(crate) fn with_connection<T>(&self, work: impl FnOnce(&rusqlite::Connection) -> T) -> T {
        work(self.lend().connection().map_err(|Failure(error)| error).unwrap().plain())
    }

    /// How many threads wait for a connection, and how many connections are idle.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (usize, usize) {
        let pool = self.lock();
        (pool.waiting, pool.idle.len())
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        // A poisoned lock is harmless: nothing that runs under it can panic halfway through a change.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection taken out of the pool; dropping this guard returns it.
pub(crate) struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<ReadConnection>,
}

impl Reader<'_> {
    pub(crate) fn connection(&mut self) -> Result<&ReadConnection, Failure> {
        self.readers.database.check_log_was_kept()?;
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.readers.database.reader()?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.lock();
        pool.in_use -= 1;
        if !pool.is_closed {
            pool.idle.extend(self.connection.take());
        } else if let Some(connection) = &self.connection {
            // It may be the last connection of the store.
            let _ = connection.release_log(&self.readers.database);
        }
        if pool.waiting > 0 {
            self.readers.returned.notify_one();
        }
    }
}
