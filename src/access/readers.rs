//! The pool of connections for reading a file, opened when they are needed and kept for reuse.
//!
//! In WAL mode reads neither wait for a write nor block one, except that [they pause](Readers::pause) for a moment when the
//! log has become long. Each connection serves one thread at a time; the lock of the pool is not held meanwhile.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sqlite::database::Database;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::{Failure, changed_while_read};
use crate::sqlite::polling::Polling;
use crate::sqlite::read_connection::{OpenedReader, ReadConnection};
use crate::sqlite::snapshot::Snapshot;

/// At most this many threads read at the same time; further threads wait.
const READERS_MAX: usize = 8;

/// The same with a read of a watch, which is short: it does not wait for reads that may be long, only for others of
/// watches.
const READERS_MAX_FOR_WATCHES: usize = READERS_MAX + 1;

pub(crate) struct Readers {
    pool: Mutex<Pool>,
    /// Notified when a connection is returned.
    returned: Condvar,
    database: Arc<Database>,
    busy_timeout: Duration,
}

/// When a read may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// Not while reads are [paused](Readers::pause).
    AfterPause,
    /// At once: a read of a watch, so short and rare that the log can begin anew beside it. If it has to wait for a
    /// connection, then at most so long.
    AtOnce(Duration),
}

struct Pool {
    idle: Vec<ReadConnection>,
    in_use: usize,
    /// How many threads wait. Notifying unconditionally would cost a system call for every read.
    waiting: usize,
    /// How many of them are reads of watches, which may begin when others may not.
    waiting_watches: usize,
    is_paused: bool,
    /// How many connections are in use that were opened for one call and do not belong to the pool.
    own: usize,
    watches: Watches,
    is_closed: bool,
    /// Whether the writer has no connection any more, except for the one that it may have left here.
    is_over: bool,
    /// The writer's connection, after the store was closed while some connection was in use.
    ///
    /// IMPORTANT: it is closed last, since the last connection checkpoints the log and removes it, and only one that can
    /// write can do so.
    writer: Option<Connection>,
}

/// The watches, which share a connection.
#[derive(Default)]
struct Watches {
    count: usize,
    /// The connection; `None` without watches, before the first poll and during one.
    idle: Option<Polling>,
    are_polling: bool,
}

impl Readers {
    pub(super) fn new(database: Arc<Database>, first: Option<ReadConnection>, busy_timeout: Duration) -> Self {
        let pool = Pool {
            idle: Vec::from_iter(first),
            in_use: 0,
            waiting: 0,
            waiting_watches: 0,
            is_paused: false,
            own: 0,
            watches: Watches::default(),
            is_closed: false,
            is_over: false,
            writer: None,
        };
        Self { pool: Mutex::new(pool), returned: Condvar::new(), database, busy_timeout }
    }

    /// Runs `work` on a snapshot of the file, again if a read fails.
    pub(super) fn read<T>(&self, begin: Begin, work: impl Fn(&Snapshot<'_>) -> Result<T, Failure>) -> Result<T> {
        let deadline = Deadline::after(match begin {
            Begin::AfterPause => self.busy_timeout,
            Begin::AtOnce(wait) => wait.min(self.busy_timeout),
        });
        let read = self.database.diagnosed(|damage_is_known| {
            self.borrow(begin, &deadline).and_then(|mut reader| reader.read(damage_is_known, &work, &deadline))
        });
        read.map_err(|failure| deadline.error(failure))
    }

    /// Runs `work` on a connection opened for it, again if a read fails.
    pub(super) fn with_own_connection<T>(&self, work: impl Fn(OpenedReader, bool) -> Result<T, Failure>) -> Result<T> {
        {
            let mut pool = self.lock();
            if pool.is_closed {
                return Err(Error::Closed);
            }
            pool.own += 1;
        }
        let _counted = Own { readers: self };
        Ok(self.database.diagnosed(|damage_is_known| work(self.database.whole_reader()?, damage_is_known))?)
    }

    pub(super) fn add_watch(&self) {
        self.lock().watches.count += 1;
    }

    /// Without watches nothing polls, and the connection serves other reads.
    pub(super) fn remove_watch(&self) {
        let mut pool = self.lock();
        pool.watches.count = pool.watches.count.saturating_sub(1);
        if pool.watches.count == 0 {
            let connection = pool.watches.idle.take().and_then(Polling::into_connection);
            pool.idle.extend(connection);
        }
    }

    /// Whether another connection may have changed the file since the last poll. False if another thread is polling,
    /// which wakes all watches.
    pub(super) fn poll(&self) -> Result<bool> {
        let polling = {
            let mut pool = self.lock();
            if pool.is_closed {
                return Err(Error::Closed);
            }
            if pool.watches.are_polling {
                return Ok(false);
            }
            pool.watches.are_polling = true;
            pool.watches.idle.take().unwrap_or_else(|| Polling::with(pool.idle.pop()))
        };
        let mut poller = Poller { readers: self, polling };
        Ok(self.database.diagnosed(|_| poller.polling.poll(&self.database))?)
    }

    /// Keeps the writer's connection of a closed store until no other connection is in use. Returns it if none is.
    pub(super) fn keep_until_unused(&self, writer: Connection) -> Option<Connection> {
        let mut pool = self.lock();
        if pool.is_unused() {
            return Some(writer);
        }
        pool.writer = Some(writer);
        None
    }

    /// Notes that the writer has closed its connection, or left it here. A connection in use is closed when it is
    /// returned.
    pub(super) fn end(&self) {
        let mut pool = self.lock();
        pool.is_over = true;
        self.close_if_unused(&mut pool);
    }

    /// Closes the writer's connection of a closed store, if it is the last.
    fn close_if_unused(&self, pool: &mut Pool) {
        if pool.is_over && pool.is_unused() {
            drop(pool.writer.take());
            self.database.forget_lost_log();
        }
    }

    /// Closes the idle connections now, and the others when they are returned.
    pub(crate) fn close(&self) {
        self.database.forget_log();
        let idle = {
            let mut pool = self.lock();
            pool.is_closed = true;
            (std::mem::take(&mut pool.idle), pool.watches.idle.take())
        };
        drop(idle);
        self.returned.notify_all();
    }

    /// Leaks the connections: after a fork they belong to the parent.
    pub(super) fn leak(&mut self) {
        let pool = self.pool.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget((std::mem::take(&mut pool.idle), pool.watches.idle.take(), pool.writer.take()));
    }

    /// Lets no further read begin, and waits at most `timeout` until those in progress have ended. `None`, at once, if it
    /// may not wait, or if a connection of one call has a snapshot: that may be a call from which this one comes.
    pub(super) fn pause(&self, timeout: Duration) -> Option<Paused<'_>> {
        let mut pool = self.lock();
        if timeout.is_zero() || pool.own > 0 {
            return None;
        }
        pool.is_paused = true;
        let is_in_use = |pool: &mut Pool| pool.is_read();
        let waited = self.returned.wait_timeout_while(pool, timeout, is_in_use).unwrap_or_else(PoisonError::into_inner);
        Some(Paused { readers: self, are_idle: !waited.0.is_read() })
    }

    /// Whether a connection of one call is in use, for a verification or a backup.
    pub(super) fn has_own(&self) -> bool {
        self.lock().own > 0
    }

    /// Whether a connection is open that reads can use, or is in use.
    pub(super) fn have_connection(&self) -> bool {
        let pool = self.lock();
        pool.in_use > 0 || !pool.idle.is_empty()
    }

    fn borrow(&self, begin: Begin, deadline: &Deadline) -> Result<Reader<'_>, Failure> {
        let is_of_watch = begin != Begin::AfterPause;
        let in_use_max = if is_of_watch { READERS_MAX_FOR_WATCHES } else { READERS_MAX };
        let mut pool = self.lock();
        loop {
            let is_paused = pool.is_paused && !is_of_watch;
            if pool.is_closed {
                return Err(Error::Closed.into());
            }
            if pool.in_use < in_use_max && !is_paused {
                pool.in_use += 1;
                return Ok(Reader { readers: self, connection: pool.idle.pop() });
            }
            let left = deadline.left();
            if left.is_zero() && !is_paused {
                return Err(Error::busy(deadline.waited()).into());
            }
            pool.waiting += 1;
            pool.waiting_watches += usize::from(is_of_watch);
            pool = if is_paused {
                // A pause is short, and no reason for a read to fail.
                self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.returned.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0
            };
            pool.waiting -= 1;
            pool.waiting_watches -= usize::from(is_of_watch);
        }
    }

    /// Takes a connection out of the pool until the guard is dropped.
    #[cfg(test)]
    pub(crate) fn lend(&self) -> Reader<'_> {
        self.borrow(Begin::AfterPause, &Deadline::after(self.busy_timeout)).map_err(|Failure(error)| error).unwrap()
    }

    /// The same, as for a read of a watch.
    #[cfg(test)]
    pub(crate) fn lend_to_watch(&self) -> Reader<'_> {
        let begin = Begin::AtOnce(Duration::ZERO);
        self.borrow(begin, &Deadline::after(Duration::ZERO)).map_err(|Failure(error)| error).unwrap()
    }

    /// Runs `work` on a connection for reading.
    #[cfg(test)]
    pub(crate) fn with_connection<T>(&self, work: impl FnOnce(&Connection) -> T) -> T {
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
    /// Runs `work` on a snapshot, again if the file changed meanwhile and the connection does not notice.
    fn read<T>(
        &mut self,
        damage_is_known: bool,
        work: &impl Fn(&Snapshot<'_>) -> Result<T, Failure>,
        deadline: &Deadline,
    ) -> Result<T, Failure> {
        loop {
            let connection = self.connection()?;
            let worked = connection.snapshot(damage_is_known, work);
            if connection.is_current()? {
                return worked;
            }
            if deadline.left().is_zero() {
                return Err(changed_while_read().into());
            }
        }
    }

    /// A connection that sees the file as it is now.
    pub(crate) fn connection(&mut self) -> Result<&ReadConnection, Failure> {
        self.readers.database.check_log_was_kept()?;
        let connection = match self.connection.take() {
            Some(connection) if connection.is_current()? => connection,
            _ => self.readers.database.reader()?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.lock();
        if pool.is_closed {
            // Before the writer's connection, which must be the last.
            drop(self.connection.take());
        } else {
            pool.idle.extend(self.connection.take());
        }
        pool.in_use -= 1;
        if pool.is_paused || pool.waiting_watches > 0 {
            // One that is notified might not be one that may begin.
            self.readers.returned.notify_all();
        } else if pool.waiting > 0 {
            self.readers.returned.notify_one();
        }
        self.readers.close_if_unused(&mut pool);
    }
}

/// The connection of the watches, while it polls; dropping this guard returns it.
struct Poller<'a> {
    readers: &'a Readers,
    polling: Polling,
}

impl Drop for Poller<'_> {
    fn drop(&mut self) {
        let polling = std::mem::take(&mut self.polling);
        let mut pool = self.readers.lock();
        if pool.is_closed {
            // Before the writer's connection, which must be the last.
            drop(polling);
        } else if pool.watches.count == 0 {
            pool.idle.extend(polling.into_connection());
        } else {
            pool.watches.idle = Some(polling);
        }
        pool.watches.are_polling = false;
        if pool.is_paused {
            self.readers.returned.notify_all();
        }
        self.readers.close_if_unused(&mut pool);
    }
}

/// A connection that was opened for one call and does not belong to the pool. Dropped after the connection.
struct Own<'a> {
    readers: &'a Readers,
}

impl Drop for Own<'_> {
    fn drop(&mut self) {
        let mut pool = self.readers.lock();
        pool.own -= 1;
        self.readers.close_if_unused(&mut pool);
    }
}

impl Pool {
    fn is_unused(&self) -> bool {
        !self.is_read() && self.own == 0
    }

    /// Whether a connection of the pool is in use.
    fn is_read(&self) -> bool {
        self.in_use > 0 || self.watches.are_polling
    }
}

/// While this exists, reads that have not begun wait. One thread at a time, the leader of the writer, may have it.
pub(super) struct Paused<'a> {
    readers: &'a Readers,
    /// Whether no read is in progress.
    pub(super) are_idle: bool,
}

impl Drop for Paused<'_> {
    fn drop(&mut self) {
        self.readers.lock().is_paused = false;
        self.readers.returned.notify_all();
    }
}
