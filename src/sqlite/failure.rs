//! Converting the errors of SQLite and of the operating system to [`Error`]s.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{ErrorCode, ffi};

use crate::error::{Error, Source};

/// The [`Error`] of the layers that call SQLite.
///
/// It lets `?` convert rusqlite's errors in these layers. An `impl From<rusqlite::Error> for Error` would do the same,
/// but make rusqlite part of the public API.
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
    /// Whether the file is damaged.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Failure(Error::Corrupt { .. }))
    }
}

/// The error as the `source` field of another.
#[allow(clippy::unnecessary_wraps, reason = "every source field is optional")]
pub(crate) fn cause(error: impl std::error::Error + Send + Sync + 'static) -> Option<Source> {
    Some(Source::new(error))
}

/// The error of damage that concerns no single dataset.
pub(crate) fn damaged(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::corrupt(None, detail)
}

/// The error of a path that cannot be used for a store.
pub(super) fn invalid_path(path: &Path, reason: &'static str, source: Option<Source>) -> Error {
    Error::InvalidPath { path: path.to_owned(), reason, source }
}

/// The error of an open file that does not have its name any more.
pub(super) fn moved(file: &Path, source: Option<Source>) -> Error {
    invalid_path(file, "the file was moved, replaced or removed while it was open", source)
}

/// The error of a store whose write-ahead log, or the index of the log, does not have its name any more.
pub(super) fn lost_log(companion: &Path) -> Error {
    const REASON: &str = "it was removed or replaced while the store was open; \
        close every store of this process and open it again";
    invalid_path(companion, REASON, None)
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sqlite;
        // The text of these errors contains the stored value, which no error may contain.
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
            // The statements of this crate are valid for its schema, so the schema of the file must be a different one.
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

/// The error for a primary result code of SQLite.
pub(super) fn from_code(code: Option<ErrorCode>, source: Option<Source>) -> Failure {
    Failure(match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { waited: Duration::ZERO, source },
        Some(ErrorCode::OperationInterrupted) => Error::Cancelled,
        Some(ErrorCode::DiskFull) => Error::StorageFull { source },
        Some(ErrorCode::ReadOnly) => Error::ReadOnly { source },
        // TooBig: every text that this crate writes is far shorter than the length limit of its connections.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TooBig) => {
            Error::Corrupt { dataset: None, detail: "SQLite found it malformed".into(), source }
        }
        _ => Error::Storage { source },
    })
}

/// The error of a failed COMMIT.
#[derive(Debug)]
pub(crate) enum CommitFailure {
    /// Nothing was committed: the file was busy, or the disk was full.
    ///
    /// On a full disk a write to the log fails before the sync. The transaction then lacks its commit frame, without
    /// which its other frames are ignored.
    WithoutEffect(Error),
    /// It may have been committed: after an error of the disk it is unknown what the disk holds.
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

/// A column contains a value that this crate never writes there. Zero-sized, so that `Result<T, _>` stays in registers.
#[derive(Debug)]
pub(super) struct UnexpectedValue;

impl From<UnexpectedValue> for Failure {
    #[cold]
    fn from(UnexpectedValue: UnexpectedValue) -> Self {
        Failure(damaged("a value has a type or range that is never written"))
    }
}

/// The file was open when this process was forked.
#[derive(Debug, thiserror::Error)]
#[error("the store was open when this process was forked; open it only after the fork")]
pub(crate) struct Forked;

/// The error of a file that was read without locks and changed meanwhile.
pub(crate) fn changed_while_read() -> Error {
    Error::Busy { waited: Duration::ZERO, source: cause(ChangedWhileRead) }
}

#[derive(Debug, thiserror::Error)]
#[error("another process changed the file while it was read")]
struct ChangedWhileRead;

/// Why a file cannot be written, or cannot be read without being written, if SQLite does not report it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadOnlyCause {
    #[error("the store was opened for reading only")]
    Asked,
    #[error("the file has schema version {0}; open it for writing once to upgrade it")]
    OldVersion(i64),
    #[error("the write-ahead log beside the file cannot be used without writing")]
    UnusableLog(#[source] Source),
    #[error(
        "{} belongs to another account, and this one cannot write it; remove it while no process has the store open, \
         unless it contains data",
        _0.display()
    )]
    Companion(PathBuf, #[source] Source),
}

/// Whether this process or the system has too many open files: EMFILE and ENFILE, which have no `ErrorKind`.
pub(super) fn is_lack_of_descriptors(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// The error of a failed path lookup: the path cannot be used for this reason, or the system failed.
pub(super) fn lookup_failed(path: &Path, reason: &'static str, error: io::Error) -> Error {
    if concerns_the_path(&error) {
        invalid_path(path, reason, cause(error))
    } else {
        Error::Storage { source: cause(error) }
    }
}

/// The error of a failed `stat` of an open file: the file does not have its name any more, or the system failed.
pub(super) fn stat_failed(file: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => moved(file, cause(error)),
        _ => Error::Storage { source: cause(error) },
    }
}

/// The error of a failed file creation at `path`.
pub(super) fn creation_failed(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::InvalidFilename => write_failed(path, error),
        _ if concerns_the_path(&error) => invalid_path(path, "the file cannot be created", cause(error)),
        _ => write_failed(path, error),
    }
}

/// The error of a failed write, sync or read of the file at `path` or of one beside it.
pub(super) fn write_failed(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::StorageFull { source: cause(error) },
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Error::ReadOnly { source: cause(error) },
        ErrorKind::InvalidFilename => invalid_path(path, "the file name is too long", cause(error)),
        _ => Error::Storage { source: cause(error) },
    }
}

/// Whether the path caused the error, not the disk or the system.
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
    // A loop of symbolic links, which has no stable `ErrorKind`: ELOOP of Linux and of the BSDs.
    is_kind || cfg!(unix) && matches!(error.raw_os_error(), Some(40 | 62))
}
