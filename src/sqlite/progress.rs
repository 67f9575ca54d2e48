//! Progress callbacks of long statements, which can also cancel them.

use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

use super::budget::{self, Verdict};
use super::failure::Failure;
use crate::error::Error;
use crate::model::progress::Progress;

/// A caller's progress callback, which decides whether to continue.
///
/// It is `'static` because rusqlite requires that of a progress handler (`rusqlite::Connection::progress_handler`).
pub(crate) type Callback = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

/// A callback that never cancels.
pub(super) fn ignored() -> Callback {
    Box::new(|_| ControlFlow::Continue(()))
}

/// Copies of one callback, for several statements and attempts.
pub(crate) fn shared(callback: Callback) -> impl Fn() -> Callback {
    let callback = Arc::new(Mutex::new(callback));
    move || {
        let callback = Arc::clone(&callback);
        // A callback that panicked once is not called again.
        Box::new(move |progress| callback.lock().map_or(ControlFlow::Break(()), |mut callback| callback(progress)))
    }
}

/// Runs `work`, and calls `callback` regularly and at the end with `done` of `total`; the callback can cancel the work.
/// See [`interruptible`] for the other arguments.
pub(super) fn reported<T>(
    connection: &mut Connection,
    file: Option<&Path>,
    callback: Callback,
    total: u64,
    max: impl Fn() -> u64 + Send + 'static,
    done: impl Fn() -> u64 + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let callback = shared(callback);
    let worked = interruptible(connection, file, callback(), total, max, done, work)?;
    if callback()(Progress::new(total, total)).is_break() { Err(Error::Cancelled.into()) } else { Ok(worked) }
}

/// Runs `work`, and calls `callback` regularly with `done` of `total`; the callback can cancel the work.
/// The work is bounded by the length of `file`, unless the database is in memory, and by `max`, which `done` never
/// exceeds for an intact file. Both bounds are read at every check: other connections may write meanwhile.
///
/// A panic of the callback continues when the statement has ended: rusqlite would turn it into an interruption.
pub(super) fn interruptible<T>(
    connection: &mut Connection,
    file: Option<&Path>,
    mut callback: Callback,
    total: u64,
    max: impl Fn() -> u64 + Send + 'static,
    done: impl Fn() -> u64 + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let panicked = Arc::new(Mutex::new(None::<Box<dyn Any + Send>>));
    let set_panicked = Arc::clone(&panicked);
    let mut during = move |progress| {
        catch_unwind(AssertUnwindSafe(|| callback(progress))).unwrap_or_else(|payload| {
            *set_panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
            ControlFlow::Break(())
        })
    };
    let steps = budget::steps_of_file(file.map(Path::to_owned));
    let verdict = move |taken| match done() {
        done if done > max() || taken > steps() => Verdict::BudgetExceeded,
        done if during(Progress::new(done.min(total), total)).is_break() => Verdict::Cancelled,
        _ => Verdict::Continue,
    };
    let worked = budget::run(connection, verdict, work);
    if let Some(payload) = panicked.lock().unwrap_or_else(PoisonError::into_inner).take() {
        resume_unwind(payload);
    }
    worked
}
