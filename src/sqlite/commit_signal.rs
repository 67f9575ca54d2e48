//! Waking the threads of this process that wait for commits to a file.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Wakes the watches of a file, or of a store in memory. All stores of this process that have the file open share it.
#[derive(Debug, Default)]
pub(crate) struct CommitSignal {
    watches: AtomicUsize,
    /// How often the watches were woken.
    count: Mutex<u64>,
    counted: Condvar,
}

impl CommitSignal {
    pub(crate) fn add_watch(&self) {
        self.watches.fetch_add(1, Relaxed);
    }

    pub(crate) fn remove_watch(&self) {
        self.watches.fetch_sub(1, Relaxed);
    }

    /// Wakes the watches, if there are any, after a commit. Without any it costs one load.
    ///
    /// Relaxed is enough: a watch is added before its first read, and read and commit take a lock in turn, that of the
    /// writer in memory and otherwise one of SQLite. If the read is first, this sees the watch; if not, the read sees
    /// the commit.
    pub(crate) fn committed(&self) {
        if self.watches.load(Relaxed) > 0 {
            self.wake();
        }
    }

    /// Wakes the watches.
    pub(crate) fn wake(&self) {
        *self.lock() += 1;
        self.counted.notify_all();
    }

    /// How often the watches were woken.
    pub(crate) fn count(&self) -> u64 {
        *self.lock()
    }

    /// Waits until the count differs from `seen`, or this time has come.
    pub(crate) fn wait(&self, seen: u64, until: Option<Instant>) {
        let is_seen = |count: &mut u64| *count == seen;
        let count = self.lock();
        // The guard is not needed any more.
        match until.map(|until| until.saturating_duration_since(Instant::now())) {
            Some(left) => drop(self.counted.wait_timeout_while(count, left, is_seen)),
            None => drop(self.counted.wait_while(count, is_seen)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
