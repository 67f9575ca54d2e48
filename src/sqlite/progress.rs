//! Telling a caller how far a long statement is, and letting the caller end it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::budget::{self, Verdict};
use super::failure::Failure;
use crate::error::Error;
use crate::model::progress::Progress;

/// A caller's callback: told the progress, it says whether to go on.
///
/// It is `'static`, since rusqlite takes no other progress handler (`rusqlite::Connection::progress_handler`).
pub(crate) type Callback = Box<dyn FnMut(Progress) -> ControlFlow<()> + Send>;

/// A callback that never cancels.
pub(super) fn ignored() -> Callback {
    Box::new(|_| ControlFlow::Continue(()))
}

/// One callback for several pieces of work.
pub(super) fn shared(callback: Callback) -> impl Fn() -> Callback {
    let callback = Arc::new(Mutex::new(callback));
    move || {
        let callback = Arc::clone(&callback);
        // A callback that panicked once is not called again.
        Box::new(move |progress| callback.lock().map_or(ControlFlow::Break(()), |mut callback| callback(progress)))
    }
}

/// Runs `work` while `callback` is told, of `total`, what `done` says, and can end it: from time to time, and at the end.
/// It is bounded by the length of `file`, if the database is not in memory, and by `most`, which `done` exceeds for no file that is whole.
pub(super) fn reported<T>(
    connection: &mut Connection,
    file: Option<&Path>,
    callback: Callback,
    total: u64,
    most: u64,
    done: impl Fn() -> u64 + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let callback = shared(callback);
    let (mut meanwhile, mut at_the_end) = (callback(), callback());
    let steps = budget::steps_of_file(file.map(Path::to_owned));
    let verdict = move |taken| match done() {
        done if done > most || taken > steps() => Verdict::Endless,
        done if meanwhile(Progress::new(done.min(total), total)).is_break() => Verdict::Cancelled,
        _ => Verdict::GoOn,
    };
    let worked = budget::run(connection, verdict, work)?;
    if at_the_end(Progress::new(total, total)).is_break() { Err(Error::Cancelled.into()) } else { Ok(worked) }
}
