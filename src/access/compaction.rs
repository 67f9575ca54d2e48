//! Writing the database anew and emptying the log, so that nothing is left in either of what was deleted.
//!
//! A checkpoint must follow: until then the old pages are in the file. It must also come before: if a snapshot that is
//! held for long prevents it, each attempt to compact would make the log longer by the whole database.

use std::ops::ControlFlow;

use super::readers::Readers;
use super::writer::Writer;
use crate::error::{Error, Result};
use crate::model::progress::Progress;
use crate::sqlite::deadline::Deadline;
use crate::sqlite::failure::cause;
use crate::sqlite::progress::Callback;

/// Reads keep the log from being emptied.
#[derive(Debug, thiserror::Error)]
#[error(
    "a read, a verification or a backup of this or another process keeps the write-ahead log in use; \
     compact again once it has ended"
)]
struct LogInUse;

/// Compacts. `callback` makes the callback of each part of the work.
pub(super) fn compact(writer: &Writer, readers: Option<&Readers>, callback: impl Fn() -> Callback) -> Result<()> {
    empty_log(writer, readers)?;
    let length = writer.vacuum(&callback)?;
    empty_log(writer, readers)?;
    // It is too late to cancel.
    let _ = callback()(Progress::new(length, length));
    Ok(())
}

/// The callback, which also cancels in a forked child of `process`.
pub(super) fn cancelled_by_fork(process: u32, mut callback: Callback) -> Callback {
    Box::new(move |progress| match callback(progress) {
        ControlFlow::Continue(()) if std::process::id() == process => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    })
}

fn empty_log(writer: &Writer, readers: Option<&Readers>) -> Result<()> {
    let Some(readers) = readers else { return Ok(()) };
    let waited = Deadline::after(std::time::Duration::ZERO);
    if writer.empty_log(readers)? {
        Ok(())
    } else {
        Err(Error::Busy { waited: waited.waited(), source: cause(LogInUse) })
    }
}
