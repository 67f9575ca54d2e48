//! Watches: threads that wait until something was committed, and then read what has changed.
//!
//! A commit of this process wakes the watches of its file by [`CommitSignal`]. Those of other processes are found by
//! polling: SQLite's `data_version` changes when another connection has committed. The waiting thread polls, since a
//! library should start no threads. Both only say that there may be something new: the read that follows decides.
//!
//! A watch does not keep the store open. It has access to the store only while it polls or reads, and the last handle,
//! when it is dropped, waits until that has ended: so it is never the watch that closes the store.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::Access;
use super::readers::Readers;
use crate::error::{Error, Result};
use crate::sqlite::commit_signal::CommitSignal;
use crate::sqlite::failure::{Forked, cause};

/// How often a waiting watch polls for commits of other processes. Half of the delay that is promised.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long a watch pauses after an error. The pause doubles with each further one.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The part of a store that its watches share. It does not keep the store open.
#[derive(Debug)]
pub(super) struct WatchedStore {
    pub(super) signal: Arc<CommitSignal>,
    /// The store, until it is closed. Locked for reading while a watch uses it.
    access: RwLock<Weak<Access>>,
    /// The process that opened the store.
    process: u32,
    is_in_memory: bool,
}

impl WatchedStore {
    pub(super) fn new(signal: Arc<CommitSignal>, is_in_memory: bool) -> Arc<Self> {
        Arc::new(Self { signal, access: RwLock::default(), process: std::process::id(), is_in_memory })
    }

    /// Lets watches use the store.
    pub(super) fn begin(&self, access: &Arc<Access>) {
        *self.access.write().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(access);
    }

    /// Waits until no watch uses the store, and wakes them: the store is closed.
    ///
    /// IMPORTANT: in memory a watch that reads waits for the writer, so the caller must not hold it.
    pub(super) fn end(&self) {
        // The lock may be that of a thread that a forked child does not have.
        if self.process == std::process::id() {
            *self.access.write().unwrap_or_else(PoisonError::into_inner) = Weak::new();
            self.signal.wake();
        }
    }

    /// Runs `work` on the store, unless it was closed.
    fn with<T>(&self, work: impl FnOnce(&Access) -> Result<T>) -> Result<T> {
        self.check_process()?;
        // IMPORTANT: the lock is released after the reference was dropped.
        let lock = self.access.read().unwrap_or_else(PoisonError::into_inner);
        let access = lock.upgrade().ok_or(Error::Closed)?;
        work(&access)
    }

    /// Fails in a forked child of the process that opened the file.
    fn check_process(&self) -> Result<()> {
        if !self.is_in_memory && self.process != std::process::id() {
            return Err(Error::Storage { source: cause(Forked) });
        }
        Ok(())
    }
}

/// A watch of a store.
#[derive(Debug)]
pub(crate) struct Watch {
    store: Arc<WatchedStore>,
    is_stopped: Arc<AtomicBool>,
    /// When to poll next; `None` in memory.
    next_poll: Option<Instant>,
    /// The count of the signal before the last read that found nothing.
    seen: Option<u64>,
    /// After an error: when to try again.
    retry_at: Option<Instant>,
    /// How long the pause after the next error is.
    pause: Duration,
}

/// How long a read of a watch waits for a connection.
#[derive(Clone, Copy)]
pub(crate) struct Patience<'a> {
    /// At most so long, and not longer than the busy timeout.
    pub(super) timeout: Duration,
    /// In memory also not after the watch was stopped.
    pub(super) is_stopped: &'a AtomicBool,
}

impl Watch {
    /// Watches the store. Opens the connection that polls, if this is its first watch.
    pub(super) fn new(access: &Access) -> Result<Self> {
        let store = Arc::clone(&access.watched);
        store.signal.add_watch();
        access.readers.iter().for_each(Readers::add_watch);
        let next_poll = (!store.is_in_memory).then(Instant::now);
        let is_stopped = Arc::default();
        let mut watch = Self { store, is_stopped, next_poll, seen: None, retry_at: None, pause: PAUSE_MIN };
        watch.poll_if_due()?;
        Ok(watch)
    }

    /// Calls `read` at once, and again whenever something may have been committed, until it finds something or the
    /// timeout has passed. After an error it pauses first.
    pub(crate) fn wait<T>(
        &mut self,
        timeout: Duration,
        read: impl FnMut(&Access, Patience<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        // Before any lock, which may be that of a thread that a forked child does not have.
        self.store.check_process()?;
        // A time too far to be expressed never comes.
        let until = Instant::now().checked_add(timeout);
        let waited = self.pause_after_error(until).and_then(|()| self.wait_until(timeout, until, read));
        if waited.is_ok() {
            (self.retry_at, self.pause) = (None, PAUSE_MIN);
        } else {
            self.retry_at = Some(Instant::now() + self.pause);
            self.pause = longer(self.pause);
        }
        waited.map_err(|error| self.check_stopped().err().unwrap_or(error))
    }

    /// Whether every further attempt would fail with this error too.
    pub(crate) fn is_permanent(&self, error: &Error) -> bool {
        match error {
            Error::InvalidCursor | Error::TooNew { .. } => true,
            // A file that was moved may come back, but not its log.
            Error::InvalidPath { .. } => self.store.with(Access::check_log_was_kept).is_err(),
            _ => self.store.check_process().is_err(),
        }
    }

    /// A handle that stops this watch.
    pub(crate) fn stop_handle(&self) -> StopHandle {
        StopHandle { store: Arc::clone(&self.store), is_stopped: Arc::clone(&self.is_stopped) }
    }

    fn wait_until<T>(
        &mut self,
        timeout: Duration,
        until: Option<Instant>,
        mut read: impl FnMut(&Access, Patience<'_>) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        if !self.store.is_in_memory {
            // Another process may have committed since the last poll. In memory every commit counts, and without one
            // the connection is not needed, which may be in use for long.
            self.seen = None;
        }
        loop {
            let polled = self.poll_if_due();
            // IMPORTANT: the count comes before the checks and the read, so that what is done after them wakes this
            // thread.
            let count = self.store.signal.count();
            self.check_stopped()?;
            if self.seen != Some(count) {
                let patience = self.patience(timeout, until);
                match self.store.with(|access| read(access, patience)) {
                    Ok(None) => self.seen = Some(count),
                    // No connection became free until the timeout.
                    Err(Error::Busy { .. }) if !timeout.is_zero() && has_come(until) => return Ok(None),
                    found => return found,
                }
            }
            // Only now, so that a poll that failed does not hide changes that can be read.
            polled?;
            if has_come(until) {
                return Ok(None);
            }
            self.store.signal.wait(count, earlier(until, self.next_poll));
        }
    }

    fn patience(&self, timeout: Duration, until: Option<Instant>) -> Patience<'_> {
        let left = match until {
            // The call asks what there is, and only the read can tell.
            _ if timeout.is_zero() => Duration::MAX,
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        };
        Patience { timeout: left, is_stopped: &self.is_stopped }
    }

    /// Wakes all watches of the file, this one too, if another process may have committed.
    fn poll_if_due(&mut self) -> Result<()> {
        if has_come(self.next_poll) {
            let polled = self.store.with(Access::poll);
            self.next_poll = Some(Instant::now() + POLL_INTERVAL);
            if polled? {
                self.store.signal.wake();
            }
        }
        Ok(())
    }

    /// Waits after an error, so that a loop over errors does not occupy the processor.
    fn pause_after_error(&self, until: Option<Instant>) -> Result<()> {
        let Some(retry_at) = earlier(until, self.retry_at).filter(|_| self.retry_at.is_some()) else { return Ok(()) };
        loop {
            let count = self.store.signal.count();
            self.check_stopped()?;
            self.store.with(|_| Ok(()))?;
            if has_come(Some(retry_at)) {
                return Ok(());
            }
            self.store.signal.wait(count, Some(retry_at));
        }
    }

    fn check_stopped(&self) -> Result<()> {
        if self.is_stopped.load(Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.store.process == std::process::id() {
            self.store.signal.remove_watch();
            // A store that was closed has closed its connections.
            let _ = self.store.with(|access| {
                access.readers.iter().for_each(Readers::remove_watch);
                Ok(())
            });
        }
    }
}

/// Stops a [`Watch`](crate::Watch) from another thread; obtained from
/// [`Watch::stop_handle`](crate::Watch::stop_handle).
///
/// A clone stops the same watch. The handle keeps neither the watch nor the store open.
#[derive(Clone)]
pub struct StopHandle {
    store: Arc<WatchedStore>,
    is_stopped: Arc<AtomicBool>,
}

impl StopHandle {
    /// Stops the watch, for good: its [`wait`](crate::Watch::wait) fails with [`Cancelled`](crate::Error::Cancelled),
    /// at once if it is waiting, and the iterator ends. The store stays open.
    ///
    /// A second call changes nothing, and neither does one after the watch was dropped.
    pub fn stop(&self) {
        self.is_stopped.store(true, Relaxed);
        // A forked child has no thread that waits.
        if self.store.process == std::process::id() {
            self.store.signal.wake();
        }
    }
}

impl std::fmt::Debug for StopHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StopHandle").field("is_stopped", &self.is_stopped).finish_non_exhaustive()
    }
}

fn has_come(time: Option<Instant>) -> bool {
    time.is_some_and(|time| Instant::now() >= time)
}

/// The pause after a further error.
fn longer(pause: Duration) -> Duration {
    (pause * 2).min(PAUSE_MAX)
}

/// The earlier of two times, where `None` never comes.
fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second() {
        let pauses = std::iter::successors(Some(PAUSE_MIN), |pause| Some(longer(*pause)));
        let millis: Vec<_> = pauses.take(7).map(|pause| pause.as_millis()).collect();
        assert_eq!(millis, [50, 100, 200, 400, 800, 1_000, 1_000]);
    }
}
