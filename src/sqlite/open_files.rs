//! The registry of open files: a forked child may not open a file that its parent had open at the fork.
//!
//! SQLite records in memory which locks its process holds. A forked child has a copy of that memory. When the child
//! opens the same file, SQLite believes that it already holds the lock and does not request it; when the parent then
//! closes the file, it deletes the log that the child writes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::sqlite::failure::{Forked, cause};
use crate::sqlite::file::stat::Identity;

/// The open files, each with the process that opened it.
static OPEN: Mutex<Vec<(u32, Identity)>> = Mutex::new(Vec::new());

/// The registration of an open file; dropping it ends the registration.
#[derive(Debug)]
pub(super) struct Opened {
    process: u32,
    file: Identity,
}

impl Opened {
    /// Registers a file. Fails if the file was open when this process was forked.
    pub(super) fn new(file: Identity) -> Result<Self, Error> {
        let process = std::process::id();
        let mut open = lock();
        if open.iter().any(|(opener, other)| *opener != process && *other == file) {
            return Err(Error::Storage { source: cause(Forked) });
        }
        open.push((process, file));
        Ok(Self { process, file })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // In a child the connections are leaked, so the locks stay in SQLite's memory, and the entry must stay too.
        if self.process == std::process::id() {
            let mut open = lock();
            if let Some(index) = open.iter().position(|entry| *entry == (self.process, self.file)) {
                open.swap_remove(index);
            }
        }
    }
}

fn lock() -> MutexGuard<'static, Vec<(u32, Identity)>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
