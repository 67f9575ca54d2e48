//! Telling a caller how far a long statement is, and letting it end one.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use crate::error::{Error, Failure};
use crate::model::verification::{Progress, Watch};

/// The callback is asked after about so many steps of SQLite's machine: some hundreds of times a second.
const STEPS: i32 = 20_000;

/// Of a caller that does not want to know.
pub(super) fn unwatched() -> Watch {
    Box::new(|_| ControlFlow::Continue(()))
}

/// Does `work` while `watch` is told, of `total`, what `done` says, and can end it: from time to time, and at the end.
pub(super) fn watched<T>(
    connection: &mut Connection,
    watch: Watch,
    total: u64,
    done: impl Fn() -> u64 + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let watch = Arc::new(Mutex::new(watch));
    let tell = move |done: u64| {
        // A callback that panicked once is not asked again.
        watch.lock().map_or(ControlFlow::Break(()), |mut watch| watch(Progress { done: done.min(total), total }))
    };
    let go_on = |told: ControlFlow<()>| if told.is_break() { Err(Failure(Error::Cancelled)) } else { Ok(()) };
    let meanwhile = tell.clone();
    // The oldest rusqlite of the range returns nothing here.
    let _ = connection.progress_handler(STEPS, Some(move || meanwhile(done()).is_break()));
    let worked = work(connection);
    let _ = connection.progress_handler(0, None::<fn() -> bool>);
    let worked = worked?;
    go_on(tell(total))?;
    Ok(worked)
}
