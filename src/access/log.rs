//! How long the write-ahead log may become.
//!
//! SQLite copies the log into the file by itself, but begins the log anew only at a moment when nothing reads from it.
//! Beside readers that overlap there is no such moment, and the log would grow without end. So a writer that finds it
//! longer than [`Settings::log_max`] makes one: readers of this store begin no new reads for a moment, and SQLite waits for
//! those of other processes (figures: `docs/performance.md`). A snapshot that is held for longer prevents that. Then
//! each write tries without waiting, and one waits again whenever the log has grown by half, so that a snapshot that is
//! held for very long delays few writes.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::readers::Readers;
#[cfg(doc)]
use crate::sqlite::database::Settings;
use crate::sqlite::wal::{self, Restart};

/// How long a writer waits at most for the reads of this store, and then for those of other processes. Short reads end
/// long before, unless the machine is overloaded.
const WAIT_MAX: Duration = Duration::from_millis(200);

/// How long it waits with this busy timeout. Both waits together take half of it, so that they alone make no call fail.
pub(super) fn wait_for_readers(busy_timeout: Duration) -> Duration {
    WAIT_MAX.min(busy_timeout / 4)
}

/// An attempt that takes longer did copy pages. After one that failed, the next is made only after ten times as long.
const SHORT_ATTEMPT: Duration = Duration::from_millis(1);

/// Keeps the log short.
pub(super) struct LogBound {
    /// A longer log is begun anew. In bytes.
    max: u64,
    /// How long an attempt waits at most for readers.
    wait: Duration,
    attempts: Mutex<Attempts>,
}

/// When to try next, after a failed attempt.
#[derive(Default)]
struct Attempts {
    /// The length of the log at which an attempt waits for readers.
    waits_at: u64,
    not_before: Option<Instant>,
}

impl LogBound {
    pub(super) fn new(max: u64, busy_timeout: Duration) -> Self {
        Self { max, wait: wait_for_readers(busy_timeout), attempts: Mutex::default() }
    }

    /// Whether a log of this length is to begin anew.
    pub(super) fn is_exceeded_by(&self, length: u64) -> bool {
        length > self.max
    }

    /// Begins the log anew if it is too long. `length` is that of the file, and `left` what is left of the time that the
    /// call may take.
    ///
    /// Best effort: a failure does not affect the transactions that were committed before.
    pub(super) fn keep(&self, connection: &Connection, length: u64, readers: &Readers, left: Duration) {
        if self.is_exceeded_by(length) {
            let wait = self.wait.min(left / 2);
            let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = attempts.attempt(connection, length, self.max, readers, wait);
        }
    }
}

impl Attempts {
    fn attempt(
        &mut self,
        connection: &Connection,
        length: u64,
        max: u64,
        readers: &Readers,
        wait: Duration,
    ) -> rusqlite::Result<()> {
        let started = Instant::now();
        if self.not_before.is_some_and(|not_before| started < not_before) {
            return Ok(());
        }
        // A log that has grown to twice the bound, beside a snapshot that was held, gives its space back.
        let (used, is_to_shrink) = (wal::length_of_commits(connection)?, length > 2 * max);
        if used <= max && !is_to_shrink {
            *self = Self::default();
            return Ok(());
        }
        let how = if is_to_shrink { Restart::Truncated } else { Restart::Overwritten };
        let paused = if used >= self.waits_at { readers.pause(wait) } else { None };
        let waits = paused.is_some();
        let are_idle = paused.as_ref().is_some_and(|paused| paused.are_idle);
        let restarted = wal::restart(connection, how, if are_idle { wait } else { Duration::ZERO });
        drop(paused);
        if matches!(restarted, Ok(true)) {
            *self = Self::default();
            return Ok(());
        }
        let took = started.elapsed();
        if waits {
            self.waits_at = used + used / 2;
        } else if took > SHORT_ATTEMPT {
            self.not_before = Some(started + took * 10);
        }
        restarted.map(drop)
    }
}
