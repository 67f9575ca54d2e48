//! How long a call may wait in total, and how it waits for the write lock of the file.
//!
//! SQLite's own busy handler would sleep up to 100 ms at a time, count the time that it means to sleep rather than the
//! time that passes, and give each attempt the same chance, however long a connection has waited. Here the pauses
//! become shorter with the time waited, so that between processes the one that has waited longest usually comes first,
//! and the last pause ends at the deadline (figures: `docs/performance.md`).

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::sqlite::failure::Failure;

/// The shortest pauses before another attempt, by the time waited; the longest are twice as long.
const PAUSES: [(Duration, Duration); 3] = [
    (Duration::from_millis(5), Duration::from_millis(1)),
    (Duration::from_millis(20), Duration::from_micros(300)),
    (Duration::from_millis(60), Duration::from_micros(100)),
];
const SHORTEST_PAUSE: Duration = Duration::from_micros(50);

/// A pause is at least so many times as long as the attempt before it. On a machine that is busy with waiting processes
/// attempts take longer, and the one that has the lock gets on with its work.
const ATTEMPT_SHARE: u32 = 4;

/// The one deadline of a call, shared by everything that it waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    started: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(crate) fn after(timeout: Duration) -> Self {
        Self { started: Instant::now(), timeout }
    }

    pub(crate) fn waited(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.waited())
    }

    /// The error that the call returns: [`Busy`](Error::Busy) names the time that the call waited in total.
    pub(crate) fn error(&self, Failure(error): Failure) -> Error {
        error.with_waited(self.waited())
    }

    /// Sleeps before another attempt, at most until the deadline. `attempt` is when the last one began. Returns false, at
    /// once, if the deadline has passed.
    pub(super) fn pause(&self, attempt: Instant) -> bool {
        let waited = self.waited();
        let left = self.timeout.saturating_sub(waited);
        if left.is_zero() {
            return false;
        }
        std::thread::sleep(length_of_pause(waited, attempt.elapsed()).min(left));
        true
    }
}

/// The length of the pause of a call that has waited for so long, after an attempt that took so long.
fn length_of_pause(waited: Duration, attempt: Duration) -> Duration {
    let by_age = PAUSES.iter().find(|(until, _)| waited < *until).map_or(SHORTEST_PAUSE, |(_, pause)| *pause);
    let shortest = by_age.max(attempt * ATTEMPT_SHARE);
    // The last digits of the time spread the attempts of processes that wait for the same lock.
    shortest + shortest * (waited.subsec_nanos() % 1_000) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_end_with_the_deadline_and_never_begin_after_it() {
        let timeout = Duration::from_millis(80);
        let deadline = Deadline::after(timeout);
        let mut pauses = 0;
        while deadline.pause(Instant::now()) {
            pauses += 1;
        }
        assert!(deadline.waited() >= timeout && deadline.left().is_zero());
        assert!(pauses > 10, "the pauses become shorter: {pauses}");
        assert!(!Deadline::after(Duration::ZERO).pause(Instant::now()));
    }

    #[test]
    fn pauses_shorten_with_the_time_waited_and_last_longer_than_the_attempt_before() {
        let pause = |waited_micros, attempt_micros| {
            length_of_pause(Duration::from_micros(waited_micros), Duration::from_micros(attempt_micros)).as_micros()
        };
        for (waited, shortest) in
            [(0, 1_000), (4_999, 1_000), (5_000, 300), (20_000, 100), (60_000, 50), (1_000_000, 50)]
        {
            assert_eq!(pause(waited, 0), shortest, "after {waited} µs");
        }
        assert_eq!(pause(60_000, 100), 400, "four times an attempt of 100 µs");
        assert_eq!(pause(0, 10), 1_000);
        // The last three digits of the nanoseconds.
        assert_eq!(length_of_pause(Duration::from_nanos(500), Duration::ZERO), Duration::from_micros(1_500));
        assert_eq!(length_of_pause(Duration::from_nanos(7_000_250), Duration::ZERO), Duration::from_micros(375));
    }
}
