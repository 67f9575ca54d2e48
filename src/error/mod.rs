//! The error of every operation: a variant for each thing that a caller would do about it.

mod constructors;
mod json;

use std::borrow::Cow;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::model::changes::ParseChangeCursorError;
use crate::model::cursor::ParseCursorError;
use crate::model::ids::{DatasetId, KpiId};
use crate::model::page::Damage;
use crate::model::request::violation::Violations;

/// The result of an operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause of an [`Error`]: an error of the operating system or of SQLite, shared between clones of the error.
///
/// [`source`](std::error::Error::source) of the [`Error`] returns the cause itself, which can be downcast to
/// [`std::io::Error`] or to the error type of the SQLite crate that is linked.
#[derive(Clone, Debug)]
pub struct Source(Arc<dyn std::error::Error + Send + Sync>);

impl Source {
    pub(crate) fn new(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(error))
    }
}

/// `Source` does not implement `Error`: it would add a link to the chain of sources and hide the concrete type.
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
/// | [`AlreadyExists`](Self::AlreadyExists) | a given id is taken, also by a dataset in the trash or a purged one | nothing | after an unknown outcome: it was stored; otherwise choose another id |
/// | [`NotFound`](Self::NotFound) | no such dataset, KPI or revision exists | nothing | check the id and the organization |
/// | [`Conflict`](Self::Conflict) | the dataset was changed since it was read | nothing | read it again, merge, and save |
/// | [`InvalidCursor`](Self::InvalidCursor) | the cursor was altered, or belongs to another organization, order or filter; a cursor of changes also if the file was restored from a backup | nothing | list from the beginning; for changes: [start over](crate::Organization::changes_since) |
/// | [`ClockOutOfRange`](Self::ClockOutOfRange) | the clock is outside the years 0001 to 9999 | nothing | set the clock |
/// | [`Busy`](Self::Busy) | the store was in use past the busy timeout | nothing | try again |
/// | [`StorageFull`](Self::StorageFull) | no space left on the disk | nothing | free some space and try again; no reopening is needed |
/// | [`ReadOnly`](Self::ReadOnly) | the file or its folder cannot be written | nothing | change the permissions, or open without `read_only` |
/// | [`Closed`](Self::Closed) | the store was closed | nothing | open it again |
/// | [`Cancelled`](Self::Cancelled) | the progress callback cancelled a long operation, or the watch was stopped | nothing | |
/// | [`InvalidPath`](Self::InvalidPath) | the path cannot be used for a store or a backup, or the file or its log was moved while open | nothing | choose another path, or put the file back; after the loss of a log, close and open again |
/// | [`NotAStore`](Self::NotAStore) | the file is not one of this crate | nothing, the file is unchanged | choose another path |
/// | [`TooNew`](Self::TooNew) | a later version of this crate created or upgraded the file | nothing, the file is unchanged | update the application |
/// | [`UnsupportedSqlite`](Self::UnsupportedSqlite) | the linked SQLite can lose commits | nothing | link a newer SQLite, or use the feature `bundled` |
/// | [`Corrupt`](Self::Corrupt) | the file is damaged | nothing | restore a backup; other datasets can still be read |
/// | [`OutcomeUnknown`](Self::OutcomeUnknown) | the commit failed and its outcome is unknown | all of it or nothing | a creation: check with [`dataset`](crate::Organization::dataset), or create again with the same id; a change: check with [`version_at`](crate::Organization::version_at), or save the same draft again |
/// | [`Storage`](Self::Storage) | the operating system or SQLite failed in another way | nothing | see the source |
///
/// *Nothing* means nothing of the transaction that failed: a load in batches has stored the batches before it, and says
/// how many datasets that is ([`LoadError::stored`](crate::LoadError::stored)), and
/// [`purge_organization`](crate::Store::purge_organization) has removed the rows if only its compaction failed.
///
/// No error contains a stored value, neither in its `Display` nor in its `Debug` nor in those of its sources. The
/// message does not repeat that of its [`source`](std::error::Error::source).
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
    /// The input breaks the contract. Every violation is listed.
    #[error(transparent)]
    Invalid(#[from] Violations),

    /// A given id is already taken: a dataset's within its organization, where datasets in the trash and purged ones
    /// keep theirs, or a KPI's within its dataset.
    #[error("{} already exists", kpi.map_or_else(|| format!("dataset {dataset}"), |kpi| format!("KPI {kpi} of dataset {dataset}")))]
    #[non_exhaustive]
    AlreadyExists {
        /// The dataset whose id is taken, or that has two KPIs with the same id.
        dataset: DatasetId,
        /// The repeated KPI id; `None` if the id of the dataset is taken.
        kpi: Option<KpiId>,
    },

    /// This organization has no dataset with this id, or the dataset has no such KPI or revision. A dataset in the
    /// trash exists only for the calls that concern the trash.
    ///
    /// Calls that change a dataset fail with this, and so does [`history`](crate::Organization::history); other reads
    /// return `None`.
    #[error("{} does not exist", missing(*dataset, *kpi, *revision))]
    #[non_exhaustive]
    NotFound {
        /// The requested dataset.
        dataset: DatasetId,
        /// The KPI that the dataset does not have; `None` if the dataset itself is missing.
        kpi: Option<KpiId>,
        /// The revision that its history does not have.
        revision: Option<u64>,
    },

    /// The dataset is no longer what the caller expected: it was changed since it was read.
    ///
    /// Read it again and apply the change to what it is now;
    /// [`DatasetDraft::merge`](crate::DatasetDraft::merge) helps with that.
    #[error("dataset {dataset} was changed since it was read{}", was_cut(*expected, *found))]
    #[non_exhaustive]
    Conflict {
        /// The dataset.
        dataset: DatasetId,
        /// The `updated_at` that the caller expected.
        expected: Option<DateTime<Utc>>,
        /// The `updated_at` that it has.
        found: Option<DateTime<Utc>>,
    },

    /// The cursor was altered, or belongs to another organization, order, filter or version of the crate; a cursor of
    /// changes also if it belongs to another file, or to this one before it was restored from a backup or an organization
    /// was purged from it.
    #[error("the cursor does not belong to this listing or to the changes of this file; start from the beginning")]
    InvalidCursor,

    /// The clock is outside the years 0001 to 9999.
    #[error("the clock shows {now}, outside the years 0001 to 9999")]
    #[non_exhaustive]
    ClockOutOfRange {
        /// The time that the clock returned.
        now: DateTime<Utc>,
    },

    /// Another writer, in this process or another, held the store past the busy timeout; for a read, every reader was
    /// in use that long; or another process reads an older snapshot, after a commit whose sync failed or during a
    /// compaction.
    #[error("the store was busy for {} ms", waited.as_millis())]
    #[non_exhaustive]
    Busy {
        /// How long this call waited in total.
        waited: Duration,
        /// SQLite's error, if another process or another store held the file. Otherwise the reason, if the call failed
        /// at once because it was made from inside a load or a compaction of the same store, or in memory from one of
        /// its callbacks, or if something prevented a [compaction](crate::Store::compact).
        source: Option<Source>,
    },

    /// There is no space left for the write. The store stays usable: once there is space, the same call can succeed.
    #[error("no space left to write; free some and try again")]
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

    /// The caller's progress callback cancelled the operation, or a [`StopHandle`](crate::StopHandle) stopped the
    /// watch.
    #[error("the operation was cancelled")]
    Cancelled,

    /// The path cannot be used for a store or a backup.
    #[error("cannot use {path:?}: {reason}")]
    #[non_exhaustive]
    InvalidPath {
        /// The path that cannot be used: as it was given, or of the file or a file of SQLite beside it, with links
        /// resolved.
        path: PathBuf,
        /// Why it cannot be used.
        reason: &'static str,
        /// The error of SQLite or the operating system.
        source: Option<Source>,
    },

    /// The file was not created by this crate: it is a text, the database of another application, or the like.
    #[error("the file is not a KPI store: {reason}")]
    #[non_exhaustive]
    NotAStore {
        /// How this was recognized.
        reason: &'static str,
        /// SQLite's error.
        source: Option<Source>,
    },

    /// A later version of this crate created the file, or upgraded it while this store had it open.
    #[error("the file has schema version {found}, newer than the supported {supported}; update the application")]
    #[non_exhaustive]
    TooNew {
        /// The schema version of the file.
        found: i64,
        /// The latest schema version that this version of the crate supports.
        supported: i64,
    },

    /// The linked SQLite has a defect by which it can lose commits.
    #[error("SQLite {found} can lose commits; link 3.51.3 or later, except 3.52.0")]
    #[non_exhaustive]
    UnsupportedSqlite {
        /// The version of the linked SQLite.
        found: &'static str,
    },

    /// The file is damaged, or was altered by another tool.
    #[error("the file is damaged{}: {detail}", dataset.map(|id| format!(" at dataset {id}")).unwrap_or_default())]
    #[non_exhaustive]
    Corrupt {
        /// The damaged dataset, if it is known.
        dataset: Option<DatasetId>,
        /// A description of the damage.
        detail: Cow<'static, str>,
        /// SQLite's error.
        source: Option<Source>,
    },

    /// The commit failed and its outcome is unknown: either all of the transaction is stored, or nothing.
    ///
    /// After a later write or a clean [`close`](crate::Store::close) has succeeded, the outcome is settled. A creation
    /// is lost if [`dataset`](crate::Organization::dataset) finds nothing, and a change of the content if
    /// [`version_at`](crate::Organization::version_at) does not find its `updated_at`.
    ///
    /// A second attempt is such a write. Creating the dataset again with the same id fails with
    /// [`AlreadyExists`](Self::AlreadyExists) if the first attempt was stored, and saving the same draft again fails
    /// with [`Conflict`](Self::Conflict).
    #[error(
        "the commit failed and its outcome is unknown: look at {} before a retry",
        ids.first().map_or_else(|| "the datasets".to_owned(), |id| format!("dataset {id}"))
    )]
    #[non_exhaustive]
    OutcomeUnknown {
        /// The datasets that the call was to create or change, in the order of the request; of a load only the last
        /// one. Either all of them were written, or none. Empty for calls without ids, such as
        /// [`purge_deleted_before`](crate::Organization::purge_deleted_before).
        ids: Vec<DatasetId>,
        /// The `updated_at` that the change wrote: the change is stored if the dataset, or a version in its history,
        /// has it. `None` if datasets were created, deleted, restored or purged, or their histories pruned.
        updated_at: Option<DateTime<Utc>>,
        /// SQLite's error.
        source: Option<Source>,
    },

    /// The operating system or SQLite failed in another way.
    #[error("the storage failed")]
    #[non_exhaustive]
    Storage {
        /// The error of SQLite or the operating system.
        source: Option<Source>,
    },
}

impl Error {
    /// The stable name of the variant for logs and front ends: `invalid`, `already_exists` and so on.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Error::Invalid(..) => "invalid",
            Error::AlreadyExists { .. } => "already_exists",
            Error::NotFound { .. } => "not_found",
            Error::Conflict { .. } => "conflict",
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
    /// [`StorageFull`](Self::StorageFull). Repeating the call writes nothing twice; of a load, repeat only the part
    /// after [`LoadError::stored`](crate::LoadError::stored).
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Error::Busy { .. } | Error::StorageFull { .. })
    }

    /// The same error; if it is [`Corrupt`](Self::Corrupt), it names the dataset.
    pub(crate) fn with_dataset(mut self, id: DatasetId) -> Self {
        if let Error::Corrupt { dataset, .. } = &mut self {
            *dataset = Some(id);
        }
        self
    }

    /// The same error; if it is [`Busy`](Self::Busy), it names the time that the call waited in total.
    pub(crate) fn with_waited(mut self, total: Duration) -> Self {
        if let Error::Busy { waited, .. } = &mut self {
            *waited = total;
        }
        self
    }
}

fn missing(dataset: DatasetId, kpi: Option<KpiId>, revision: Option<u64>) -> String {
    match (kpi, revision) {
        (Some(kpi), _) => format!("KPI {kpi} of dataset {dataset}"),
        (None, Some(revision)) => format!("revision {revision} of dataset {dataset}"),
        (None, None) => format!("dataset {dataset}"),
    }
}

/// Names the cause of a conflict with a dataset that nobody has changed: the time went through a JavaScript `Date`.
fn was_cut(expected: Option<DateTime<Utc>>, found: Option<DateTime<Utc>>) -> &'static str {
    let (Some(expected), Some(found)) = (expected, found) else { return "" };
    if expected != found && expected.timestamp_micros() == found.timestamp_millis() * 1_000 {
        ", or `updated_at` was cut to milliseconds, as JavaScript's dates do: keep it as a string"
    } else {
        ""
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

impl From<ParseChangeCursorError> for Error {
    fn from(_: ParseChangeCursorError) -> Self {
        Error::InvalidCursor
    }
}
