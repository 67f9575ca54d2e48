//! What the errors of SQLite and of the operating system mean: the one place where they become [`Error`]s.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use rusqlite::{ErrorCode, ffi};

use crate::error::{Error, Source};

/// An [`Error`] on its way out of the layers that speak to SQLite.
///
/// It exists so that `?` turns rusqlite's errors into this crate's there, while no type of rusqlite enters the public
/// API, as an `impl From<rusqlite::Error> for Error` would.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure(error)
    }
}

impl From<Failure> for Error {
    fn from(Failure(error): Failure) -> Self {
        error
    }
}

impl Failure {
    /// Whether it is one of damage in the file.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Failure(Error::Corrupt { .. }))
    }
}

/// A source as errors carry it.
#[allow(clippy::unnecessary_wraps, reason = "every source field is optional")]
pub(crate) fn cause(error: impl std::error::Error + Send + Sync + 'static) -> Option<Source> {
    Some(Source::new(error))
}

/// The file is damaged in a way that concerns no single dataset.
pub(crate) fn damaged(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::corrupt(None, detail)
}

/// The path cannot be that of a store.
pub(super) fn invalid_path(path: &Path, reason: &'static str, source: Option<Source>) -> Error {
    Error::InvalidPath { path: path.to_owned(), reason, source }
}

/// The file that was opened does not have its name any more.
pub(super) fn moved(file: &Path, source: Option<Source>) -> Error {
    invalid_path(file, "the file was moved, replaced or removed while it was open", source)
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sqlite;
        // These print the value that was found, which no error may carry.
        if let Sqlite::InvalidColumnType(..)
        | Sqlite::FromSqlConversionFailure(..)
        | Sqlite::IntegralValueOutOfRange(..)
        | Sqlite::Utf8Error(..) = error
        {
            return UnexpectedValue.into();
        }
        let code = error.sqlite_error_code();
        let damage = match error.sqlite_error().map(|error| error.extended_code) {
            // The file ends before a page that another page refers to.
            Some(ffi::SQLITE_IOERR_SHORT_READ) => Some("it ends too early"),
            // The statements of this crate are right for its schema, so it is the schema that is not.
            Some(ffi::SQLITE_ERROR) => Some("SQLite rejected a statement that is valid for this schema"),
            _ => None,
        };
        let source = cause(error);
        if let Some(detail) = damage {
            return Failure(Error::Corrupt { dataset: None, detail: detail.into(), source });
        }
        from_code(code, source)
    }
}

/// The error that one of SQLite's primary codes stands for.
pub(super) fn from_code(code: Option<ErrorCode>, source: Option<Source>) -> Failure {
    Failure(match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { waited: Duration::ZERO, source },
        Some(ErrorCode::OperationInterrupted) => Error::Cancelled,
        Some(ErrorCode::DiskFull) => Error::StorageFull { source },
        Some(ErrorCode::ReadOnly) => Error::ReadOnly { source },
        // No text that this crate writes comes near the length limit of its connections.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TooBig) => {
            Error::Corrupt { dataset: None, detail: "SQLite found it malformed".into(), source }
        }
        _ => Error::Storage { source },
    })
}

/// What a failed COMMIT means.
#[derive(Debug)]
pub(crate) enum CommitFailure {
    /// Nothing was committed: the file was busy, or full.
    ///
    /// A full disk refuses a write to the log, before anything is synced, and a transaction counts only once the last page
    /// of it is there whole: what is there of it has no valid checksum.
    WithoutEffect(Error),
    /// It may have been committed, or not: after an error of the disk nobody knows what is on it.
    Unknown(Option<Source>),
}

impl From<rusqlite::Error> for CommitFailure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DiskFull) => CommitFailure::WithoutEffect(Failure::from(error).0),
            _ => CommitFailure::Unknown(cause(error)),
        }
    }
}

/// A column holds what this crate never writes there. Zero-sized, so that `Result<T, _>` stays in registers.
#[derive(Debug)]
pub(super) struct UnexpectedValue;

impl From<UnexpectedValue> for Failure {
    #[cold]
    fn from(UnexpectedValue: UnexpectedValue) -> Self {
        Failure(damaged("a value is not of the kind that was written"))
    }
}

/// The file was open when this process was forked.
#[derive(Debug, thiserror::Error)]
#[error("the store was open when this process was forked; open it after the fork only")]
pub(crate) struct Forked;

/// Why a file cannot be written, or not even read without being written, where SQLite does not say it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadOnlyCause {
    #[error("the store was opened for reading only")]
    Asked,
    #[error("it has schema version {0} and must be upgraded before it can be read")]
    OldVersion(i64),
    #[error("a write-ahead log lies beside it that cannot be used without writing")]
    UnusableLog(#[source] Source),
}

/// Whether this process, or the system, has as many files open as it may: EMFILE and ENFILE, which std does not name.
pub(super) fn is_lack_of_descriptors(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// What it means that a path could not be looked up: that it cannot be used, for this reason, or that the system failed.
pub(super) fn lookup_failed(path: &Path, reason: &'static str, error: io::Error) -> Error {
    if concerns_the_path(&error) {
        invalid_path(path, reason, cause(error))
    } else {
        Error::Storage { source: cause(error) }
    }
}

/// What it means that the file that was opened has no metadata: that it does not have its name any more, or that the system
/// failed.
pub(super) fn stat_failed(file: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => moved(file, cause(error)),
        _ => Error::Storage { source: cause(error) },
    }
}

/// What it means that no file could be created at `path`.
pub(super) fn creation_failed(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::InvalidFilename => write_failed(path, error),
        _ if concerns_the_path(&error) => invalid_path(path, "the file cannot be created", cause(error)),
        _ => write_failed(path, error),
    }
}

/// What it means that the file at `path`, or one beside it, could not be written, synced or read.
pub(super) fn write_failed(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::StorageFull { source: cause(error) },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { source: cause(error) },
        ErrorKind::InvalidFilename => invalid_path(path, "its name is too long", cause(error)),
        _ => Error::Storage { source: cause(error) },
    }
}

/// Whether the error says something of the path, not of the disk or the system.
fn concerns_the_path(error: &io::Error) -> bool {
    let is_kind = matches!(
        error.kind(),
        ErrorKind::NotFound
            | ErrorKind::PermissionDenied
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::InvalidFilename
            | ErrorKind::InvalidInput
    );
    // A loop of symbolic links, which std does not name: ELOOP of Linux and of the BSDs.
    is_kind || cfg!(unix) && matches!(error.raw_os_error(), Some(40 | 62))
}
