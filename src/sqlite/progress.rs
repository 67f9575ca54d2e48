//! Telling a caller how far a long statement is, and letting it end one.

use rusqlite::Connection;

use crate::error::Failure;
use crate::model::verification::{Progress, Watch};

/// The callback is asked after about so many steps of SQLite's machine: some hundreds of times a second.
const STEPS: i32 = 20_000;

/// Of a caller that does not want to know.
pub(super) fn unwatched() -> Watch {
    Box::new(|_| std::ops::ControlFlow::Continue(()))
}

/// Does `work` while `watch` is told, of `total`, what `done` says, and can end it.
pub(super) fn watched<T>(
    connection: &mut Connection,
    mut watch: Watch,
    total: u64,
    done: impl Fn() -> u64 + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let handler = move || watch(Progress { done: done().min(total), total }).is_break();
    // The oldest rusqlite of the range returns nothing here.
    let _ = connection.progress_handler(STEPS, Some(handler));
    let worked = work(connection);
    let _ = connection.progress_handler(0, None::<fn() -> bool>);
    worked
}
