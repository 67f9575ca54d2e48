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

/// One callback for several pieces of work.
pub(super) fn shared(watch: Watch) -> impl Fn() -> Watch {
    let watch = Arc::new(Mutex::new(watch));
    move || {
        let watch = Arc::clone(&watch);
        // A callback that panicked once is not asked again.
        Box::new(move |progress| watch.lock().map_or(ControlFlow::Break(()), |mut watch| watch(progress)))
    }
}

/// Does `work` while `watch` is told, of `total`, what `done` says, and can end it: from time to time, and at the end.
pub(super) fn watched<T>(
    connection: &mut Connection,
    watch: Watch,
    total: u64,
    done: impl Fn() -> u64 + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let watch = shared(watch);
    let (mut meanwhile, mut at_the_end) = (watch(), watch());
    let so_far = move || meanwhile(Progress { done: done().min(total), total }).is_break();
    // The oldest rusqlite of the range returns nothing here.
    let _ = connection.progress_handler(STEPS, Some(so_far));
    let worked = work(connection);
    let _ = connection.progress_handler(0, None::<fn() -> bool>);
    let worked = worked?;
    if at_the_end(Progress { done: total, total }).is_break() {
        return Err(Error::Cancelled.into());
    }
    Ok(worked)
}
