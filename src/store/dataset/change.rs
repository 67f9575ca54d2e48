//! A change of stored datasets as a job of the writer.

use chrono::{DateTime, Utc};

use crate::access::job::Job;
use crate::error::{Error, Result, Source};
use crate::model::content::Refusal;
use crate::model::dataset::Dataset;
use crate::model::ids::DatasetId;
use crate::sqlite::failure::Failure;
use crate::sqlite::transaction::Transaction;
use crate::store::organization::Organization;

impl Organization {
    /// Changes stored datasets in a transaction, possibly shared with other jobs. `bytes` estimates how much is
    /// written, and `updated_at` returns the `updated_at` that was written, which it takes from the result.
    pub(super) fn change<T, F>(
        &self,
        ids: Vec<DatasetId>,
        bytes: usize,
        updated_at: fn(&T) -> Option<DateTime<Utc>>,
        work: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
    {
        let (_, output) = self.store.access().write(Change { ids, bytes, updated_at, work })?;
        Ok(output)
    }
}

struct Change<T, F> {
    ids: Vec<DatasetId>,
    bytes: usize,
    updated_at: fn(&T) -> Option<DateTime<Utc>>,
    work: F,
}

impl<T, F> Job for Change<T, F>
where
    T: Send + 'static,
    F: Fn(&Transaction<'_>) -> Result<T, Failure> + Send + 'static,
{
    type Output = T;

    fn run(&self, transaction: &Transaction<'_>) -> Result<T, Failure> {
        (self.work)(transaction)
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn outcome_unknown(&self, output: T, source: Option<Source>) -> Error {
        Error::OutcomeUnknown { ids: self.ids.clone(), updated_at: (self.updated_at)(&output), source }
    }
}

/// For a change that leaves `updated_at` as it is.
pub(super) fn no_updated_at<T>(_: &T) -> Option<DateTime<Utc>> {
    None
}

/// The public error of a change that was refused because of what is stored.
pub(super) fn refused(dataset: &Dataset, refusal: Refusal) -> Error {
    match refusal {
        Refusal::Conflict { expected } => Error::conflict(dataset.id, expected, dataset.updated_at),
        Refusal::KpiNotFound(kpi) => Error::kpi_not_found(dataset.id, kpi),
        Refusal::KpiExists(kpi) => Error::already_exists(dataset.id, Some(kpi)),
        Refusal::Invalid(violations) => violations.into(),
    }
}
