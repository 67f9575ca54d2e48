//! The registry of open files: which files of this process, or of its parent at a fork, SQLite has in its memory.
//!
//! SQLite records in memory which locks its process holds. A forked child has a copy of that memory. When the child
//! opens the same file, SQLite believes that it already holds the lock and does not request it; when the parent then
//! closes the file, it deletes the log that the child writes. So a forked child may not open a file that its parent had
//! open at the fork.
//!
//! SQLite also keeps one index of the log for all connections of a process to a file. If the log is removed or replaced
//! while one of them is open, a further connection would use the old index for a new log, which destroys the file. So a
//! file may not be opened again until the stores that had its former log are closed.
//!
//! The stores of a process that have the same file open find here the signal by which their commits wake the watches of
//! each other.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::commit_signal::CommitSignal;
use crate::error::Error;
use crate::sqlite::failure::{Forked, cause, lost_log};
use crate::sqlite::file::stat::{self, Identity};

static OPEN: Mutex<Registry> = Mutex::new(Registry { last_id: 0, files: Vec::new() });

struct Registry {
    last_id: u64,
    files: Vec<OpenFile>,
}

struct OpenFile {
    id: u64,
    /// The process that opened it.
    process: u32,
    file: Identity,
    /// The write-ahead log that its connections use; `None` while there may be no connection.
    log: Option<Identity>,
    signal: Arc<CommitSignal>,
}

/// The registration of an open file; dropping it ends the registration.
#[derive(Debug)]
pub(super) struct Opened {
    id: u64,
    process: u32,
    signal: Arc<CommitSignal>,
}

impl Opened {
    /// Registers a file whose log has the path `log`. Fails if the file was open when this process was forked, or if
    /// this process has it open with another log.
    pub(super) fn new(file: Identity, log: &Path) -> Result<Self, Error> {
        let process = std::process::id();
        let mut open = lock();
        if open.files.iter().any(|other| other.process != process && other.file == file) {
            return Err(Error::Storage { source: cause(Forked) });
        }
        open.agree_on_log(process, file, log)?;
        open.last_id += 1;
        let id = open.last_id;
        let signal = open.signal(process, file);
        open.files.push(OpenFile { id, process, file, log: None, signal: Arc::clone(&signal) });
        Ok(Self { id, process, signal })
    }

    /// The signal of the file.
    pub(super) fn signal(&self) -> &Arc<CommitSignal> {
        &self.signal
    }

    /// Registers the log that the connections use, and returns its identity; `None` if there is none.
    pub(super) fn register_log(&self, file: Identity, log: &Path) -> Result<Option<Identity>, Error> {
        let mut open = lock();
        let found = open.agree_on_log(self.process, file, log)?;
        open.set_log(self.id, found);
        Ok(found)
    }

    /// Ends the registration of the log. Call it before the last connection is closed, which removes the log.
    pub(super) fn forget_log(&self) {
        lock().set_log(self.id, None);
    }
}

impl Registry {
    /// The log of the file as it is now. Fails if a store of this process uses another one.
    ///
    /// IMPORTANT: the lookup happens under the lock of the registry, so that no log is registered or removed meanwhile.
    fn agree_on_log(&self, process: u32, file: Identity, log: &Path) -> Result<Option<Identity>, Error> {
        let found = stat::identity_if_any(log)?;
        let has_another = |open: &OpenFile| open.log.is_some() && open.log != found;
        if self.files.iter().any(|open| open.process == process && open.file == file && has_another(open)) {
            return Err(lost_log(log));
        }
        Ok(found)
    }

    /// The signal of the file, which the stores of this process share.
    fn signal(&self, process: u32, file: Identity) -> Arc<CommitSignal> {
        let same = self.files.iter().find(|open| open.process == process && open.file == file);
        same.map(|open| Arc::clone(&open.signal)).unwrap_or_default()
    }

    fn set_log(&mut self, id: u64, log: Option<Identity>) {
        if let Some(file) = self.files.iter_mut().find(|file| file.id == id) {
            file.log = log;
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // In a child the connections are leaked, so the locks stay in SQLite's memory, and the entry must stay too.
        if self.process == std::process::id() {
            lock().files.retain(|file| file.id != self.id);
        }
    }
}

fn lock() -> MutexGuard<'static, Registry> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}
