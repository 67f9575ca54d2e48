//! Everything that can go wrong: a variant for each thing a caller would do about it.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{ErrorCode, ffi};

use crate::model::cursor::Cursor;
use crate::model::ids::{DatasetId, KpiId};
use crate::model::violation::Violations;

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What lies beneath an error. Shared, since one failed commit may answer many callers.
pub(crate) type Source = Arc<dyn std::error::Error + Send + Sync>;

/// Why an operation failed.
///
/// | variant | meaning | what was written | what to do |
/// |---|---|---|---|
/// | [`Invalid`](Self::Invalid) | the input breaks the contract | nothing | mend what the violations name |
/// | [`AlreadyExists`](Self::AlreadyExists) | a given id is taken | nothing | after an unknown outcome: it was stored; otherwise give another id |
/// | [`InvalidCursor`](Self::InvalidCursor) | the cursor is not one of this organization and order | nothing | list from the beginning |
/// | [`ClockOutOfRange`](Self::ClockOutOfRange) | the clock stands outside the years 0001 to 9999 | nothing | set the clock |
/// | [`Busy`](Self::Busy) | another writer held the file past the busy timeout | nothing | try again |
/// | [`StorageFull`](Self::StorageFull) | no room on the disk | nothing | make room, try again; no reopening is needed |
/// | [`ReadOnly`](Self::ReadOnly) | the file or its folder may not be written | nothing | change the permissions |
/// | [`Closed`](Self::Closed) | the store was closed | nothing | open it again |
/// | [`Cancelled`](Self::Cancelled) | the progress callback ended a long operation | nothing | |
/// | [`InvalidPath`](Self::InvalidPath) | the path cannot be that of a store | nothing, no file was touched | give another path |
/// | [`NotAStore`](Self::NotAStore) | the file is something else | nothing, the file is as it was | give another path |
/// | [`TooNew`](Self::TooNew) | a later version of this crate made or upgraded the file | nothing, the file is as it was | update the application |
/// | [`UnsupportedSqlite`](Self::UnsupportedSqlite) | the linked SQLite can lose commits | nothing | link a newer SQLite, or use the feature `bundled` |
/// | [`Corrupt`](Self::Corrupt) | the file is damaged | nothing | restore a backup; other datasets can still be read |
/// | [`OutcomeUnknown`](Self::OutcomeUnknown) | the commit failed in a way that leaves open whether it holds | all of it or nothing | look with [`dataset`](crate::Organization::dataset), or create again with the same id |
/// | [`Storage`](Self::Storage) | the operating system or SQLite failed otherwise | nothing | see the source |
///
/// No text of an error carries a stored value: none of its `Display`, `Debug` and sources.
///
/// # Examples
///
/// ```
/// use kpi_store::{Dataset, Error, NewDataset, Organization};
///
/// fn save(organization: &Organization, request: NewDataset) -> Result<Dataset, String> {
///     organization.create_dataset(request).map_err(|error| match error {
///         Error::Invalid(violations) => format!("Please correct:\n{violations}"),
///         Error::AlreadyExists { .. } => "This was saved before.".to_owned(),
///         error if error.is_retryable() => format!("Please try again: {error}."),
///         error => format!("This cannot be saved ({}): {error}.", error.code()),
///     })
/// }
/// # let organization = kpi_store::Store::open_in_memory()?.organization(kpi_store::OrganizationId::new());
/// assert_eq!(
///     save(&organization, NewDataset::new("")).unwrap_err(),
///     "Please correct:\nname: String should have at least 1 character"
/// );
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input breaks the contract; every violation is named.
    #[error(transparent)]
    Invalid(#[from] Violations),

    /// A given id is taken: the dataset's within its organization, or the KPI's within its dataset.
    #[error("{} already exists", kpi.map_or_else(|| format!("dataset {dataset}"), |kpi| format!("KPI {kpi} of dataset {dataset}")))]
    #[non_exhaustive]
    AlreadyExists {
        /// The dataset whose id is taken, or in which the KPI's id is.
        dataset: DatasetId,
        /// The KPI whose id is given twice, if it is not the dataset's.
        kpi: Option<KpiId>,
    },

    /// The cursor is cut or edited, or belongs to another organization, order or version.
    #[error("the cursor is not one of this listing; list from the beginning")]
    InvalidCursor,

    /// The clock stands outside the years 0001 to 9999.
    #[error("the clock stands at {now}, outside the years 0001 to 9999")]
    #[non_exhaustive]
    ClockOutOfRange {
        /// What the clock says.
        now: DateTime<Utc>,
    },

    /// Another writer, in this process or another, held the store past the busy timeout.
    #[error("the store was busy for {} ms", waited.as_millis())]
    #[non_exhaustive]
    Busy {
        /// How long this call waited in all.
        waited: Duration,
        /// What SQLite said, if it was another process or store that held the file; or that the call came from inside a
        /// load, which is told at once.
        source: Option<Source>,
    },

    /// There is no room for the write. The store goes on working and needs no reopening once there is.
    #[error("no room left to write")]
    #[non_exhaustive]
    StorageFull {
        /// What SQLite said.
        source: Option<Source>,
    },

    /// The file, or the folder that must hold its write-ahead log, may not be written.
    #[error("the file or its folder cannot be written")]
    #[non_exhaustive]
    ReadOnly {
        /// What SQLite or the operating system said.
        source: Option<Source>,
    },

    /// The store was closed, through this handle or a clone.
    #[error("the store is closed")]
    Closed,

    /// The caller's progress callback ended it.
    #[error("the operation was cancelled")]
    Cancelled,

    /// The path cannot be that of a store.
    #[error("no store can be at {path:?}: {reason}")]
    #[non_exhaustive]
    InvalidPath {
        /// The path as it was given.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
        /// What SQLite or the operating system said.
        source: Option<Source>,
    },

    /// The file is not one of this crate: text, another application's database, something else.
    #[error("the file is not a KPI store: {reason}")]
    #[non_exhaustive]
    NotAStore {
        /// What shows that.
        reason: &'static str,
        /// What SQLite said.
        source: Option<Source>,
    },

    /// A later version of this crate made the file, or has upgraded it while this store had it open.
    #[error("the file has schema version {found}, this version of the crate reads up to {supported}")]
    #[non_exhaustive]
    TooNew {
        /// The schema version of the file.
        found: i64,
        /// The latest one that this version of the crate reads.
        supported: i64,
    },

    /// The linked SQLite has a defect by which it can lose commits.
    #[error("SQLite {found} can lose commits; 3.51.3 or later is needed, and not 3.52.0")]
    #[non_exhaustive]
    UnsupportedSqlite {
        /// The version of the linked SQLite.
        found: &'static str,
    },

    /// The file is damaged, or was altered by something else.
    #[error("the file is damaged{}: {detail}", dataset.map(|id| format!(" at dataset {id}")).unwrap_or_default())]
    #[non_exhaustive]
    Corrupt {
        /// The dataset that is damaged, if it is known.
        dataset: Option<DatasetId>,
        /// Where a listing goes on behind the damaged dataset.
        next: Option<Cursor>,
        /// What does not hold.
        detail: Cow<'static, str>,
        /// What SQLite said.
        source: Option<Source>,
    },

    /// The commit failed in a way that leaves open whether it holds: all of it or nothing is stored.
    ///
    /// A look with [`dataset`](crate::Organization::dataset) that finds nothing is final once a later write succeeded or the
    /// store was [closed](crate::Store::close) without an error: what the disk holds of the commit is then done away with.
    /// Creating again with the same id is such a write.
    #[error(
        "the commit failed and may still hold; look for {}, or create again with the same id",
        ids.first().map_or_else(|| "what was written".to_owned(), |id| format!("dataset {id}"))
    )]
    #[non_exhaustive]
    OutcomeUnknown {
        /// The datasets that were written, in the order of the request. They are stored together or not at all.
        ids: Vec<DatasetId>,
        /// What SQLite said.
        source: Option<Source>,
    },

    /// The operating system or SQLite failed otherwise.
    #[error("the storage failed")]
    #[non_exhaustive]
    Storage {
        /// What SQLite or the operating system said.
        source: Option<Source>,
    },
}

impl Error {
    /// A stable name of the variant for logs and front ends: `invalid`, `already_exists` and so on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Error::Invalid(..) => "invalid",
            Error::AlreadyExists { .. } => "already_exists",
            Error::InvalidCursor => "invalid_cursor",
            Error::ClockOutOfRange { .. } => "clock_out_of_range",
            Error::Busy { .. } => "busy",
            Error::StorageFull { .. } => "storage_full",
            Error::ReadOnly { .. } => "read_only",
            Error::Closed => "closed",
            Error::Cancelled => "cancelled",
            Error::InvalidPath { .. } => "invalid_path",
            Error::NotAStore { .. } => "not_a_store",
            Error::TooNew { .. } => "too_new",
            Error::UnsupportedSqlite { .. } => "unsupported_sqlite",
            Error::Corrupt { .. } => "corrupt",
            Error::OutcomeUnknown { .. } => "outcome_unknown",
            Error::Storage { .. } => "storage",
        }
    }

    /// Whether the same call, unchanged and on the same handle, may succeed later: [`Busy`](Self::Busy) and
    /// [`StorageFull`](Self::StorageFull). Nothing was written, so that repeating it writes nothing twice.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Error::Busy { .. } | Error::StorageFull { .. })
    }

    /// The file is damaged in a way that concerns no single dataset.
    pub(crate) fn damaged(detail: impl Into<Cow<'static, str>>) -> Self {
        Error::Corrupt { dataset: None, next: None, detail: detail.into(), source: None }
    }

    pub(crate) fn invalid_path(path: &Path, reason: &'static str, source: Option<Source>) -> Self {
        Error::InvalidPath { path: path.to_owned(), reason, source }
    }

    /// The file that was opened does not have its name any more.
    pub(crate) fn moved(file: &Path, source: Option<Source>) -> Self {
        Error::invalid_path(file, "it was moved, replaced or removed while it was open", source)
    }

    /// The same error, about `dataset` if it is one of damage.
    pub(crate) fn about(mut self, dataset: DatasetId) -> Self {
        if let Error::Corrupt { dataset: about, .. } = &mut self {
            *about = Some(dataset);
        }
        self
    }

    /// The same error, leading on to `cursor` if it is one of damage.
    pub(crate) fn leading_to(mut self, cursor: Cursor) -> Self {
        if let Error::Corrupt { next, .. } = &mut self {
            *next = Some(cursor);
        }
        self
    }

    /// The same error, saying how long the whole call waited if it waited in vain.
    pub(crate) fn having_waited(mut self, in_all: Duration) -> Self {
        if let Error::Busy { waited, .. } = &mut self {
            *waited = in_all;
        }
        self
    }
}

/// A source as errors carry it.
#[allow(clippy::unnecessary_wraps, reason = "every source field is optional")]
pub(crate) fn shared(source: impl std::error::Error + Send + Sync + 'static) -> Option<Source> {
    Some(Arc::new(source))
}

/// The file was open when this process was forked.
#[derive(Debug, thiserror::Error)]
#[error("the store was open when this process was forked; open it after the fork only")]
pub(crate) struct Forked;

/// What is asked of the store needs what the call around it holds.
#[derive(Debug, thiserror::Error)]
#[error("the call came from the iterator, the callback or the source of ids of a load, which holds the store")]
pub(crate) struct FromInside;

/// Why a file cannot be written, or not even read without being written, where SQLite does not say it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ReadOnlyCause {
    #[error("the store was opened for reading only")]
    Asked,
    #[error("it has schema version {0} and must be upgraded before it can be read")]
    OldVersion(i64),
    #[error("a write-ahead log lies beside it that cannot be used without writing")]
    UnusableLog(#[source] Source),
}

/// An error on its way out of the rooms that speak to SQLite.
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

/// How SQLite's codes become errors.
impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::Error as Sqlite;
        // These tell the value found, which no error may carry.
        if let Sqlite::InvalidColumnType(..)
        | Sqlite::FromSqlConversionFailure(..)
        | Sqlite::IntegralValueOutOfRange(..)
        | Sqlite::Utf8Error(..) = error
        {
            return Failure(Error::damaged("a value is not of the kind that was written"));
        }
        let code = error.sqlite_error_code();
        let damage = match error.sqlite_error().map(|error| error.extended_code) {
            // The file ends before the page that another page leads to.
            Some(ffi::SQLITE_IOERR_SHORT_READ) => Some("it ends too early"),
            // The statements of this crate are right for its schema, so it is the schema that is not.
            Some(ffi::SQLITE_ERROR) => Some("SQLite makes no sense of it"),
            _ => None,
        };
        let source = shared(error);
        if let Some(detail) = damage {
            return Failure(Error::Corrupt { dataset: None, next: None, detail: detail.into(), source });
        }
        from_code(code, source)
    }
}

/// The error that one of SQLite's primary codes stands for.
pub(crate) fn from_code(code: Option<ErrorCode>, source: Option<Source>) -> Failure {
    Failure(match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy { waited: Duration::ZERO, source },
        Some(ErrorCode::OperationInterrupted) => Error::Cancelled,
        Some(ErrorCode::DiskFull) => Error::StorageFull { source },
        Some(ErrorCode::ReadOnly) => Error::ReadOnly { source },
        // No text that this crate writes comes near the length limit of its connections.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TooBig) => {
            let detail = "SQLite found it malformed".into();
            Error::Corrupt { dataset: None, next: None, detail, source }
        }
        _ => Error::Storage { source },
    })
}

/// Whether this process, or the system, has as many files open as it may: EMFILE and ENFILE, which std does not name.
pub(crate) fn is_lack_of_descriptors(error: &std::io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

/// How the operating system's errors on a file become errors; `None` for those that speak of the path.
pub(crate) fn from_io(error: std::io::Error) -> Result<Error, std::io::Error> {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Ok(Error::StorageFull { source: shared(error) }),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Ok(Error::ReadOnly { source: shared(error) }),
        _ if is_lack_of_descriptors(&error) => Ok(Error::Storage { source: shared(error) }),
        _ => Err(error),
    }
}
