//! Constructors, for the crate itself and for the tests of applications.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Error, Source};
use crate::model::ids::{DatasetId, KpiId};

/// Constructors for the tests of an application that handles these errors: the variants with fields cannot be
/// constructed outside this crate.
impl Error {
    /// [`AlreadyExists`](Self::AlreadyExists): the id of the dataset is taken, or that of the KPI within the dataset.
    #[must_use]
    pub const fn already_exists(dataset: DatasetId, kpi: Option<KpiId>) -> Self {
        Error::AlreadyExists { dataset, kpi }
    }

    /// [`NotFound`](Self::NotFound): the organization has no such dataset.
    #[must_use]
    pub const fn not_found(dataset: DatasetId) -> Self {
        Error::NotFound { dataset, kpi: None, revision: None }
    }

    /// [`NotFound`](Self::NotFound): the dataset has no such KPI.
    #[must_use]
    pub const fn kpi_not_found(dataset: DatasetId, kpi: KpiId) -> Self {
        Error::NotFound { dataset, kpi: Some(kpi), revision: None }
    }

    /// [`NotFound`](Self::NotFound): the history of the dataset has no such revision.
    #[must_use]
    pub const fn revision_not_found(dataset: DatasetId, revision: u64) -> Self {
        Error::NotFound { dataset, kpi: None, revision: Some(revision) }
    }

    /// [`Conflict`](Self::Conflict): the `updated_at` that the caller expected, and the one that the dataset has.
    #[must_use]
    pub const fn conflict(dataset: DatasetId, expected: Option<DateTime<Utc>>, found: Option<DateTime<Utc>>) -> Self {
        Error::Conflict { dataset, expected, found }
    }

    /// [`ClockOutOfRange`](Self::ClockOutOfRange).
    #[must_use]
    pub const fn clock_out_of_range(now: DateTime<Utc>) -> Self {
        Error::ClockOutOfRange { now }
    }

    /// [`Busy`](Self::Busy), after waiting for this long.
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

    /// [`Corrupt`](Self::Corrupt): of this dataset, or `None` if the damage concerns no single dataset.
    #[must_use]
    pub fn corrupt(dataset: Option<DatasetId>, detail: impl Into<Cow<'static, str>>) -> Self {
        Error::Corrupt { dataset, detail: detail.into(), source: None }
    }

    /// [`OutcomeUnknown`](Self::OutcomeUnknown) of a write of these datasets; of a change with the `updated_at` that
    /// was written.
    #[must_use]
    pub fn outcome_unknown(ids: impl IntoIterator<Item = DatasetId>, updated_at: Option<DateTime<Utc>>) -> Self {
        Error::OutcomeUnknown { ids: ids.into_iter().collect(), updated_at, source: None }
    }

    /// [`Storage`](Self::Storage), with its cause.
    #[must_use]
    pub fn storage(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Error::Storage { source: Some(Source::new(source)) }
    }
}
