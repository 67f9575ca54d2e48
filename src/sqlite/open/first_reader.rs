//! The first connection of a file that is only read.
//!
//! In WAL mode SQLite cannot read without a log and its index beside the file, which it makes and, since it may not lock the
//! file for writing, does not remove again. So a file that would be refused is refused before SQLite makes them, and where
//! they cannot be made or would be in the way later, the file is read as one that does not change.

use rusqlite::ffi::{SQLITE_READONLY_CANTINIT, SQLITE_READONLY_DIRECTORY};
use rusqlite::{Connection, ErrorCode};

use super::database::Database;
use super::inspect::refuse_log_of_another;
use crate::error::{Error, Source};
use crate::sqlite::connection::Access;
use crate::sqlite::failure::{Failure, ReadOnlyCause, cause};
use crate::sqlite::file::{companions, draft, folder, stat};

impl Database {
    /// A first connection for reading only: an ordinary one, or if the file or the folder in which SQLite keeps its files may
    /// not be written, one to a file that does not change.
    pub(super) fn first_reader(&mut self) -> Result<Connection, Failure> {
        refuse_log_of_another(&self.file, companions::wal_length(&self.file)?)?;
        self.refuse_without_a_trace()?;
        if companions::has_journal(&self.file)? {
            return self.plain_reader();
        }
        let log = companions::wal_length(&self.file)?;
        // SQLite would make a log that may not be written either, also not once the file may be written again.
        let is_read_only = log.is_none() && stat::is_read_only(&self.file)?;
        if !is_read_only {
            let plainly = self.plain_reader();
            let Some(source) = plainly.as_ref().err().and_then(needs_to_write) else { return plainly };
            if let Some(error) = folder::lack_of_descriptors(&self.file) {
                return Err(error.into());
            }
            // Also if it is empty: another process may be about to write it.
            if log.is_some() {
                return Err(Error::ReadOnly { source: cause(ReadOnlyCause::UnusableLog(source)) }.into());
            }
            // A disk that is full or failed says the same; what others write later would not be seen.
            if draft::may_create_beside(&self.file) {
                return plainly;
            }
        }
        self.access = Access::Immutable;
        self.plain_reader()
    }

    /// Refuses a file that may not be opened before SQLite makes a write-ahead log beside it, which a connection for reading
    /// cannot remove again.
    fn refuse_without_a_trace(&self) -> Result<(), Failure> {
        let is_in_use =
            || Ok::<_, Error>(companions::wal_length(&self.file)?.is_some() || companions::has_journal(&self.file)?);
        let before = stat::last_change(&self.file)?;
        if is_in_use()? {
            return Ok(());
        }
        // A file that another process changed meanwhile is inspected again, with locks.
        match self.reader_by(Access::Immutable) {
            Err(refusal) if !is_in_use()? && stat::last_change(&self.file)? == before => Err(refusal),
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
