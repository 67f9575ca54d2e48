//! How long a call may wait in total.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::sqlite::failure::Failure;

/// The one deadline of a call, shared by everything that it waits for.
pub(super) struct Deadline {
    started: Instant,
    timeout: Duration,
}

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Self { started: Instant::now(), timeout }
    }

    pub(super) fn waited(&self) -> Duration {
        self.started.elapsed()
    }

    pub(super) fn left(&self) -> Duration {
        self.timeout.saturating_sub(self.waited())
    }

    /// The error that the call returns: [`Busy`](Error::Busy) names the time that the call waited in total.
    pub(super) fn error(&self, Failure(error): Failure) -> Error {
        error.with_waited(self.waited())
    }
}
