//! Telling a caller how far a long statement is, letting it end one, and ending one that has no end.
//!
//! A file can be made whose pages lead to each other in such a way that a few of them hold more rows than can ever be
//! read, and SQLite follows them. So whatever reads a number of rows that only the file knows is bounded: by what a whole
//! file of that length takes, or what a schema takes. A read of rows in an order checks the order as it goes.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;

use super::files;
use crate::error::{Error, Failure};
use crate::model::verification::{Progress, Watch};

/// The callback is asked after about so many steps of SQLite's machine: some hundreds of times a second.
const STEPS: i32 = 20_000;

/// A look at everything takes about 3 steps for a byte where the rows are as short as they can be, and less elsewhere.
const STEPS_PER_BYTE: u64 = 16;

/// What any work may take, however short the file is. Reading a schema and its history takes some hundreds.
const STEPS_ALWAYS: u64 = 200_000;

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
/// It is bounded by the length of the file, and by `most`, beyond which `done` goes of no file that is whole.
pub(super) fn watched<T>(
    connection: &mut Connection,
    watch: Watch,
    total: u64,
    most: u64,
    done: impl Fn() -> u64 + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let watch = shared(watch);
    let (mut meanwhile, mut at_the_end) = (watch(), watch());
    let steps = steps_of_file(connection);
    let is_over = move |taken| match done() {
        done if done > most || taken > steps() => Over::Endless,
        done if meanwhile(Progress { done: done.min(total), total }).is_break() => Over::Cancelled,
        _ => Over::Not,
    };
    let worked = run(connection, is_over, work)?;
    if at_the_end(Progress { done: total, total }).is_break() { Err(Error::Cancelled.into()) } else { Ok(worked) }
}

/// Does `work`, which reads rows of the file, bounded by the length of the file.
pub(super) fn bounded<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let steps = steps_of_file(connection);
    run(connection, move |taken| if taken > steps() { Over::Endless } else { Over::Not }, work)
}

/// Does `work`, which reads the schema and its history, whatever the length of the file.
pub(super) fn bounded_by_schema<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    run(connection, |taken| if taken > STEPS_ALWAYS { Over::Endless } else { Over::Not }, work)
}

/// Whether some work is to end before it is done.
enum Over {
    Not,
    Cancelled,
    Endless,
}

/// Does `work` until `is_over`, which is told from time to time how many steps it took.
fn run<T>(
    connection: &mut Connection,
    mut is_over: impl FnMut(u64) -> Over + Send + 'static,
    work: impl FnOnce(&Connection) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let is_endless = Arc::new(AtomicBool::new(false));
    let found_endless = Arc::clone(&is_endless);
    let mut taken = 0;
    let interrupt = move || {
        taken += u64::from(STEPS.unsigned_abs());
        let over = is_over(taken);
        found_endless.store(matches!(over, Over::Endless), Relaxed);
        !matches!(over, Over::Not)
    };
    // The oldest rusqlite of the range returns nothing here.
    let _ = connection.progress_handler(STEPS, Some(interrupt));
    let worked = work(connection);
    let _ = connection.progress_handler(0, None::<fn() -> bool>);
    match worked {
        Err(Failure(Error::Cancelled)) if is_endless.load(Relaxed) => {
            Err(Error::damaged("it has more rows than its length can hold").into())
        }
        worked => worked,
    }
}

/// What work on the file with its write-ahead log may take; a database in memory is nobody else's.
fn steps_of_file(connection: &Connection) -> impl Fn() -> u64 + Send + 'static {
    let file = connection.path().filter(|path| !path.is_empty()).map(PathBuf::from);
    move || {
        file.as_deref().map_or(u64::MAX, |file| {
            let bytes =
                files::length(file).unwrap_or_default() + files::wal_length(file).ok().flatten().unwrap_or_default();
            bytes.saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS_ALWAYS)
        })
    }
}
