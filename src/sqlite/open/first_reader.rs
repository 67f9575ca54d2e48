//! The connections to a file that is opened for reading only.
//!
//! In WAL mode SQLite cannot read without a log and its index beside the file. It creates them, and a connection that
//! may not write does not remove them. So a file that must be rejected is rejected before SQLite creates them; and if
//! they cannot be created, or the owner of the file could not use them, the file is opened as immutable.

use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_READONLY_CANTINIT, SQLITE_READONLY_DIRECTORY};

use super::inspect::refuse_foreign_log;
use crate::error::{Error, Source};
use crate::sqlite::connection::OpenMode;
use crate::sqlite::database::Database;
use crate::sqlite::failure::{Failure, ReadOnlyCause, cause};
use crate::sqlite::file::{companions, draft, folder, stat};
use crate::sqlite::frozen::Frozen;
use crate::sqlite::read_connection::OpenedReader;

impl Database {
    /// Opens the first connection.
    pub(super) fn first_reader(&self) -> Result<OpenedReader, Failure> {
        refuse_foreign_log(&self.file, companions::wal_length(&self.file)?)?;
        self.inspect_immutable()?;
        self.open_only_reading()
    }

    /// Opens a connection: an ordinary one if there is a log or SQLite may create one, otherwise an immutable one.
    pub(in crate::sqlite) fn open_only_reading(&self) -> Result<OpenedReader, Failure> {
        let Some(frozen) = Frozen::now(&self.file)? else { return self.open_in_use() };
        // SQLite would create a log with the permissions of the file and, unless this is root, the owner of this
        // process. It would stay read-only when the file is made writable again, or keep the owner of the file from
        // writing.
        if !stat::is_read_only(&self.file)? && draft::may_create_companions(&self.file)? {
            return self.connect_in(OpenMode::ReadOnly);
        }
        Ok(OpenedReader { frozen: Some(frozen), ..self.connect_in(OpenMode::Immutable)? })
    }

    /// Opens a connection to a file that has a log or a journal.
    fn open_in_use(&self) -> Result<OpenedReader, Failure> {
        let log = companions::wal_length(&self.file)?;
        // SQLite would create the index of the log, for which the same holds as for the log.
        if log.is_some() && !companions::has_index(&self.file)? && !draft::may_create_companions(&self.file)? {
            let source = Source::new(std::io::Error::from(std::io::ErrorKind::PermissionDenied));
            let unusable = || Error::ReadOnly { source: cause(ReadOnlyCause::UnusableLog(source)) };
            return Err(companions::unreadable(&self.file).unwrap_or_else(unusable).into());
        }
        let opened = self.connect_in(OpenMode::ReadOnly);
        let Some(source) = opened.as_ref().err().and_then(needs_to_write).filter(|_| log.is_some()) else {
            return opened;
        };
        match folder::lack_of_descriptors(&self.file).or_else(|| companions::unreadable(&self.file)) {
            Some(error) => Err(error.into()),
            // Even if the log is empty: another process may be about to write to it.
            None => Err(Error::ReadOnly { source: cause(ReadOnlyCause::UnusableLog(source)) }.into()),
        }
    }

    /// Rejects a file that is not a store before SQLite creates a write-ahead log beside it, which a connection for
    /// reading cannot remove.
    fn inspect_immutable(&self) -> Result<(), Failure> {
        let Some(frozen) = Frozen::now(&self.file)? else { return Ok(()) };
        // If another process changed the file meanwhile, the ordinary connection inspects it again, with locks.
        match self.connect_in(OpenMode::Immutable) {
            Err(rejection) if frozen.is_unchanged()? => Err(rejection),
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
