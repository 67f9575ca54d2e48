//! The first connection to a file that is opened for reading only.
//!
//! In WAL mode SQLite cannot read without a log and its index beside the file. It creates them, and a connection that
//! may not write does not remove them. So a file that must be rejected is rejected before SQLite creates them; and if
//! they cannot be created, or would cause errors later, the file is opened as immutable.

use rusqlite::ffi::{SQLITE_READONLY_CANTINIT, SQLITE_READONLY_DIRECTORY};
use rusqlite::{Connection, ErrorCode};

use super::inspect::refuse_foreign_log;
use crate::error::{Error, Source};
use crate::sqlite::connection::OpenMode;
use crate::sqlite::database::Database;
use crate::sqlite::failure::{Failure, ReadOnlyCause, cause};
use crate::sqlite::file::{companions, draft, folder, stat};

impl Database {
    /// Opens the first connection: an ordinary one, or an immutable one if the file or its folder is not writable.
    pub(super) fn first_reader(&mut self) -> Result<Connection, Failure> {
        refuse_foreign_log(&self.file, companions::wal_length(&self.file)?)?;
        self.inspect_immutable()?;
        if companions::has_journal(&self.file)? {
            return self.plain_reader();
        }
        let log = companions::wal_length(&self.file)?;
        // SQLite would create a log with the permissions of the file, which would stay read-only even if the file were
        // made writable again.
        let is_read_only = log.is_none() && stat::is_read_only(&self.file)?;
        if !is_read_only {
            let ordinary = self.plain_reader();
            let Some(source) = ordinary.as_ref().err().and_then(needs_to_write) else { return ordinary };
            if let Some(error) = folder::lack_of_descriptors(&self.file) {
                return Err(error.into());
            }
            // Even if the log is empty: another process may be about to write to it.
            if log.is_some() {
                return Err(Error::ReadOnly { source: cause(ReadOnlyCause::UnusableLog(source)) }.into());
            }
            // A full or failing disk causes the same error. Then the file is not opened as immutable, since later
            // writes would not be seen.
            if draft::may_create_beside(&self.file) {
                return ordinary;
            }
        }
        self.mode = OpenMode::Immutable;
        self.plain_reader()
    }

    /// Rejects a file that is not a store before SQLite creates a write-ahead log beside it, which a connection for
    /// reading cannot remove.
    fn inspect_immutable(&self) -> Result<(), Failure> {
        let is_in_use =
            || Ok::<_, Error>(companions::wal_length(&self.file)?.is_some() || companions::has_journal(&self.file)?);
        let before = stat::last_change(&self.file)?;
        if is_in_use()? {
            return Ok(());
        }
        // If another process changed the file meanwhile, the ordinary connection inspects it again, with locks.
        match self.reader_with(OpenMode::Immutable) {
            Err(rejection) if !is_in_use()? && stat::last_change(&self.file)? == before => Err(rejection),
            _ => Ok(()),
        }
    }
}

/// The source of the error, if SQLite failed because it must create or write a file beside the database.
fn needs_to_write(Failure(error): &Failure) -> Option<Source> {
    let (Error::Storage { source: Some(source) } | Error::ReadOnly { source: Some(source) }) = error else {
        return None;
    };
    let failure = source.downcast_ref().and_then(rusqlite::Error::sqlite_error)?;
    let needs = failure.code == ErrorCode::CannotOpen
        || matches!(failure.extended_code, SQLITE_READONLY_DIRECTORY | SQLITE_READONLY_CANTINIT);
    needs.then(|| source.clone())
}
