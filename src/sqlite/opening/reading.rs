//! The first connection of a file that is only read.
//!
//! In WAL mode SQLite cannot read without a log and its index beside the file, which it makes and, since it may not lock the
//! file for writing, does not remove again. So what would be refused is refused before, and where the two cannot be made
//! or would be in the way later, the file is read as one that nobody changes.

use rusqlite::ffi::{SQLITE_READONLY_CANTINIT, SQLITE_READONLY_DIRECTORY};
use rusqlite::{Connection, ErrorCode};

use super::Database;
use crate::error::{Error, Failure, ReadOnlyCause, Source, shared};
use crate::sqlite::connection::Access;
use crate::sqlite::files;

impl Database {
    /// A first connection for reading only: plainly, or where nobody may write the file, or not the folder in which SQLite
    /// keeps its files, as a file that nobody changes.
    pub(super) fn first_reader(&mut self) -> Result<Connection, Failure> {
        self.refuse_log_of_another(files::wal_length(&self.file)?)?;
        self.refuse_without_a_trace()?;
        if files::has_journal(&self.file)? {
            return self.reader();
        }
        let log = files::wal_length(&self.file)?;
        // SQLite would make a log that nobody may write either, also not once the file may be written again.
        let is_frozen = log.is_none() && files::is_frozen(&self.file);
        if !is_frozen {
            let plainly = self.reader();
            let Some(source) = plainly.as_ref().err().and_then(needs_to_write) else { return plainly };
            if let Some(error) = files::lacks_descriptors(&self.file) {
                return Err(error.into());
            }
            // Also if it is empty: another process may be about to write it.
            if log.is_some() {
                return Err(Error::ReadOnly { source: shared(ReadOnlyCause::UnusableLog(source)) }.into());
            }
            // A disk that is full or failed says the same; what others write later would not be seen.
            if files::can_make_beside(&self.file) {
                return plainly;
            }
        }
        self.access = Access::Immutable;
        self.reader()
    }

    /// Refuses what may not be opened before SQLite makes a write-ahead log beside it, which one that only reads cannot
    /// remove again.
    fn refuse_without_a_trace(&self) -> Result<(), Failure> {
        let is_in_use = || Ok::<_, Error>(files::wal_length(&self.file)?.is_some() || files::has_journal(&self.file)?);
        let before = files::last_change(&self.file);
        if is_in_use()? {
            return Ok(());
        }
        // What another process changed while it was looked at, without locks, is looked at again, with them.
        match self.reader_by(Access::Immutable) {
            Err(refusal) if !is_in_use()? && files::last_change(&self.file) == before => Err(refusal),
            _ => Ok(()),
        }
    }
}

/// What SQLite says when it cannot read without making or writing a file beside.
fn needs_to_write(Failure(error): &Failure) -> Option<Source> {
    let (Error::Storage { source: Some(source) } | Error::ReadOnly { source: Some(source) }) = error else {
        return None;
    };
    let failure = source.downcast_ref().and_then(rusqlite::Error::sqlite_error)?;
    let needs = failure.code == ErrorCode::CannotOpen
        || matches!(failure.extended_code, SQLITE_READONLY_DIRECTORY | SQLITE_READONLY_CANTINIT);
    needs.then(|| source.clone())
}
