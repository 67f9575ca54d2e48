//! Which files are open, and in which process: a child of fork may not use those of its parent.
//!
//! SQLite keeps in memory which locks its process holds. In a child of fork that memory is the parent's: a connection that
//! the child opens to the same file asks the system for no lock, since it believes it has the lock, and when the parent then
//! closes the file, it removes the log into which the child writes. So a child cannot open what was open at the fork.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::sqlite::failure::{Forked, cause};
use crate::sqlite::file::stat::Identity;

/// The files that are open here, each with the process that opened it.
static OPEN: Mutex<Vec<(u32, Identity)>> = Mutex::new(Vec::new());

/// A file is open in this process, until this is dropped.
#[derive(Debug)]
pub(super) struct Opened {
    process: u32,
    file: Identity,
}

impl Opened {
    /// Refuses a file that was open when this process was forked.
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
        // In a child the connections are not closed, and what they left in SQLite's memory stays.
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
