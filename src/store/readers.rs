//! The readers: connections of their own for reading a file, opened when they are needed and kept.
//!
//! In WAL mode a reader waits for no writer and blocks none. A connection serves one thread at a time, and no lock is
//! held while it does.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::error::{Error, Failure, Result};
use crate::sqlite::opening::Database;

/// As many as read at once; the next waits.
const READERS_MAX: usize = 8;

pub(super) struct Readers {
    pool: Mutex<Pool>,
    /// Rung when a connection comes back.
    returned: Condvar,
    database: Arc<Database>,
    busy_timeout: Duration,
}

struct Pool {
    idle: Vec<Connection>,
    in_use: usize,
    /// How many wait: ringing where nobody does would be a call of the system on every read.
    waiting: usize,
    is_closed: bool,
}

impl Readers {
    pub(super) fn new(database: Arc<Database>, first: Option<Connection>, busy_timeout: Duration) -> Self {
        let pool = Pool { idle: Vec::from_iter(first), in_use: 0, waiting: 0, is_closed: false };
        Self { pool: Mutex::new(pool), returned: Condvar::new(), database, busy_timeout }
    }

    /// Does `work` on a connection for reading.
    pub(super) fn read<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T, Failure>) -> Result<T> {
        let started = Instant::now();
        let read = self.borrow(started).and_then(|mut reader| {
            let connection = reader.connection()?;
            // Rows that a later version wrote may look damaged to this one.
            work(connection).map_err(|failure| self.database.check_version(connection).err().unwrap_or(failure))
        });
        read.map_err(|Failure(error)| error.having_waited(started.elapsed()))
    }

    /// Closes the idle connections now, the others when they come back.
    pub(super) fn close(&self) {
        let idle = {
            let mut pool = self.lock();
            pool.is_closed = true;
            std::mem::take(&mut pool.idle)
        };
        drop(idle);
        self.returned.notify_all();
    }

    /// Leaves the connections as they are, neither used nor closed.
    pub(super) fn forget(&mut self) {
        let pool = self.pool.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(std::mem::take(&mut pool.idle));
    }

    fn borrow(&self, started: Instant) -> Result<Reader<'_>, Failure> {
        let mut pool = self.lock();
        loop {
            if pool.is_closed {
                return Err(Error::Closed.into());
            }
            if pool.in_use < READERS_MAX {
                pool.in_use += 1;
                return Ok(Reader { readers: self, connection: pool.idle.pop() });
            }
            let left = self.busy_timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Error::Busy { waited: started.elapsed(), source: None }.into());
            }
            pool.waiting += 1;
            pool = self.returned.wait_timeout(pool, left).unwrap_or_else(PoisonError::into_inner).0;
            pool.waiting -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        // A panic cannot leave the pool half changed: nothing in between can panic.
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, borrowed by the one who reads; it goes back when this is dropped.
struct Reader<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Reader<'_> {
    fn connection(&mut self) -> Result<&mut Connection, Failure> {
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
        }
        if pool.waiting > 0 {
            self.readers.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DatasetQuery, OrganizationId, Store};

    #[test]
    fn eight_read_at_once_and_the_next_waits() {
        let folder = tempfile::tempdir().unwrap();
        let options = Store::options().busy_timeout(Duration::from_millis(20));
        let store = options.open(folder.path().join("kpis.db")).unwrap();
        let ours = store.organization(OrganizationId::new());
        let readers = store.shared.readers.as_ref().unwrap();
        let borrow = || readers.borrow(Instant::now()).map_err(|Failure(error)| error);
        let mut borrowed: Vec<_> = (0..8).map(|_| borrow().unwrap()).collect();
        for reader in &mut borrowed {
            assert!(reader.connection().is_ok());
        }
        assert!(matches!(ours.count_datasets(&DatasetQuery::new()), Err(Error::Busy { .. })));
        borrowed.pop();
        assert_eq!(ours.count_datasets(&DatasetQuery::new()).unwrap(), 0);
    }

    #[test]
    fn who_waits_for_a_reader_is_woken_when_one_comes_back_and_when_the_store_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let timeout = Duration::from_mins(1);
        let store = Store::options().busy_timeout(timeout).open(folder.path().join("kpis.db")).unwrap();
        let ours = store.organization(OrganizationId::new());
        let readers = store.shared.readers.as_ref().unwrap();
        for is_closed in [false, true] {
            let borrow = || readers.borrow(Instant::now()).map_err(|Failure(error)| error).unwrap();
            let mut borrowed: Vec<_> = (0..8).map(|_| borrow()).collect();
            let started = Instant::now();
            let counted = std::thread::scope(|scope| {
                let waiting = scope.spawn(|| ours.count_datasets(&DatasetQuery::new()));
                while readers.lock().waiting == 0 {
                    std::thread::yield_now();
                }
                if is_closed {
                    readers.close();
                } else {
                    borrowed.pop();
                }
                waiting.join().unwrap()
            });
            assert!(started.elapsed() < timeout / 2, "closed: {is_closed}");
            assert_eq!(matches!(counted, Err(Error::Closed)), is_closed, "{counted:?}");
            // What comes back to a closed store is closed.
            drop(borrowed);
            assert_eq!(readers.lock().idle.is_empty(), is_closed);
        }
    }
}
