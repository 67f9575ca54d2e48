//! Everything that can go wrong: a variant for each thing a caller would do about it.

use std::borrow::Cow;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::model::cursor::ParseCursorError;
use crate::model::ids::{DatasetId, KpiId};
use crate::model::page::Damage;
use crate::model::violation::Violations;

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause beneath an [`Error`]: an error of the operating system or of SQLite, shared between clones of the error.
///
/// [`Error`] gives it through [`source`](std::error::Error::source), where it can be downcast: to [`std::io::Error`], or to
/// the error type of the SQLite crate that is linked.
#[derive(Clone, Debug)]
pub struct Source(Arc<dyn std::error::Error + Send + Sync>);

impl Source {
    pub(crate) fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

/// Not an error itself: through it a chain of sources would have one link too many, and no concrete type.
impl Deref for Source {
    type Target = dyn std::error::Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

/// Why an operation failed.
///
/// | variant | meaning | what was written | what to do |
/// |---|---|---|---|
/// | [`Invalid`](Self::Invalid) | the input breaks the contract | nothing | fix the fields that the violations name |
/// | [`AlreadyExists`](Self::AlreadyExists) | a given id is taken | nothing | after an unknown outcome: it was stored; otherwise give another id |
/// | [`NotFound`](Self::NotFound) | there is nothing with this id to change | nothing | |
/// | [`InvalidCursor`](Self::InvalidCursor) | the cursor is not one of this organization and order | nothing | list from the beginning |
/// | [`ClockOutOfRange`](Self::ClockOutOfRange) | the clock is outside the years 0001 to 9999 | nothing | set the clock |
/// | [`Busy`](Self::Busy) | another writer held the store past the busy timeout | nothing | try again |
/// | [`StorageFull`](Self::StorageFull) | no room on the disk | nothing | make room, try again; no reopening is needed |
/// | [`ReadOnly`](Self::ReadOnly) | the file or its folder cannot be written | nothing | change the permissions |
/// | [`Closed`](Self::Closed) | the store was closed | nothing | open it again |
/// | [`Cancelled`](Self::Cancelled) | the progress callback ended a long operation | nothing | |
/// | [`InvalidPath`](Self::InvalidPath) | the path cannot be that of a store | nothing, no file was touched | give another path |
/// | [`NotAStore`](Self::NotAStore) | the file is something else | nothing, the file is as it was | give another path |
/// | [`TooNew`](Self::TooNew) | a later version of this crate made or upgraded the file | nothing, the file is as it was | update the application |
/// | [`UnsupportedSqlite`](Self::UnsupportedSqlite) | the linked SQLite can lose commits | nothing | link a newer SQLite, or use the feature `bundled` |
/// | [`Corrupt`](Self::Corrupt) | the file is damaged | nothing | restore a backup; other datasets can still be read |
/// | [`OutcomeUnknown`](Self::OutcomeUnknown) | the commit failed, and may still have happened | all of it or nothing | check with [`dataset`](crate::Organization::dataset), or create again with the same id |
/// | [`Storage`](Self::Storage) | the operating system or SQLite failed otherwise | nothing | see the source |
///
/// No text of an error carries a stored value: neither its `Display` nor its `Debug` nor those of its sources. What
/// [`source`](std::error::Error::source) says is not repeated in the message.
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

    /// This organization has nothing with this id that could be changed. Reads answer `None` instead.
    #[error("dataset {dataset} does not exist")]
    #[non_exhaustive]
    NotFound {
        /// The id that was asked for.
        dataset: DatasetId,
    },

    /// The cursor is cut or edited, or belongs to another organization, order or version.
    #[error("the cursor does not belong to this listing; list from the beginning")]
    InvalidCursor,

    /// The clock is outside the years 0001 to 9999.
    #[error("the clock shows {now}, outside the years 0001 to 9999")]
    #[non_exhaustive]
    ClockOutOfRange {
        /// What the clock shows.
        now: DateTime<Utc>,
    },

    /// Another writer, in this process or another, held the store past the busy timeout.
    #[error("the store was busy for {} ms", waited.as_millis())]
    #[non_exhaustive]
    Busy {
        /// How long this call waited in all.
        waited: Duration,
        /// SQLite's error if another process or store held the file. It also tells of a call made from inside a load of the
        /// same store, which fails at once.
        source: Option<Source>,
    },

    /// There is no room for the write. The store goes on working and needs no reopening once there is.
    #[error("no room left to write")]
    #[non_exhaustive]
    StorageFull {
        /// The error of SQLite or the operating system.
        source: Option<Source>,
    },

    /// The file, or the folder that must hold its write-ahead log, cannot be written.
    #[error("the file or its folder cannot be written")]
    #[non_exhaustive]
    ReadOnly {
        /// The error of SQLite or the operating system.
        source: Option<Source>,
    },

    /// The store was closed, through this handle or a clone.
    #[error("the store is closed")]
    Closed,

    /// The caller's progress callback ended the operation.
    #[error("the operation was cancelled")]
    Cancelled,

    /// The path cannot be that of a store, or of a backup.
    #[error("cannot use {path:?}: {reason}")]
    #[non_exhaustive]
    InvalidPath {
        /// The path as it was given.
        path: PathBuf,
        /// Why not.
        reason: &'static str,
        /// The error of SQLite or the operating system.
        source: Option<Source>,
    },

    /// The file is not one of this crate: text, another application's database, something else.
    #[error("the file is not a KPI store: {reason}")]
    #[non_exhaustive]
    NotAStore {
        /// How that was recognized.
        reason: &'static str,
        /// SQLite's error.
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
        /// What is wrong.
        detail: Cow<'static, str>,
        /// SQLite's error.
        source: Option<Source>,
    },

    /// The commit failed, and its outcome is unknown: everything that was asked for is stored, or nothing is.
    ///
    /// If [`dataset`](crate::Organization::dataset) finds nothing after a later write or a clean
    /// [`close`](crate::Store::close) has succeeded, the commit is definitely lost. Creating again with the same id is such
    /// a write.
    #[error(
        "the commit failed and its outcome is unknown: check whether {} exists, or retry with the same id",
        ids.first().map_or_else(|| "what was written".to_owned(), |id| format!("dataset {id}"))
    )]
    #[non_exhaustive]
    OutcomeUnknown {
        /// The datasets that were written, in the order of the request. They are stored together or not at all.
        ids: Vec<DatasetId>,
        /// SQLite's error.
        source: Option<Source>,
    },

    /// The operating system or SQLite failed otherwise.
    #[error("the storage failed")]
    #[non_exhaustive]
    Storage {
        /// The error of SQLite or the operating system.
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
            Error::NotFound { .. } => "not_found",
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

    /// The same error, naming `dataset` if it is one of damage.
    pub(crate) fn with_dataset(mut self, id: DatasetId) -> Self {
        if let Error::Corrupt { dataset, .. } = &mut self {
            *dataset = Some(id);
        }
        self
    }

    /// The same error, saying how long the whole call waited if it is [`Busy`](Self::Busy).
    pub(crate) fn with_waited(mut self, in_all: Duration) -> Self {
        if let Error::Busy { waited, .. } = &mut self {
            *waited = in_all;
        }
        self
    }
}

/// Constructors, for the tests of an application that handles these errors: the variants with fields cannot be built
/// outside of this crate.
impl Error {
    /// [`AlreadyExists`](Self::AlreadyExists): the dataset's id is taken, or within the dataset the KPI's.
    #[must_use]
    pub const fn already_exists(dataset: DatasetId, kpi: Option<KpiId>) -> Self {
        Error::AlreadyExists { dataset, kpi }
    }

    /// [`NotFound`](Self::NotFound).
    #[must_use]
    pub const fn not_found(dataset: DatasetId) -> Self {
        Error::NotFound { dataset }
    }

    /// [`ClockOutOfRange`](Self::ClockOutOfRange).
    #[must_use]
    pub const fn clock_out_of_range(now: DateTime<Utc>) -> Self {
        Error::ClockOutOfRange { now }
    }

    /// [`Busy`](Self::Busy), after waiting that long.
    #[must_use]
    pub const fn busy(waited: Duration) -> Self {
        Error::Busy { waited, source: None }
    }

    /// [`StorageFull`](Self::StorageFull).
    #[must_use]
    pub const fn storage_full() -> Self {
        Error::StorageFull { source: None }
    }

    /// [`ReadOnly`](Self::ReadOnly).
    #[must_use]
    pub const fn read_only() -> Self {
        Error::ReadOnly { source: None }
    }

    /// [`InvalidPath`](Self::InvalidPath).
    #[must_use]
    pub fn invalid_path(path: impl Into<PathBuf>, reason: &'static str) -> Self {
        Error::InvalidPath { path: path.into(), reason, source: None }
    }

    /// [`NotAStore`](Self::NotAStore).
    #[must_use]
    pub const fn not_a_store(reason: &'static str) -> Self {
        Error::NotAStore { reason, source: None }
    }

    /// [`TooNew`](Self::TooNew).
    #[must_use]
    pub const fn too_new(found: i64, supported: i64) -> Self {
        Error::TooNew { found, supported }
    }

    /// [`Corrupt`](Self::Corrupt): the dataset, or none if the damage is in no single one.
    #[must_use]
    pub fn corrupt(dataset: Option<DatasetId>, detail: impl Into<Cow<'static, str>>) -> Self {
        Error::Corrupt { dataset, detail: detail.into(), source: None }
    }

    /// [`OutcomeUnknown`](Self::OutcomeUnknown) of a write of these datasets.
    #[must_use]
    pub fn outcome_unknown(ids: impl IntoIterator<Item = DatasetId>) -> Self {
        Error::OutcomeUnknown { ids: ids.into_iter().collect(), source: None }
    }

    /// [`Storage`](Self::Storage), with its cause.
    #[must_use]
    pub fn storage(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Error::Storage { source: Some(Source::new(source)) }
    }
}

/// For a front end, such as the one of a Tauri command: `{"code": "busy", "message": "the store was busy for 5000 ms"}`.
///
/// [`Invalid`](Self::Invalid) also has `violations`, a list of what [`Violation`](crate::Violation) serializes to, and where
/// that list was cut `total`, how many there are in all.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let violations = if let Error::Invalid(violations) = self { Some(violations) } else { None };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("code", self.code())?;
        map.serialize_entry("message", &self.to_string())?;
        if let Some(violations) = violations {
            map.serialize_entry("violations", violations.as_slice())?;
            if violations.total() > violations.len() {
                map.serialize_entry("total", &violations.total())?;
            }
        }
        map.end()
    }
}

impl From<Damage> for Error {
    fn from(Damage { dataset, detail, .. }: Damage) -> Self {
        Error::corrupt(dataset, detail)
    }
}

impl From<ParseCursorError> for Error {
    fn from(_: ParseCursorError) -> Self {
        Error::InvalidCursor
    }
}
